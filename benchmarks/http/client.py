"""A client's connection to a server on this machine: one request costs about 60 microseconds of CPU time."""

import asyncio
from typing import NamedTuple

_BOUNDARY = "5d1f8a3c"


class Answer(NamedTuple):
    """The status, the lines of the head in lower case, and the body."""

    status: int
    head: list[bytes]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, in lower case; None where there is none."""
        start = f"{name}:".encode()
        return next((line[len(start) :].strip().decode() for line in self.head if line.startswith(start)), None)


class NoAnswerError(Exception):
    """The connection broke, nothing came in time, or what came was not HTTP; the message says which."""


class Connection:
    """A connection that is kept open, and opened again where the server has closed it."""

    def __init__(self, port: int, timeout: float) -> None:
        self.port, self._timeout = port, timeout
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader()

    async def ask(self, pieces: list[bytes], *, ends: bool = False) -> Answer:
        """Send these bytes and return the answer; with `ends`, also tell the server that no more will be sent.

        Raises NoAnswerError.
        """
        try:
            async with asyncio.timeout(self._timeout):
                writer = await self._connected()
                writer.writelines(pieces)
                if ends:
                    writer.write_eof()
                # No drain: the body lies in memory anyway, and an early refusal is read while it is sent.
                return await self._answer()
        except TimeoutError:
            self.close()
            raise NoAnswerError("nothing in time") from None
        except (OSError, EOFError):
            self.close()
            raise NoAnswerError("closed") from None
        except (StopIteration, ValueError, asyncio.LimitOverrunError):
            self.close()
            raise NoAnswerError("no HTTP") from None

    async def send(self, piece: bytes) -> None:
        """Send some bytes without waiting for an answer. Raises OSError."""
        writer = await self._connected()
        writer.write(piece)
        await writer.drain()

    def close(self, *, abort: bool = False) -> None:
        """Close it; with `abort`, bytes that wait to be sent are dropped."""
        if self._writer is not None:
            if abort:
                self._writer.transport.abort()
            self._writer.close()
        self._writer = None

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is not None and self._reader.at_eof():
            self.close()  # the server has closed it: it keeps an idle connection for some seconds only
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self._writer

    async def _answer(self) -> Answer:
        status = 100
        while status == 100:
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            status = int(head[9:12])
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(length)
        if b"connection: close" in lines:
            self.close(abort=True)  # the rest of a picture that was refused need not be sent
        return Answer(status, lines, body)


def form(picture: bytes, boundary: str = _BOUNDARY) -> list[bytes]:
    """A multipart body with this picture."""
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="picture.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return [head.encode(), picture, f"\r\n--{boundary}--\r\n".encode()]


def request(
    body: list[bytes],
    *,
    target: str = "/recommend?k=10",
    content_type: str = f"multipart/form-data; boundary={_BOUNDARY}",
    method: str = "POST",
    length: str | None = None,
) -> list[bytes]:
    """A request with this body; `length` is what Content-Length says instead of the real length."""
    lines = (
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        f"Content-Length: {sum(map(len, body)) if length is None else length}",
    )
    return ["\r\n".join([*lines, "", ""]).encode("latin-1"), *body]
