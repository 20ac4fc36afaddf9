"""How many pixels of all pictures together are decoded at once: a picture of few bytes can have millions."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from service.problems import ProblemError

SMALL = 1_000_000
"""A picture of so many pixels takes some megabytes and waits for no other: photographs, which are scaled down while
they are decoded, and the probe."""


class PixelRoom:
    """Room for `most` pixels that are decoded at the same time, by any threads. Large pictures wait for it in turn.

    A picture waits on the thread that is to decode it, so that smaller ones may wait behind it in the queue.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def take(self, pixels: int, until: float) -> Iterator[None]:
        """Hold room for a picture. Raises ProblemError (503) where there is none `until` then, of `monotonic`."""
        if pixels <= SMALL:
            yield
            return
        self._wait(pixels, until)
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify()

    def _wait(self, pixels: int, until: float) -> None:
        # One at a time waits for room, so that a large picture is not passed over by smaller ones for ever.
        if not self._turn.acquire(timeout=min(threading.TIMEOUT_MAX, max(0.0, until - monotonic()))):
            raise _busy()
        try:
            with self._changed:
                left = min(threading.TIMEOUT_MAX, max(0.0, until - monotonic()))
                if not self._changed.wait_for(lambda: self._used + pixels <= self._most, left):
                    raise _busy()
                self._used += pixels
        finally:
            self._turn.release()


def _busy() -> ProblemError:
    return ProblemError(
        503,
        "too many large pictures are decoded at the moment; try again in 5 s",
        headers={"Retry-After": "5"},
        reason="pixels",
    )
