"""Sending a sound file: in parts where the client asks for parts, as a problem where that cannot be."""

import logging
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import PurePosixPath
from secrets import token_hex
from urllib.parse import quote

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from index.answers.search import SoundIndex
from index.answers.sound_files import SoundFile
from index.catalogue import SoundRecord
from model.errors import EngineAwayError, LibraryError, SoundsAwayError
from model.playable import PLAYED_MEDIA_TYPE, PLAYED_SUFFIX, VERSION
from service.played import PlayedCopies, PlayedCopy
from service.problems import ProblemError
from service.state import state_of

_log = logging.getLogger("thud")

# A sound's id is a hash of its content, so what stands behind its address never changes.
_CACHE_CONTROL = "public, max-age=31536000, immutable"
# A copy may be made better by a later version.
_CACHE_CONTROL_COPY = "public, max-age=86400"
CACHED_FOR_A_DAY = f"{_CACHE_CONTROL_COPY}, immutable"
"""Cache-Control of what is made of a sound and asked for again and again: within the day nobody asks whether it is
still so."""

_CHUNK_BYTES = 2**16
_MOST_RANGES = 16
"""Of more, the whole file is sent, which RFC 9110, 14.2 allows against clients that ask for many."""

_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)
_MOST_DIGITS = 18
"""No file has more bytes than this many digits tell; Python raises where it is to read a number of thousands."""

on_disk = anyio.CapacityLimiter(16)
"""The threads that touch sound files: where a share does not answer, it is these that wait, and no others."""


async def link_response(index: SoundIndex, record: SoundRecord, seconds: float) -> Response | None:
    """The answer that sends the client to the store of the sound; None where no store has it.

    Nobody may keep it for longer than the link is good. Raises as `SoundIndex.audio` does.
    """
    link = await anyio.to_thread.run_sync(index.files.link, record, seconds, limiter=on_disk)
    if link is None:
        return None
    return Response(status_code=307, headers={"Location": link, "Cache-Control": "no-store"})


async def audio_response(
    index: SoundIndex, record: SoundRecord, request: Request, copies: PlayedCopies | None
) -> Response:
    """The response that sends the sound, or 304 where the client has it already.

    With `copies`, a sound whose file browsers do not play is sent as FLAC, else its file as it is. Raises
    ProblemError where the client wants another content (412) or what is behind the end (416), and where no copy can
    be made (503); LibraryError and OSError as `SoundIndex.audio` does.
    """
    sound = await anyio.to_thread.run_sync(index.audio, record, limiter=on_disk)
    try:
        as_it_is = copies is None or record.playable
        headers = _headers(record, sound, as_it_is=as_it_is)
        media_type = record.media_type if as_it_is else PLAYED_MEDIA_TYPE
        if has_it(request.headers, headers["ETag"]):
            sound.close()
            return Response(status_code=304, headers=headers)
        content: SoundFile | PlayedCopy = sound
        if copies is not None and not as_it_is:
            content = await copies.copy(record, sound)
            sound.close()
    except BaseException:
        sound.close()
        raise
    return await anyio.to_thread.run_sync(
        _response, content, record.id, media_type, headers, request, limiter=on_disk
    )


@asynccontextmanager
async def opened_sound(app: FastAPI, index: SoundIndex, record: SoundRecord) -> AsyncIterator[SoundFile]:
    """The sound's file, open. What goes wrong with it is a problem, also of what is done with it meanwhile.

    503 where it cannot be read or the folder of sounds is away, 410 where it is not what was indexed.
    """
    async with sound_problems(app, index, record.id):
        sound = await anyio.to_thread.run_sync(index.audio, record, limiter=on_disk)
        try:
            yield sound
        finally:
            sound.close()


@asynccontextmanager
async def sound_problems(app: FastAPI, index: SoundIndex, sound_id: str) -> AsyncIterator[None]:
    """Makes problems of what goes wrong with the file of a sound, as `opened_sound` says."""
    sounds = state_of(app).sounds
    await sounds.check()
    try:
        yield
    except SoundsAwayError as error:
        raise sounds.gone(str(error)) from error
    except EngineAwayError:
        raise
    except LibraryError as error:
        # The reason names the folder, which is nobody's business but the server's.
        raise ProblemError(410, str(error).replace(str(index.root), "the library")) from error
    except OSError as error:
        raise _unreadable(error, sound_id) from error


def _unreadable(error: OSError, sound_id: str) -> ProblemError:
    """The problem for a file that could not be read, which may pass."""
    _log.error("the file of sound %s cannot be read: %s", sound_id, error)
    return ProblemError(
        503,
        f"the file of sound {sound_id} cannot be read at the moment: {error.strerror}",
        headers={"Retry-After": "5"},
        reason="unreadable",
    )


def _headers(record: SoundRecord, sound: SoundFile, *, as_it_is: bool) -> dict[str, str]:
    name = PurePosixPath(record.path)
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": _CACHE_CONTROL if as_it_is else _CACHE_CONTROL_COPY,
        "Content-Disposition": _disposition(name.name if as_it_is else name.with_suffix(PLAYED_SUFFIX).name),
        "ETag": f'"{record.id}"' if as_it_is else f'"{record.id}.{VERSION}"',
        "Last-Modified": formatdate(sound.modified, usegmt=True),
        "X-Content-Type-Options": "nosniff",
    }


def has_it(asked: Headers, etag: str) -> bool:
    """Whether the client has the content with this tag. Raises ProblemError (412) where it wants another."""
    wanted, has = asked.getlist("if-match"), asked.getlist("if-none-match")
    if wanted and not _names(etag, wanted, weakly=False):
        raise ProblemError(412, f"the sound has the ETag {etag}, which If-Match does not name")
    return bool(has) and _names(etag, has, weakly=True)


def _response(
    content: SoundFile | PlayedCopy, sound_id: str, media_type: str, headers: dict[str, str], request: Request
) -> Response:
    try:
        if not request.scope.get("state", {}).get("head"):
            ranges = _ranges(request.headers, headers, content.size)
            return AudioResponse(content, sound_id, media_type, ranges, headers)
        # So that nothing is read; a Range means something with GET alone (RFC 9110, 14.2).
        headers["Content-Length"] = str(content.size)
        content.close()
        return Response(headers=headers, media_type=media_type)
    except BaseException:
        content.close()
        raise


class AudioResponse(StreamingResponse):
    """Sends the sound, or `ranges` of it, and closes its file.

    An answer that has begun when the file turns out to be changed or unreadable is broken off, which is logged: the
    client gets fewer bytes than were announced. Raises as `SoundFile.read` does where that is so from the first.
    """

    def __init__(
        self,
        sound: SoundFile | PlayedCopy,
        sound_id: str,
        media_type: str,
        ranges: list[range] | None,
        headers: dict[str, str],
    ) -> None:
        self._sound, self._id = sound, sound_id
        pieces: list[bytes | range] = list(ranges or [range(sound.size)])
        if ranges and len(ranges) == 1:
            headers["Content-Range"] = _content_range(ranges[0], sound.size)
        elif ranges:
            boundary = token_hex(13)
            pieces = _multipart(ranges, boundary, media_type, sound.size)
            media_type = f"multipart/byteranges; boundary={boundary}"
        headers["Content-Length"] = str(sum(map(len, pieces)))
        chunks = _chunks(sound, pieces)
        # The first before the head is sent: what cannot be read at all is answered with a problem.
        super().__init__(
            _following(next(chunks, b""), chunks), 206 if ranges else 200, headers, media_type=media_type
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        except LibraryError as error:
            scope.setdefault("state", {})["refused"] = "damaged_sound"
            _log.error("the answer with sound %s was broken off: %s", self._id, error)
        finally:
            self._sound.close()


async def _following(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    chunk = first
    while chunk:
        yield chunk
        try:
            chunk = await anyio.to_thread.run_sync(next, chunks, b"", limiter=on_disk)
        except OSError as error:
            raise LibraryError(f"it can no longer be read: {error.strerror}") from error


def _chunks(sound: SoundFile | PlayedCopy, pieces: list[bytes | range]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        for start in range(piece.start, piece.stop, _CHUNK_BYTES):
            yield sound.read(start, min(_CHUNK_BYTES, piece.stop - start))


def _ranges(asked: Headers, headers: dict[str, str], size: int) -> list[range] | None:
    """The ranges to send, in order and apart; None where all of it is to be sent.

    That is so for a Range that is not understood (RFC 9110, 14.2), and where If-Range names another content. What
    lies behind the end is left out; raises ProblemError (416) where nothing is left.
    """
    unit, _, listed = asked.get("range", "").partition("=")
    found = [_RANGE.fullmatch(one.strip()) for one in listed.split(",") if one.strip()]
    if_range = asked.get("if-range")
    if (
        unit.strip().lower() != "bytes"
        or not 0 < len(found) <= _MOST_RANGES
        or (if_range is not None and if_range not in (headers["ETag"], headers["Last-Modified"]))
    ):
        return None
    inside = []
    for match in found:
        if match is None or match[0] == "-":
            return None
        first, last = _number(match[1]), _number(match[2])
        start, end = (first, last + 1 if match[2] else size) if match[1] else (max(0, size - last), size)
        if match[1] and match[2] and last < first:
            return None
        if start < size:
            inside.append(range(start, min(end, size)))
    if not inside:
        detail = f"the sound has {size} bytes; the range is outside of them"
        raise ProblemError(416, detail, headers={"Content-Range": f"bytes */{size}"})
    apart: list[range] = []
    for one in sorted(inside, key=lambda one: one.start):
        if apart and one.start <= apart[-1].stop:
            apart[-1] = range(apart[-1].start, max(apart[-1].stop, one.stop))
        else:
            apart.append(one)
    return apart


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _multipart(ranges: list[range], boundary: str, media_type: str, size: int) -> list[bytes | range]:
    """The body of an answer with several ranges (RFC 9110, 14.6): what stands around them, and they."""
    pieces: list[bytes | range] = []
    for one in ranges:
        head = f"Content-Type: {media_type}\r\nContent-Range: {_content_range(one, size)}"
        pieces += [f"\r\n--{boundary}\r\n{head}\r\n\r\n".encode(), one]
    return [*pieces, f"\r\n--{boundary}--\r\n".encode()]


def _content_range(one: range, size: int) -> str:
    return f"bytes {one.start}-{one.stop - 1}/{size}"


def _disposition(name: str) -> str:
    """The name to save the file as (RFC 6266): in full (RFC 8187), and in ASCII for clients that know only that."""
    stem, suffix = (_plain(part) for part in (PurePosixPath(name).stem, PurePosixPath(name).suffix))
    # Without a letter or digit it would be a hidden file, or none at all.
    plain = (stem if re.search(r"[A-Za-z0-9]", stem) else "sound") + suffix.rstrip(".")
    if plain == name:
        return f'inline; filename="{name}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _plain(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9 ._()+-]", "_", ascii_only).strip()


def _names(etag: str, fields: list[str], *, weakly: bool) -> bool:
    """Whether one of the header's `fields` names the tag, or any tag; weak ones count where `weakly` compared."""
    tags = [tag.strip() for field in fields for tag in field.split(",")]
    if weakly:
        tags = [tag.removeprefix("W/") for tag in tags]
    return etag in tags or tags == ["*"]
