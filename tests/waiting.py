"""Waiting for what other processes do, for a while and no longer."""

import time
from collections.abc import Callable


def within(seconds: float, holds: Callable[[], bool], *, every: float = 0.02) -> None:
    """Wait until it holds; it is looked at `every` so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(every)
