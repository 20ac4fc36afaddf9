"""The pictures that are asked with: where their bytes come from, and room for their pixels."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import IO, Protocol

from PIL import Image

from index.answers.recommendation import Stages
from model.errors import PictureError, PictureTooLargeError
from model.picture_format import PictureLimits

PictureSource = str | os.PathLike[str] | bytes | Image.Image
"""A picture: the path of its file, the bytes of the file, or an image that Pillow has opened."""


def picture_data(source: PictureSource, limits: PictureLimits) -> bytes | Image.Image:
    """A picture as `model.picture` takes it. Raises as `read_picture`."""
    return source if isinstance(source, bytes | Image.Image) else read_picture(Path(source), limits)


def read_picture(source: Path | IO[bytes], limits: PictureLimits) -> bytes:
    """The bytes of a picture's file. Of a file that is too large, only one byte more than the limit is read.

    Raises PictureError where the file cannot be read, and PictureTooLargeError where it has too many bytes.
    """
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                data = file.read(limits.max_bytes + 1)
        else:
            data = source.read(limits.max_bytes + 1)
    except OSError as error:
        name = source if isinstance(source, Path) else "the picture"
        raise PictureError(f"{name} cannot be read: {error.strerror or error}") from error
    if len(data) > limits.max_bytes:
        raise PictureTooLargeError(
            f"the picture has more than {limits.max_bytes:,} bytes, which is the most accepted"
        )
    return data


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
