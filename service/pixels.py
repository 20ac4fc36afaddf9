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

    Whoever has waited for `seconds` is refused: that is as long as a request may take, so that nobody waits for it.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._used = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Hold room for a picture. Raises ProblemError (503) where there is none for too long."""
        if pixels <= SMALL:
            yield
            return
        self._wait(pixels)
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify()

    def _wait(self, pixels: int) -> None:
        end = monotonic() + self._seconds
        # One at a time waits for room, so that a large picture is not passed over by smaller ones for ever.
        if not self._turn.acquire(timeout=self._seconds):
            raise _busy()
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._used + pixels <= self._most, end - monotonic()):
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
