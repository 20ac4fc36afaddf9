"""Sending a sound file: in parts where the client asks for parts, as a problem where that cannot be."""

import re
import unicodedata
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from index.catalogue import SoundRecord
from service.problems import problem_response

# A sound's id is a hash of its content, so what stands behind its address never changes.
_CACHE_CONTROL = "public, max-age=31536000, immutable"


def audio_response(path: Path, record: SoundRecord, request_headers: Headers) -> Response:
    """The response that sends the sound's file, or 304 where the client has it already.

    Raises OSError where the file cannot be read.
    """
    headers = {
        "ETag": f'"{record.id}"',
        "Cache-Control": _CACHE_CONTROL,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": _disposition(Path(record.path).name),
    }
    if _has_it(headers["ETag"], request_headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return AudioResponse(
        path,
        headers=headers,
        media_type=record.media_type,
        stat_result=path.stat(),
    )


class AudioResponse(FileResponse):
    """A FileResponse that ignores a Range it does not understand (RFC 9110, 14.2) and refuses with a problem.

    Of more than 16 ranges it sends the whole file, which RFC 9110, 14.2 allows against clients that ask for many.
    """

    max_ranges = 16

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, a part of it, or the problem."""
        if scope.get("state", {}).get("head"):
            # So that the file is not read; a Range means something with GET alone (RFC 9110, 14.2).
            scope = {**_without_range(scope), "method": "HEAD"}
        refusal: MutableMapping[str, Any] | None = None

        async def send_unless_refused(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refusal = message
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refusal is None:
            return
        if refusal["status"] == 400:
            await super().__call__(_without_range(scope), receive, send)
            return
        content_range = Headers(raw=refusal["headers"])["content-range"]
        length = content_range.removeprefix("bytes */")
        problem = problem_response(
            416,
            f"the sound has {length} bytes; the range is outside of them",
            headers={"Content-Range": content_range},
        )
        await problem(scope, receive, send)


def _disposition(name: str) -> str:
    """The name to save the file as (RFC 6266): in full (RFC 8187), and in ASCII for clients that know only that."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", plain) or "sound"
    if plain == name:
        return f'inline; filename="{name}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _without_range(scope: Scope) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}


def _has_it(etag: str, if_none_match: str | None) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or tags == ["*"]
