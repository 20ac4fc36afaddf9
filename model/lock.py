"""Keeping two runs of Thud from writing the same thing at once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ThudError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` alone until the end. Raises ThudError if another process holds it.

    The lock is the operating system's on a file beside the folder: it ends with the process, however that ends.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.with_name(f".{folder.name}.lock")
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ThudError(f"another thud is at work on {folder}") from error
        # The file stays: removed, it could be locked under one name by two processes that opened it in between.
        yield
