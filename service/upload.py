"""Receiving a picture: how a request may send it, and how much of all uploads may lie in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service.limits import FormLimits
from service.problems import ProblemError
from service.server.places import Pace, slowest

FIELD = "image"
_PLACE = f"body.{FIELD}"


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    pieces: list[bytes] = field(default_factory=list)


class _Form:
    """Collects the parts named `image`, and passes over the others without keeping them."""

    def __init__(self, boundary: bytes, limits: FormLimits) -> None:
        self.pictures: list[_Part] = []
        self.ended = False
        self._limits = limits
        self._parts = 0
        self._part = _Part()
        self._name = self._value = b""
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
            max_header_count=limits.max_part_headers,
            max_header_size=limits.max_part_header_bytes,
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.max_parts:
            raise ProblemError(413, f"the form has more than {self._limits.max_parts} parts; send one picture")
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise FormParserError("a part has no name")
        self._part.name = options[b"name"].decode(errors="replace")
        self._part.is_file = b"filename" in options
        if self._part.name == FIELD:
            self.pictures.append(self._part)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FIELD and self._part.is_file:
            self._part.pieces.append(data[start:end])

    def _end(self) -> None:
        self.ended = True


def picture_in_form(body: bytes, content_type: str, limits: FormLimits) -> bytes:
    """The bytes of the file in the field `image` of a multipart body.

    Raises ProblemError: 400 for a broken form, 413 for one of too many parts, 415 for a file of a type that
    cannot be a picture, 422 where there is no picture, an empty one, or more than one.
    """
    parts = _pictures(body, content_type, limits) if body else []
    if not parts:
        raise ProblemError(422, f"the form has no field {FIELD}; send the picture in it", _PLACE)
    if len(parts) > 1:
        raise ProblemError(422, f"the form has {len(parts)} fields {FIELD}; send one picture a request", _PLACE)
    part = parts[0]
    if not part.is_file:
        raise ProblemError(422, f"the field {FIELD} is text; send the picture as a file", _PLACE)
    declared = part.headers.get(b"content-type")
    kind = media_type(declared.decode("latin-1") if declared is not None else None)
    if not may_be_picture(kind):
        raise ProblemError(415, f"a file of type {kind} is not accepted; send a JPEG, PNG or WebP picture", _PLACE)
    data = b"".join(part.pieces)
    if not data:
        raise ProblemError(422, "the picture is empty (0 bytes)", _PLACE)
    return data


def _pictures(body: bytes, content_type: str, limits: FormLimits) -> list[_Part]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ProblemError(400, "the form cannot be read: its Content-Type has no boundary")
    try:
        form = _Form(boundary, limits)
        form.parser.write(body)
    except FormParserError as error:
        raise ProblemError(400, f"the form cannot be read: {error}") from error
    if not form.ended:
        raise ProblemError(400, "the form is cut short: its last boundary is missing")
    return form.pictures


def media_type(header: str | None) -> str:
    """The media type without parameters, in lower case; "" where there is none, `invalid` for what is none."""
    if header is None or not header.strip():
        return ""
    kind = header.partition(";")[0].strip().lower()
    return kind if kind.count("/") == 1 else "invalid"


def may_be_picture(kind: str) -> bool:
    """Whether a body declared as this media type is looked at."""
    return kind in ("", "application/octet-stream") or kind.startswith("image/")


_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "One picture, as a multipart field `image` or as the body itself. JPEG, PNG or WebP; its "
    "content decides which, not its declared type.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {"type": "string", "format": "binary", "description": "The picture, as a file."}
                },
            }
        },
        "image/jpeg": _BINARY,
        "image/png": _BINARY,
        "image/webp": _BINARY,
        "application/octet-stream": _BINARY,
    },
}
"""The request body for the OpenAPI document."""


class UploadMemory:
    """The bytes that all uploads together may take, counted as they arrive.

    Bytes are counted, not requests: many that send next to nothing take next to nothing away from the others. Where
    there is no room, one that has become slow gives way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._coming: dict[UploadShare, None] = {}
        self.used = 0

    @contextmanager
    def share(self, client_host: str = "") -> Iterator["UploadShare"]:
        """The share of one request, given back at the end."""
        share = UploadShare(self, client_host)
        self._coming[share] = None
        try:
            yield share
        finally:
            self.whole(share)
            self.used -= share.used

    def whole(self, share: "UploadShare") -> None:
        """All of the upload has come: it does not give way any more."""
        self._coming.pop(share, None)

    def take(self, size: int) -> None:
        """Count `size` more bytes. Raises ProblemError (503) where there is no room for them."""
        if self.used + size > self._most:
            slow = slowest(one for one in self._coming if one.used >= size)
            if slow is None:
                raise _no_room()
            slow.give_way()
        self.used += size


@dataclass(eq=False)
class UploadShare:
    """What one request takes of the upload memory."""

    memory: UploadMemory
    client_host: str = ""
    used: int = 0
    pace: Pace = field(default_factory=Pace)
    gave_way: bool = False
    _task: "asyncio.Task[object] | None" = None

    def take(self, size: int) -> None:
        """Count `size` more bytes of this request. Raises ProblemError as `UploadMemory.take`."""
        self.pace.count(size)
        self.memory.take(size)
        if self.gave_way:  # it was the slowest itself
            self.memory.used -= size
            raise _no_room()
        self.used += size

    async def next_message(self, request: Request) -> Message:
        """What comes next of this request's body. Raises ProblemError (503) where the upload has given way."""
        if self.gave_way:
            raise _no_room()
        self._task = asyncio.current_task()
        try:
            return await request.receive()
        except asyncio.CancelledError:
            if self.gave_way and self._task is not None and not self._task.uncancel():
                raise _no_room() from None
            raise
        finally:
            self._task = None

    def give_way(self) -> None:
        """Give back what is used, and end the upload."""
        self.memory.whole(self)
        self.memory.used -= self.used
        self.used = 0
        self.gave_way = True
        if self._task is not None:
            self._task.cancel()


def _no_room() -> ProblemError:
    return ProblemError(
        503,
        "too many uploads are under way; try again in 1 s",
        headers={"Retry-After": "1"},
        reason="upload_memory",
    )


@dataclass(frozen=True)
class Upload:
    """The body of a request as it arrived."""

    content_type: str | None
    chunks: list[bytes] = field(repr=False)

    def picture(self, limits: FormLimits) -> bytes:
        """The bytes of the picture; parses the form where it came in one.

        Raises ProblemError: 400 for a broken form, 413 for one over `limits`, 415 for a part of a type that
        cannot be a picture, 422 where there is no picture, an empty one, or more than one.
        """
        data = b"".join(self.chunks)
        if media_type(self.content_type) == "multipart/form-data":
            return picture_in_form(data, self.content_type or "", limits)
        if not data:
            raise ProblemError(422, "the request has no picture: its body is empty", "body")
        return data


async def receive_upload(request: Request, share: UploadShare) -> Upload:
    """Receive the body, counted in `share`; parsing it is for the thread that computes.

    Raises ProblemError, 415 for a content type that cannot be a picture and 503 where all uploads together are
    too large, and ClientDisconnect.
    """
    header = request.headers.get("content-type")
    kind = media_type(header)
    if kind != "multipart/form-data" and not may_be_picture(kind):
        raise ProblemError(
            415,
            f"a body of type {kind} is not accepted; send a JPEG, PNG or WebP picture as multipart/form-data in "
            f"the field {FIELD}, or as the body with Content-Type image/jpeg, image/png or image/webp",
        )
    chunks: list[bytes] = []
    more = True
    while more:
        message = await share.next_message(request)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        if chunk:
            share.take(len(chunk))
            chunks.append(chunk)
        more = message.get("more_body", False)
    share.memory.whole(share)
    return Upload(header, chunks)


async def client_gone(request: Request) -> None:
    """Return when the client of a request whose body has been received goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
