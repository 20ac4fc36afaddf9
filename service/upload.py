"""Getting the one picture out of a request: a multipart field `image`, or the body itself."""

from email.message import Message
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from service.problems import ProblemError

FIELD = "image"

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


async def read_picture(request: Request) -> bytes:
    """The bytes of the request's picture.

    Raises ProblemError: 415 for a content type that cannot be a picture, 422 where there is no picture, an
    empty one, or more than one.
    """
    kind = _media_type(request.headers.get("content-type"))
    if kind == "multipart/form-data":
        return await _from_form(request)
    if not _may_be_picture(kind):
        raise ProblemError(
            415,
            f"a body of type {kind} is not accepted; send a JPEG, PNG or WebP picture as multipart/form-data in "
            f"the field {FIELD}, or as the body with Content-Type image/jpeg, image/png or image/webp",
        )
    data = await request.body()
    if not data:
        raise ProblemError(422, "the request has no picture: its body is empty", "body")
    return data


async def _from_form(request: Request) -> bytes:
    place = f"body.{FIELD}"
    # Leaving the form closes its files, and with them the temporary ones that large parts are spooled to.
    async with request.form() as form:
        parts = form.getlist(FIELD)
        if not parts:
            raise ProblemError(422, f"the form has no field {FIELD}; send the picture in it", place)
        if len(parts) > 1:
            raise ProblemError(422, f"the form has {len(parts)} fields {FIELD}; send one picture a request", place)
        part = parts[0]
        if not isinstance(part, UploadFile):
            raise ProblemError(422, f"the field {FIELD} is text; send the picture as a file", place)
        kind = _media_type(part.content_type)
        if not _may_be_picture(kind):
            raise ProblemError(
                415, f"a file of type {kind} is not accepted; send a JPEG, PNG or WebP picture", place
            )
        data = await part.read()
        if not data:
            raise ProblemError(422, "the picture is empty (0 bytes)", place)
        return data


def _media_type(header: str | None) -> str:
    """The media type without parameters, in lower case; "" where there is none."""
    if header is None:
        return ""
    message = Message()
    message["content-type"] = header
    return message.get_content_type() if header.strip() else ""


def _may_be_picture(kind: str) -> bool:
    return kind in ("", "application/octet-stream") or kind.startswith("image/")
