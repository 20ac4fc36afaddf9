"""The slowest, of uploads and of connections: who gives way to others where there are too many."""

import math
from collections import Counter
from collections.abc import Iterable
from time import monotonic
from typing import Protocol, TypeVar

from service.access import network

_WINDOW_SECONDS = 5.0
"""A pace is measured over the last one to two such windows; for the first window it is not known."""

_START_BYTES = 2**16
"""Each starts as if it had sent so much: of several that are new, the newest is not the slowest."""


class Pace:
    """The bytes a second of one body, or of one answer, in the last seconds."""

    def __init__(self) -> None:
        self._began = self._before_at = self._now_at = monotonic()
        self._before_bytes = _START_BYTES
        self._now_bytes = 0

    def count(self, size: int) -> None:
        """Count `size` bytes that have just come."""
        now = monotonic()
        if now - self._now_at > _WINDOW_SECONDS:
            self._before_bytes, self._before_at = self._now_bytes, self._now_at
            self._now_bytes, self._now_at = 0, now
        self._now_bytes += size

    def bytes_a_second(self, now: float) -> float:
        """The pace at the time `now`."""
        return (self._before_bytes + self._now_bytes) / max(now - self._before_at, 1e-3)

    def known(self, now: float) -> bool:
        """Whether it can be judged at the time `now`."""
        return now - self._began > _WINDOW_SECONDS


class Paced(Protocol):
    """An upload or a connection, which may give way to others."""

    @property
    def client_host(self) -> str:
        """The address of the client, as far as it is known."""

    @property
    def pace(self) -> Pace | None:
        """The pace, None while nothing waits for the client."""


P = TypeVar("P", bound=Paced)


def slowest(candidates: Iterable[P], most: float = math.inf) -> P | None:
    """The slowest of those whose pace is known, None where there are none.

    With `most`, instead the slowest of the client that has most of them, None where it has no more than `most`.
    """
    paced = [(one, pace, network(one.client_host)) for one in candidates if (pace := one.pace) is not None]
    now = monotonic()
    if most == math.inf:
        slow = [(one, pace) for one, pace, _ in paced if pace.known(now)]
    else:
        client, count = next(iter(Counter(client for _, _, client in paced).most_common(1)), ("", 0))
        slow = [(one, pace) for one, pace, whose in paced if whose == client] if count > most else []
    return min(slow, key=lambda pair: pair[1].bytes_a_second(now), default=(None, None))[0]
