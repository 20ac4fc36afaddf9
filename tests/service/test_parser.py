"""What a connection may offer and declare: other protocols, lengths, chunks."""

import gzip
import http.client
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from tests.service.conftest import Encode, Server
from tests.service.test_connection import LIVEZ
from tests.service.test_limits import answer_to

POST = b"POST /recommend?k=3 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


class _Kept:
    """The reading end of a connection, which an answer may not close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def makefile(self, mode: str) -> "_Kept":
        return self

    def close(self) -> None:
        pass


def answers(server: Server, *pieces: bytes) -> list[tuple[int, bytes]]:
    """Status and body of every answer until the server closes, which the last request must ask for."""
    found = []
    with socket.create_connection(server.address, timeout=30) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with connection.makefile("rb") as file:
            while file.peek(1):
                response = http.client.HTTPResponse(_Kept(file))  # type: ignore[arg-type]
                response.begin()
                found.append((response.status, response.read()))
    return found


def chunked(body: bytes, size: int) -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


LAST = LIVEZ.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "offer",
    [
        H2C,
        b"Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
        b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n",
        b"connection: upgrade\r\nupgrade: h2c\r\nUpgrade: websocket\r\n",
        H2C + b"Expect: 100-continue\r\n",
    ],
    ids=["h2c", "tls", "websocket", "two", "expect"],
)
@pytest.mark.parametrize("how", ["at once", "in pieces", "chunked"])
def test_an_offer_is_passed_over_and_the_body_read(server: Server, encode: Encode, offer: bytes, how: str) -> None:
    picture = encode()
    length = b"Content-Length: %d\r\n\r\n" % len(picture)
    if how == "at once":
        sent = [POST + offer + length + picture + LAST]
    elif how == "in pieces":
        head = POST + offer + length
        sent = [head[:50], head[50:-1], head[-1:], picture[:1], picture[1:] + LAST]
    else:
        sent = [POST + offer + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(picture, 100) + LAST]

    (first, body), (second, alive) = [one for one in answers(server, *sent) if one[0] != 100]

    assert (first, json.loads(body)["returned"]) == (200, 3)
    assert (second, json.loads(alive)) == (200, {"status": "alive"})


def test_requests_with_offers_behind_each_other(server: Server) -> None:
    offered = LIVEZ.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert [status for status, _ in answers(server, offered * 20 + LAST)] == [200] * 21


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_offer_on_the_last_request_of_a_connection(server: Server, encode: Encode, version: bytes) -> None:
    offer = H2C.replace(b"Upgrade,", b"close, Upgrade,") + b"Content-Length: %d\r\n\r\n" % len(encode())

    found = answers(server, POST.replace(b"1.1", version) + offer + encode() + LIVEZ)

    assert [status for status, _ in found] == [200]


def test_a_broken_body_behind_an_offer(server: Server) -> None:
    assert answer_to(server, POST + H2C + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")[0] == 400


def test_connect_is_no_request_also_behind_others(server: Server) -> None:
    found = answers(server, LIVEZ + b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + LIVEZ)

    assert [status for status, _ in found] == [200, 400]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("more", [(), ("-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue")])
def test_curl_that_offers_http_2(server: Server, encode: Encode, tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "picture").write_bytes(encode())
    said = ["-s", "--http2", "-H", "Content-Type: image/jpeg", "--data-binary", f"@{tmp_path / 'picture'}", *more]

    run = ["curl", *said, "-w", "\n%{http_code}", f"{server.url}/recommend"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.splitlines()[-1] == "200"


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (b"0" * 5000, 400),
        (b"0" * 4999 + b"3", 400),
        (b"9" * 5000, 400),
        (b"0" * 20 + b"3", 400),
        (b"1" + b"0" * 20, 400),
        (b"1" + b"0" * 18, 413),
        (b"0" * 19 + b"3", 415),
    ],
)
@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offer"])
def test_a_length_of_many_digits(server: Server, length: bytes, status: int, offer: bytes) -> None:
    head = POST + offer + b"Connection: close\r\nContent-Length: " + length + b"\r\n\r\n"

    assert [found for found, _ in answers(server, head + b"abc")] == [status]
    assert server.said() == ""


@pytest.mark.parametrize("path", [b"/recommend", b"/nothing"], ids=["read", "unread"])
def test_many_small_chunks_are_refused_before_all_are_parsed(server: Server, path: bytes) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(head + b"1\r\nx\r\n" * 20_000)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()  # it is closed, although the body has no end

    assert answer.startswith(b"HTTP/1.1 400 " if path == b"/recommend" else b"HTTP/1.1 404 ")
    assert (b"too many chunks" in answer) == (path == b"/recommend")


def test_a_large_body_may_come_in_many_chunks(server: Server, encode: Encode) -> None:
    picture = encode("PNG", size=(700, 700), compress_level=0)
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    [(status, _)] = answers(server, head + chunked(picture, 80))

    assert (status, len(picture) // 80 > 2**14) == (200, True)


@pytest.mark.parametrize("path", [b"/page/page.js", b"/openapi.json"])
def test_a_broken_body_that_no_answer_asks_for_is_no_failure(server: Server, path: bytes) -> None:
    head = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert [status for status, _ in answers(server, head + b"zz\r\n")] == [200]
    assert server.said() == ""


@pytest.mark.parametrize(
    "codings",
    [b"gzip, chunked", b"gzip", b"unheard-of", b"gzip\r\nTransfer-Encoding: chunked"],
)
@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offer"])
def test_a_body_in_a_coding_is_refused(server: Server, encode: Encode, codings: bytes, offer: bytes) -> None:
    body = chunked(gzip.compress(encode()), 1000)
    status, problem = answer_to(server, POST + offer + b"Transfer-Encoding: " + codings + b"\r\n\r\n", body)

    assert (status, problem["detail"]) == (400, "no transfer coding is possible here but chunked")


def test_chunked_may_be_in_capitals(server: Server, encode: Encode) -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n"

    assert [status for status, _ in answers(server, head + chunked(encode(), 1000))] == [200]
