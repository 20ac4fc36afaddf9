"""Receiving a picture: how a request may send it, and how much of all uploads may lie in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service.form import FIELD, may_be_picture, media_type, picture_in_form
from service.limits import FormLimits
from service.places import Pace, slowest
from service.problems import ProblemError

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
