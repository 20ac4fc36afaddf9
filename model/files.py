"""Reading files that somebody else may have put there: without blocking, up to a size, checked against a hash.

On top of it the two kinds of content: JSON (`read_json`) and NumPy arrays (`read_arrays`). Writing is in `atomic`.
"""

import errno
import hashlib
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_BLOCK = 2**18
"""Bytes that are read at a time: they stay in the cache of a core while they are hashed and written."""
_DEEPEST = 64


class FileRecord(BaseModel):
    """SHA-256 (hex) and size of a file."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int = Field(ge=0)


def file_record(path: Path) -> FileRecord:
    """Hash and size of a file. Raises OSError."""
    with open_regular(path) as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        return FileRecord(sha256=digest, bytes=handle.tell())


def open_regular(path: Path) -> FileIO:
    """Open a file for reading, without ever blocking. Raises OSError, also for a pipe, a device or a folder."""
    # Checked before, because opening a device can have effects; and after, because the file may have been replaced.
    _check_regular(path.stat())
    handle = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    try:
        _check_regular(os.fstat(handle.fileno()))
    except OSError:
        handle.close()
        raise
    return handle


def read_bounded(path: Path, most: int) -> bytes:
    """The whole of a file. Raises OSError, also where it has more than `most` bytes."""
    content = b""
    with open_regular(path) as handle:
        # Not by the size that the system gives: it is 0 for files in /proc.
        while block := handle.read(most + 1 - len(content)):
            content += block
            if len(content) > most:
                raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return content


def checked_blocks(path: Path, record: FileRecord) -> Iterator[memoryview]:
    """The content of a file, block by block; each is valid until the next is asked for.

    Raises OSError where it cannot be read, and ValueError, possibly only after the last block, where it differs
    from `record`. The caller adds to the message where the record came from.
    """
    digest, left = hashlib.sha256(), record.bytes
    buffer = memoryview(bytearray(_BLOCK))
    with open_regular(path) as handle:
        if os.fstat(handle.fileno()).st_size != record.bytes:
            raise ValueError("its size is not the one")
        while left and (read := handle.readinto(buffer[: min(_BLOCK, left)])):
            left -= read
            digest.update(buffer[:read])
            yield buffer[:read]
    if left or digest.hexdigest() != record.sha256:
        raise ValueError("its SHA-256 is not the one")


def read_json(path: Path, most: int = 2**22) -> Any:
    """The value of a JSON file of at most `most` bytes.

    Raises OSError where it cannot be read, and ValueError where it is no JSON in UTF-8, is nested deeper than 64
    levels, or has a key twice or a number that is not finite.
    """
    try:
        text = read_bounded(path, most).decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels") from error
    level = [value]
    for _ in range(_DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for values in inner for one in values]
    if level:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    return value


def read_arrays(
    source: Path | BinaryIO, names: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """The arrays `names` of a NumPy archive (.npz), and those of `optional` that it has, as they are stored.

    Raises ValueError where the file is no archive, is damaged or lacks an array, OSError where it cannot be opened.
    """
    if not zipfile.is_zipfile(source):
        if isinstance(source, Path):
            source.stat()  # raises the OSError of a missing file
        raise ValueError("it is no NumPy archive (.npz)")
    arrays = {}
    with np.load(source, allow_pickle=False) as stored:
        for name in (*names, *(name for name in optional if name in stored)):
            if name not in stored:
                raise ValueError(f"it has no array {name}")
            try:
                array = stored[name]
            except Exception as error:  # zipfile, zlib and NumPy each raise errors of their own for damage
                raise ValueError(f"{name} cannot be read: {error}") from error
            if not isinstance(array, np.ndarray):  # NumPy gives bytes for a member that is no array
                raise ValueError(f"{name} is no array")
            arrays[name] = array
    return arrays


def first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, with its place, in one line."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))[:80]
    return f"{place if place.isprintable() else ascii(place)}: {first['msg']}"


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number
