"""Room for the pixels of pictures that are decoded, and how long one waited for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import Protocol

from index.answers.recommendation import Stages


class PixelBound(Protocol):
    """Bounds the pixels that are decoded at the same time, in all pictures together; safe to use from threads."""

    def take(self, pixels: int, until: float) -> AbstractContextManager[object]:
        """A context that is held while so many pixels are in memory.

        Entering it may wait for other pictures; it raises BusyError instead of waiting longer than `until`, in
        seconds of `time.monotonic`.
        """
        ...


class Unbounded:
    """Bounds nothing."""

    def take(self, pixels: int, until: float) -> AbstractContextManager[object]:
        """A context that holds nothing."""
        return nullcontext()


class Room:
    """The wait of one picture, at the latest until `until`, for others that are decoded."""

    def __init__(self, bound: PixelBound, until: float) -> None:
        self._bound, self._until = bound, until
        self._waited = 0.0

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Held while so many pixels are in memory. Raises BusyError as `PixelBound.take`."""
        came = perf_counter()
        with self._bound.take(pixels, self._until):
            self._waited = perf_counter() - came
            yield

    def stages(self, began: float, decoded: float, embedded: float) -> Stages:
        """The stages of an answer that is done now; the times are of `perf_counter`."""
        return Stages(self._waited, decoded - began - self._waited, embedded - decoded, perf_counter() - embedded)
