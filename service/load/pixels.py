"""Pixels that are decoded at the same time, within a bound: large pictures wait for each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from model.errors import BusyError

SMALL = 1_000_000
"""A picture of so many pixels takes some megabytes and waits for no other: photographs, which are scaled down while
they are decoded, and the probe."""


class PixelBudget:
    """At most `most` pixels are decoded at the same time, by all threads together. Large pictures wait in turn.

    A picture waits on the thread that is to decode it, so that smaller ones may wait behind it in the queue.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def take(self, pixels: int, until: float) -> Iterator[None]:
        """Held while a picture is decoded. Raises BusyError where it would wait beyond `until`, of `monotonic`."""
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
        # One at a time waits for pixels, so that a large picture is not passed over by smaller ones for ever.
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


def _busy() -> BusyError:
    return BusyError("too many large pictures are decoded at the moment; try again in 5 s", retry_after=5)
