"""The bytes of uploads that arrive, all together within a bound."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import Message

from service.load.pace import Pace, slowest
from service.problems import ProblemError


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
