"""What is asked with: pictures and sounds, as a path, as bytes, or as an image that Pillow has opened."""

import hashlib
import io
import os
from functools import cache
from pathlib import Path
from typing import IO

from PIL import Image

from model.errors import PictureError, PictureTooLargeError, SoundError
from model.picture_format import PictureLimits

PictureSource = str | os.PathLike[str] | bytes | Image.Image
"""A picture: the path of its file, the bytes of the file, or an image that Pillow has opened."""

SoundSource = str | os.PathLike[str] | bytes
"""A sound: the path of its file, or the bytes of the file."""


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


def digest_of(asked: bytes | str | os.PathLike[str]) -> str:
    """The hash of what was asked with, or of its file. Raises SoundError where that cannot be read."""
    if isinstance(asked, bytes):
        return hashlib.sha256(asked).hexdigest()
    try:
        with Path(asked).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SoundError(f"{asked} cannot be read: {error.strerror or error}") from error


@cache
def probe_picture() -> bytes:
    """A picture by which to see whether all works."""
    # Small enough for any limits that a service may have.
    gradient = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
    buffer = io.BytesIO()
    gradient.save(buffer, "PNG")
    return buffer.getvalue()
