"""Files that the page and the documentation are made of."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, PathLike, StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.middleware import application_path


class PageFiles(StaticFiles):
    """Starlette's, with ETags of the content: two versions may have one size and, out of an image, one time."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or 304 where the client has it."""
        stamp = (stat_result.st_ino, stat_result.st_size, stat_result.st_mtime_ns, stat_result.st_ctime_ns)
        headers = {"ETag": _tag(Path(full_path), stamp)}
        response = FileResponse(full_path, status_code, headers, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


class WholeFiles:
    """Middleware that sends whatever is no sound as a whole, as a server may (RFC 9110, 14.2): it is small.

    Starlette's own answers to a Range that is odd or too far are no problems.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, without its Range."""
        if scope["type"] != "http" or application_path(scope).startswith("/sounds/"):
            await self.app(scope, receive, send)
            return
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"range"]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                message["headers"] = [header for header in headers if header[0] != b"accept-ranges"]
            await send(message)

        await self.app(scope, receive, sent)


@lru_cache(maxsize=64)
def _tag(path: Path, stamp: tuple[int, ...]) -> str:
    """The tag of the file as it was at `stamp`, of which every change makes another."""
    with path.open("rb") as file:
        return f'"{hashlib.file_digest(file, "sha256").hexdigest()[:32]}"'
