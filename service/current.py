"""The recommender that answers requests now; one that was replaced is closed when its last request is done."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from service.recommender import Recommender


@dataclass
class _Counted:
    recommender: Recommender
    users: int = 0
    retired: bool = False


class Current:
    """Holds one recommender at a time. Safe to use from several threads."""

    def __init__(self, first: Recommender) -> None:
        self._lock = threading.Lock()
        self._counted = _Counted(first)
        self.since = datetime.now(UTC)
        """When the one in use was taken."""

    @property
    def recommender(self) -> Recommender:
        """The one in use, for a look at it that needs it to be open no longer than this moment."""
        return self._counted.recommender

    @contextmanager
    def lease(self) -> Iterator[Recommender]:
        """The one in use, kept open until the lease ends."""
        with self._lock:
            counted = self._counted
            counted.users += 1
        try:
            yield counted.recommender
        finally:
            with self._lock:
                counted.users -= 1
                done = counted.retired and not counted.users
            if done:
                counted.recommender.close()

    def replace(self, following: Recommender) -> None:
        """Let `following` answer from now on; the one before is closed when nobody uses it any more."""
        with self._lock:
            before, self._counted = self._counted, _Counted(following)
            self.since = datetime.now(UTC)
        self._retire(before)

    def close(self) -> None:
        """Close the one in use when nobody uses it any more."""
        self._retire(self._counted)

    def _retire(self, counted: _Counted) -> None:
        with self._lock:
            counted.retired = True
            done = not counted.users
        if done:
            counted.recommender.close()


async def _leased(request: Request) -> AsyncIterator[Recommender]:
    current: Current = request.app.state.current
    with current.lease() as recommender:
        yield recommender


CurrentRecommender = Annotated[Recommender, Depends(_leased)]
