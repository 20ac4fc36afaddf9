"""Sending a sound file: in parts where the client asks for parts, as a problem where that cannot be."""

import logging
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from index.catalogue import SoundRecord
from service.problems import ProblemError, problem_response

_log = logging.getLogger("thud")

# A sound's id is a hash of its content, so what stands behind its address never changes.
_CACHE_CONTROL = "public, max-age=31536000, immutable"

_RANGE = re.compile(r"\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)
_MOST_DIGITS = 18
"""No file has more bytes than this many digits tell; Python raises where it is to read a number of thousands."""


def audio_response(path: Path, record: SoundRecord, request_headers: Headers) -> Response:
    """The response that sends the sound's file, or 304 where the client has it already.

    Raises ProblemError (412) where the client wants another content, and OSError where the file cannot be read.
    """
    headers = {
        "ETag": f'"{record.id}"',
        "Cache-Control": _CACHE_CONTROL,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": _disposition(Path(record.path).name),
    }
    wanted, has = request_headers.getlist("if-match"), request_headers.getlist("if-none-match")
    if wanted and not _names(headers["ETag"], wanted, weakly=False):
        raise ProblemError(412, f"the sound has the ETag {headers['ETag']}, which If-Match does not name")
    if has and _names(headers["ETag"], has, weakly=True):
        return Response(status_code=304, headers=headers)
    return AudioResponse(
        path,
        record.id,
        headers=headers,
        media_type=record.media_type,
    )


def unreadable(error: OSError, sound_id: str) -> ProblemError:
    """The problem for a file that could not be read: 410 where it is gone, 503 where that may pass."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ProblemError(410, f"the file of sound {sound_id} is no longer there")
    _log.error("the file of sound %s cannot be read: %s", sound_id, error)
    return ProblemError(
        503,
        f"the file of sound {sound_id} cannot be read at the moment: {error.strerror}",
        headers={"Retry-After": "5"},
        reason="unreadable",
    )


class AudioResponse(FileResponse):
    """A FileResponse that ignores a Range it does not understand (RFC 9110, 14.2) and refuses with a problem.

    Of more than 16 ranges it sends the whole file, which RFC 9110, 14.2 allows against clients that ask for many.
    Raises OSError where the file cannot be looked at.
    """

    max_ranges = 16

    def __init__(self, path: Path, sound_id: str, headers: dict[str, str], media_type: str) -> None:
        stat = path.stat()
        super().__init__(path, headers=headers, media_type=media_type, stat_result=stat)
        self._sound_id = sound_id
        self._bytes = stat.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, a part of it, or the problem."""
        if scope.get("state", {}).get("head"):
            # So that the file is not read; a Range means something with GET alone (RFC 9110, 14.2).
            scope = {**_with_range(scope, None), "method": "HEAD"}
        else:
            scope = _with_range(scope, _satisfiable(Headers(scope=scope).get("range"), self._bytes))
        start: Message | None = None
        refused = 0

        async def sent(message: Message) -> None:
            """Hold the head back until the file has been opened and read from."""
            nonlocal start, refused
            if message["type"] == "http.response.start":
                start = message
                refused = message["status"] if message["status"] in (400, 416) else 0
                return
            if refused:
                return
            if start is not None:
                held, start = start, None
                await send(held)
            await send(message)

        try:
            await super().__call__(scope, receive, sent)
        except OSError as error:
            if start is None:
                raise
            problem = unreadable(error, self._sound_id)
            scope.setdefault("state", {})["refused"] = problem.reason
            response = problem_response(problem.status_code, problem.detail, headers=problem.headers)
            await response(scope, receive, send)
            return
        if refused == 400:
            await self(_with_range(scope, None), receive, send)
        elif refused == 416:
            detail = f"the sound has {self._bytes} bytes; the range is outside of them"
            headers = {"Content-Range": f"bytes */{self._bytes}"}
            await problem_response(416, detail, headers=headers)(scope, receive, send)


def _disposition(name: str) -> str:
    """The name to save the file as (RFC 6266): in full (RFC 8187), and in ASCII for clients that know only that."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", plain) or "sound"
    if plain == name:
        return f'inline; filename="{name}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _satisfiable(header: str | None, size: int) -> str | None:
    """A Range without those of its ranges that lie behind the end, where others do not (RFC 9110, 14.1.2).

    Starlette would refuse all of them.
    """
    if header is None:
        return None
    unit, equals, listed = header.partition("=")
    ranges = listed.split(",")
    found = [_RANGE.fullmatch(one) for one in ranges]
    inside = [
        one
        for one, match in zip(ranges, found, strict=True)
        if match is None or (_starts_inside(match[1], size) if match[1] else match[2].strip("0") != "")
    ]
    return f"{unit}{equals}{','.join(inside)}" if inside else header


def _starts_inside(digits: str, size: int) -> bool:
    digits = digits.lstrip("0") or "0"
    return len(digits) <= _MOST_DIGITS and int(digits) < size


def _with_range(scope: Scope, header: str | None) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    if header is not None:
        headers.append((b"range", header.encode("latin-1")))
    return {**scope, "headers": headers}


def _names(etag: str, fields: list[str], *, weakly: bool) -> bool:
    """Whether one of the header's `fields` names the tag, or any tag; weak ones count where `weakly` compared."""
    tags = [tag.strip() for field in fields for tag in field.split(",")]
    if weakly:
        tags = [tag.removeprefix("W/") for tag in tags]
    return etag in tags or tags == ["*"]
