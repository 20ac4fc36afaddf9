"""Receiving a picture: as the body, or as the field `image` of a multipart form.

In reading order: receiving the bytes, the media type, the form, the document of the API.
"""

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from service.load import UploadShare
from service.problems import ProblemError
from service.settings import Settings

FIELD = "image"
_PLACE = f"body.{FIELD}"


@dataclass(frozen=True)
class Upload:
    """The body of a request as it arrived."""

    content_type: str | None
    chunks: list[bytes] = field(repr=False)

    def picture(self, settings: Settings) -> bytes:
        """The bytes of the picture; parses the form where it came in one.

        Raises ProblemError: 400 for a broken form, 413 for one of too many parts, 415 for a part of a type that
        cannot be a picture, 422 where there is no picture, an empty one, or more than one.
        """
        data = b"".join(self.chunks)
        if media_type(self.content_type) == "multipart/form-data":
            return picture_in_form(data, self.content_type or "", settings)
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


def media_type(header: str | None) -> str:
    """The media type without parameters, in lower case; "" where there is none, `invalid` for what is none."""
    if header is None or not header.strip():
        return ""
    kind = header.partition(";")[0].strip().lower()
    return kind if kind.count("/") == 1 else "invalid"


def may_be_picture(kind: str) -> bool:
    """Whether a body declared as this media type is looked at."""
    return kind in ("", "application/octet-stream") or kind.startswith("image/")


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    pieces: list[bytes] = field(default_factory=list)


class _Form:
    """Collects the parts named `image`, and passes over the others without keeping them."""

    def __init__(self, boundary: bytes, settings: Settings) -> None:
        self.pictures: list[_Part] = []
        self.ended = False
        self._settings = settings
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
            max_header_count=settings.max_part_headers,
            max_header_size=settings.max_part_header_bytes,
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._settings.max_parts:
            raise ProblemError(413, f"the form has more than {self._settings.max_parts} parts; send one picture")
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


def picture_in_form(body: bytes, content_type: str, settings: Settings) -> bytes:
    """The bytes of the file in the field `image` of a multipart body.

    Raises ProblemError: 400 for a broken form, 413 for one of too many parts, 415 for a file of a type that
    cannot be a picture, 422 where there is no picture, an empty one, or more than one.
    """
    parts = _pictures(body, content_type, settings) if body else []
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


def _pictures(body: bytes, content_type: str, settings: Settings) -> list[_Part]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ProblemError(400, "the form cannot be read: its Content-Type has no boundary")
    try:
        form = _Form(boundary, settings)
        form.parser.write(body)
    except FormParserError as error:
        raise ProblemError(400, f"the form cannot be read: {error}") from error
    if not form.ended:
        raise ProblemError(400, "the form is cut short: its last boundary is missing")
    return form.pictures


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
