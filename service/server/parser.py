"""httptools' parser, with bounds on numbers and chunks, which reads on where a client offers another protocol.

No such offer is taken here, and a server may ignore it (RFC 9110, 7.8): HTTP/2 on clear text, which Java's own
client and `curl --http2` offer with their first request, TLS, WebSocket. llhttp, under httptools, takes every
offer as agreed, and what follows the head, which is the body, for the other protocol.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.server.refusal import RefusalError

_CONNECT = b"CONNECT"

_MOST_DIGITS = 20
"""Of a Content-Length. llhttp takes no larger number, but any number of zeros, which Python would not read."""

_SMALL_CHUNKS = 2**14
_CHUNK_BYTES = 64
"""A body may have `_SMALL_CHUNKS`, and one more for each that many bytes. Each takes the event loop's time, however
small it is: a body of the largest size in chunks of one byte took 9 s. nginx passes an upload on as it comes."""


class Parser:
    """The parser of one connection, for uvicorn's `protocol`, which it calls as httptools' own would."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._chunks = self._bytes = 0
        # httptools looks the callbacks up here; these lead straight to the protocol.
        self.on_message_begin = protocol.on_message_begin
        self.on_url = protocol.on_url
        self.on_header = protocol.on_header
        self._begin()

    def feed_data(self, data: bytes) -> None:
        """Parse a piece of what arrives.

        Raises HttpParserError for what is no HTTP; the error of a callback is its context, as a RefusalError where
        the request is HTTP but goes beyond a bound.
        """
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
            # Not in the `except` above, which would become the context of what is raised here.
            head = self._without_offer()
            self._begin()  # the old one may take the connection for closed
            self._parser.feed_data(head)

    def on_headers_complete(self) -> None:
        """Pass it on, unless the head is to be read once more without its offer."""
        if self.get_method() == _CONNECT:
            raise RefusalError(400, "this is not a request that this service answers", "malformed")
        if self._parser.should_upgrade():
            return
        if any(name == b"content-length" and len(value) > _MOST_DIGITS for name, value in self._protocol.headers):
            raise RefusalError(400, "the Content-Length has too many digits", "malformed")
        codings = [value.strip().lower() for name, value in self._protocol.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            raise RefusalError(400, "no transfer coding is possible here but chunked", "malformed")
        self._chunks = self._bytes = 0
        self._protocol.on_headers_complete()

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1
        if self._chunks > _SMALL_CHUNKS + self._bytes // _CHUNK_BYTES:
            raise RefusalError(400, "the body comes in too many chunks that are too small", "malformed")

    def on_body(self, body: bytes) -> None:
        """Count the bytes, and pass them on."""
        self._bytes += len(body)
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        """The same: behind an offer, llhttp sees no body."""
        if not self._parser.should_upgrade():
            self._protocol.on_message_complete()

    def get_method(self) -> bytes:
        """The method of the request."""
        method: bytes = self._parser.get_method()
        return method

    def get_http_version(self) -> str:
        """`1.1` or `1.0`."""
        version: str = self._parser.get_http_version()
        return version

    def should_keep_alive(self) -> bool:
        """Whether the client wants the connection to go on."""
        wanted: bool = self._parser.should_keep_alive()
        return wanted

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def _begin(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        # As uvicorn sets it: what is sent behind a last request does not keep that from its answer.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _without_offer(self) -> bytes:
        """The head as it was sent, but for the header Upgrade."""
        first = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        kept = (b"%s: %s\r\n" % header for header in self._protocol.headers if header[0] != b"upgrade")
        return b"".join([first, *kept, b"\r\n"])


def with_path(url: bytes) -> bytes:
    """The same; one with a host and no path asks for `/` (RFC 9110, 4.2.3), which uvicorn does not read."""
    scheme, separator, rest = url.partition(b"://")
    if not separator or not scheme.isalpha():
        return url
    end = next((at for at, sign in enumerate(rest) if sign in b"/?#"), len(rest))
    return url if rest[end : end + 1] == b"/" else scheme + separator + rest[:end] + b"/" + rest[end:]
