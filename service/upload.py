"""Receiving a picture or a sound: as the body, or as a field of a multipart form.

In reading order: the two kinds, receiving the bytes, the media type, the form, the document of the API.
"""

import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from model.sound_format.formats import FORMATS
from service.load.uploads import UploadShare
from service.problems import ProblemError
from service.settings import Settings

_UNDECLARED = ("", "application/octet-stream")
_FILENAME = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)
"""A part with a file name in either form (RFC 7578, 4.2) is a file."""


@dataclass(frozen=True)
class UploadKind:
    """What may be uploaded. `declared` are the media types that the document names; its content decides anyway.

    `field` is its field in a form. A body of another type is looked at if it begins with one of `prefixes`.
    """

    noun: str
    field: str
    formats: str
    declared: tuple[str, ...]
    prefixes: tuple[str, ...]

    def accepts(self, media_type: str) -> bool:
        """Whether a body declared as this media type is looked at."""
        return media_type in _UNDECLARED or media_type.startswith(self.prefixes)

    @property
    def place(self) -> str:
        """Where it is in a form, for the errors of a problem."""
        return f"body.{self.field}"


PICTURE = UploadKind(
    noun="picture",
    field="image",
    formats="JPEG, PNG, WebP or AVIF",
    declared=("image/jpeg", "image/png", "image/webp", "image/avif"),
    prefixes=("image/",),
)
SOUND = UploadKind(
    noun="sound",
    field="sound",
    formats="WAV, FLAC, Ogg, MP3, AIFF, CAF, W64 or AU",
    declared=tuple(dict.fromkeys(one.media_type for one in FORMATS.values())),
    prefixes=("audio/", "application/ogg", "video/ogg"),
)


@dataclass(frozen=True)
class Upload:
    """The body of a request as it arrived; `parameters` are those that its address takes."""

    kind: UploadKind
    content_type: str | None
    chunks: list[bytes] = field(repr=False)
    parameters: frozenset[str]

    def content(self, settings: Settings) -> bytes:
        """The bytes of the picture or sound; parses the form where it came in one.

        Raises ProblemError: 400 for a broken form, 413 for one of too many parts, 415 for a part of a type that
        cannot be of this kind, 422 where there is none, an empty one, or more than one, and for a parameter in the
        form.
        """
        data = b"".join(self.chunks)
        if media_type(self.content_type) == "multipart/form-data":
            return file_in_form(data, self.content_type or "", self.kind, settings, self.parameters)
        if not data:
            raise ProblemError(422, f"the request has no {self.kind.noun}: its body is empty", "body")
        return data


async def receive_upload(
    request: Request, kind: UploadKind, share: UploadShare, parameters: frozenset[str]
) -> Upload:
    """Receive the body, counted in `share`; parsing it is for the thread that computes.

    `parameters` are those of the address, which may not stand in a form.

    Raises ProblemError, 415 for a content type that cannot be of this `kind` or a body that is compressed, 503
    where all uploads together are too large, and ClientDisconnect.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProblemError(
            415,
            f"a body in {coding[:40]!r} is not accepted; send the {kind.noun} as it is, without Content-Encoding",
            "header.Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )
    header = request.headers.get("content-type")
    sent = media_type(header)
    if sent != "multipart/form-data" and not kind.accepts(sent):
        *others, last = kind.declared
        raise ProblemError(
            415,
            f"a body of type {sent} is not accepted; send a {kind.formats} {kind.noun} as multipart/form-data in "
            f"the field {kind.field}, or as the body with Content-Type {', '.join(others)} or {last}"
            f"{_advice_for(sent)}",
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
    return Upload(kind, header, chunks, parameters)


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


_OF_TEXT = "; if it is a data: URL or in base64, decode it and send the bytes"


def _advice_for(sent: str) -> str:
    """What else to say of this media type: browsers declare `text/plain` where a script sends a data: URL."""
    return _OF_TEXT if sent == "text/plain" else ""


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    pieces: list[bytes] = field(default_factory=list)

    def header(self, name: bytes) -> str | None:
        """The header of this name, which is in small letters."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _Form:
    """Collects the parts of the field of `kind`; of the others it keeps only their names."""

    def __init__(self, boundary: bytes, kind: UploadKind, settings: Settings) -> None:
        self.found: list[_Part] = []
        self.others: set[str] = set()
        self.ended = False
        self._kind = kind
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
            raise ProblemError(
                413, f"the form has more than {self._settings.max_parts} parts; send one {self._kind.noun}"
            )
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise FormParserError("a part has no name")
        self._part.name = options[b"name"].decode(errors="replace")
        kind = media_type(self._part.header(b"content-type"))
        # Only browsers must give a file its name; without one, its type tells it from text.
        self._part.is_file = bool(_FILENAME.search(disposition)) or (kind != "" and self._kind.accepts(kind))
        if self._part.name == self._kind.field:
            self.found.append(self._part)
        else:
            self.others.add(self._part.name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == self._kind.field and self._part.is_file:
            self._part.pieces.append(data[start:end])

    def _end(self) -> None:
        self.ended = True


def file_in_form(
    body: bytes,
    content_type: str,
    kind: UploadKind,
    settings: Settings,
    parameters: frozenset[str],
) -> bytes:
    """The bytes of the file in the field of `kind` of a multipart body.

    Raises ProblemError: 400 for a broken form, 413 for one of too many parts, 415 for a file of a type that
    cannot be of this kind, 422 where there is none, an empty one, or more than one, and for fields that would be
    passed over: that of the other kind, and one that is named like one of the address's `parameters`.
    """
    field, noun = kind.field, kind.noun
    parts, others = _parts(body, content_type, kind, settings) if body else ([], set())
    if misplaced := sorted(others & parameters):
        name = misplaced[0]
        raise ProblemError(
            422, f"{name} stands in the form; it belongs in the address, as ?{name}=...", f"body.{name}"
        )
    if not parts:
        raise ProblemError(422, f"the form has no field {field}; send the {noun} in it", kind.place)
    if len(parts) > 1:
        raise ProblemError(422, f"the form has {len(parts)} fields {field}; send one {noun} a request", kind.place)
    other = SOUND if kind is PICTURE else PICTURE
    if other.field in others:
        raise ProblemError(422, f"the form has a field {other.field}, too; send the {noun} alone", other.place)
    part = parts[0]
    if not part.is_file:
        raise ProblemError(422, f"the field {field} is text; send the {noun} as a file{_OF_TEXT}", kind.place)
    sent = media_type(part.header(b"content-type"))
    if not kind.accepts(sent):
        detail = f"a file of type {sent} is not accepted; send a {kind.formats} {noun}{_advice_for(sent)}"
        raise ProblemError(415, detail, kind.place)
    data = _without_coding(part, kind)
    if not data:
        raise ProblemError(422, f"the {noun} is empty (0 bytes)", kind.place)
    return data


_AS_IT_IS = ("", "7bit", "8bit", "binary")


def _without_coding(part: _Part, kind: UploadKind) -> bytes:
    """The content of a part, which mail's libraries send in base64."""
    data = b"".join(part.pieces)
    coding = (part.header(b"content-transfer-encoding") or "").strip().lower()
    if coding in _AS_IT_IS:
        return data
    try:
        if coding == "base64":
            return binascii.a2b_base64(data)
    except binascii.Error as error:
        raise ProblemError(
            400, f"the {kind.noun} is not in base64, as its part says: {error}", kind.place
        ) from error
    raise ProblemError(
        415, f"a part in {coding[:40]!r} is not accepted; send the {kind.noun} as it is, or in base64", kind.place
    )


def _parts(body: bytes, content_type: str, kind: UploadKind, settings: Settings) -> tuple[list[_Part], set[str]]:
    """The parts of the field of `kind`, and the names of the others."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ProblemError(400, "the form cannot be read: its Content-Type has no boundary")
    try:
        form = _Form(boundary, kind, settings)
        form.parser.write(_without_preamble(body, boundary))
    except FormParserError as error:
        raise ProblemError(400, f"the form cannot be read: {error}") from error
    if not form.ended:
        raise ProblemError(400, "the form is cut short: its last boundary is missing")
    return form.found, form.others


def _without_preamble(body: bytes, boundary: bytes) -> bytes:
    """The form from its first boundary on: what stands before that is for nobody (RFC 2046, 5.1.1)."""
    first = b"--" + boundary
    if body.startswith(first):
        return body
    at = body.find(b"\r\n" + first)
    return body[at + 2 :] if at >= 0 else body


def request_body(kind: UploadKind) -> dict[str, Any]:
    """The request body for the OpenAPI document."""
    binary = {"type": "string", "format": "binary"}
    described = binary | {"description": f"The {kind.noun}, as a file."}
    form = {"type": "object", "required": [kind.field], "properties": {kind.field: described}}
    bodies = (*kind.declared, "application/octet-stream")
    return {
        "required": True,
        "description": f"One {kind.noun}, as a multipart field `{kind.field}` or as the body itself. "
        f"{kind.formats}; its content decides which, not its declared type.",
        "content": {"multipart/form-data": {"schema": form}} | {name: {"schema": binary} for name in bodies},
    }
