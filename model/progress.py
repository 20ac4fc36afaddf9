"""How far a long command is, on stderr: a bar on a terminal, plain lines now and then in a log."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm

_FIRST_SECONDS = 10.0
_MOST_SECONDS = 300.0


class Progress(Protocol):
    """Counts items that are done. Use it as a context manager."""

    def update(self, done: int = 1, /) -> object:
        """So many more are done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


def progress(title: str, total: int, unit: str, done: int = 0, *, quiet: bool = False) -> Progress:
    """Of `total` items called `unit`, `done` of them done before."""
    if sys.stderr.isatty() or quiet:
        return tqdm(
            total=total,
            initial=done,
            unit=unit,
            desc=title,
            mininterval=0.1,
            leave=False,
            file=sys.stderr,
            disable=quiet,
        )
    return _Lines(title, total, unit, done)


def say(line: str) -> None:
    """Write a line to stderr, above a bar that is there."""
    if sys.stderr.isatty():
        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 -- a log


class _Lines:
    """A line after 10 s, and then ever more rarely, at least every 5 min."""

    def __init__(self, title: str, total: int, unit: str, done: int) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._before = self._done = done
        self._began = time.monotonic()
        self._next = self._began + _FIRST_SECONDS

    def update(self, done: int = 1) -> None:
        self._done += done
        now = time.monotonic()
        if now < self._next:
            return
        seconds = now - self._began
        self._next = now + min(max(_FIRST_SECONDS, seconds / 2), _MOST_SECONDS)
        rate = (self._done - self._before) / seconds
        left = (self._total - self._done) / rate if rate else 0.0
        say(
            f"{self._title}: {self._done:,} of {self._total:,} {self._unit}s, "
            f"{rate:,.1f} {self._unit}s/s, about {_words(left)} left"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
