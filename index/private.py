"""Private copies of a generation's files, which nobody else can change.

A file that is mapped, or read piece by piece, shows what others do to it: if it is overwritten in place, answers
are wrong; if it is cut short, the process dies. So small files are read into memory, and large ones are copied to a
file without a name in the folder for temporary files (TMPDIR). The bytes of the copy are checked against
index.json. Damage on disk after that harms no process that has the index open, and it cannot be opened again.

The processes of one service share one copy of the vectors, so that it takes space on disk and in memory once.
SQLite cannot open a file without a name, so that each process has its own copy of a large catalogue.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import stat
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from model.atomic import claimed_file
from model.errors import LibraryError
from model.files import FileRecord, checked_blocks, open_regular
from model.threads import run_aside, with_lower_priority

IN_MEMORY_BYTES = 64 * 2**20
"""Larger files are copied: 100,000 vectors of 128 numbers take 51 MB."""

_PATIENCE_SECONDS = 60.0
_LET_GO_BYTES = 8 * 2**20
_SMALL_BYTES = 2**20

_NOT_READ = (errno.EIO, errno.ESTALE, errno.ENXIO)

_CACHE_LINE = 64

Content = memoryview | mmap.mmap
Scalar = TypeVar("Scalar", bound=np.generic)


def checked(path: Path, record: FileRecord) -> Iterator[memoryview]:
    """The content of a generation's file, block by block, each valid until the next.

    Raises LibraryError where its hash is another.
    """
    try:
        yield from checked_blocks(path, record)
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise LibraryError(f"{path} is damaged: {error} in index.json; run thud index again") from error


def private_content(path: Path, record: FileRecord, *, beside: bool = False) -> Content:
    """The content of a file, in memory or mapped from a copy that has no name.

    In memory, it begins a cache line. `beside`: others are at work meanwhile, and a copy is made with lower
    priority than theirs. Raises LibraryError where the hash is not that of `record`, or where there is no space for
    the copy.
    """
    if record.bytes <= IN_MEMORY_BYTES:
        return _in_memory(path, record)
    with _one_at_a_time(path):
        found = _of_another_process(record)
        if found is not None:
            return found
        with _copy(path, record, beside) as copy, copy.open("rb") as handle:
            return _mapped(handle)


def put_aside(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """A large array, mapped from a file without a name, so that the system can have its memory back.

    On the heap it would leave a hole, which a picture's memory takes in part, so that the next one finds no room in
    it. A small array, or one for which there is no file, is returned as it is.
    """
    if array.nbytes > _SMALL_BYTES:
        with suppress(OSError), tempfile.TemporaryFile(buffering=0) as file:
            _write(file, array.data.cast("B"))
            return np.frombuffer(_mapped(file), array.dtype).reshape(array.shape)
    return array


def let_go(content: Content) -> None:
    """Take a mapped copy out of this process's memory. What is read of it comes back, from the system's memory."""
    if isinstance(content, mmap.mmap):
        # Piece by piece: no other thread can run Python during a call, and for all of a large copy it takes 10 ms.
        for start in range(0, len(content), _LET_GO_BYTES):
            content.madvise(mmap.MADV_DONTNEED, start, min(_LET_GO_BYTES, len(content) - start))


@contextmanager
def private_file(path: Path, record: FileRecord, *, beside: bool = False) -> Iterator[Path | memoryview]:
    """Like `private_content`, for a file that must be opened by its name: the content in memory, or a copy's path.

    The name is removed at the end of the context; who has the file open can read on. This copy is not shared.
    """
    if record.bytes <= IN_MEMORY_BYTES:
        yield _in_memory(path, record)
    else:
        with _copy(path, record, beside) as copy:
            yield copy


def _in_memory(path: Path, record: FileRecord) -> memoryview:
    buffer = np.empty(record.bytes + _CACHE_LINE, np.uint8)
    start = -buffer.ctypes.data % _CACHE_LINE
    content = buffer.data[start : start + record.bytes]
    place = 0
    for block in checked(path, record):
        content[place : place + len(block)] = block
        place += len(block)
    return content


@contextmanager
def _copy(path: Path, record: FileRecord, beside: bool) -> Iterator[Path]:
    """A copy of a file, checked when it is made. Its name, with the file's hash, is removed at the end."""
    folder: Path | str = "the folder for temporary files"
    try:
        folder = Path(tempfile.gettempdir())
        with claimed_file(folder, _prefix(record)) as copy:
            # Emptied when it is opened: file systems write such a file to the disk when it is closed, rather than
            # half a minute later, and the system can have its pages back from then on.
            with copy.open("w+b", buffering=0) as out:
                with_lower_priority(partial(_fill, out, path, record)) if beside else _fill(out, path, record)
            yield copy
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in _NOT_READ:
            raise LibraryError(f"{path} cannot be read, or not be copied to {folder}: {why}") from error
        raise LibraryError(
            f"{folder} has no room for a copy of {path}, {record.bytes:,} bytes: {why}; "
            "let TMPDIR name a folder that has"
        ) from error


def _fill(out: FileIO, path: Path, record: FileRecord) -> None:
    """Copy a file and check what was copied. Raises OSError where there is no room, LibraryError for other files.

    In two calls, outside of Python: whoever waits for Python is not held up by a thread of lower priority that has
    just got hold of it and gets no CPU.
    """
    try:
        handle = open_regular(path)
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error
    with handle:
        if os.fstat(handle.fileno()).st_size != record.bytes:
            raise _damaged(path, "its size")
        _send(handle, out, record.bytes)
    if out.tell() != record.bytes:
        raise _damaged(path, "its size")
    with mmap.mmap(out.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        digest = hashlib.sha256(mapped).hexdigest()
        let_go(mapped)
    if digest != record.sha256:
        raise _damaged(path, "its SHA-256")


def _send(handle: BinaryIO, out: FileIO, size: int) -> None:
    try:
        while sys.platform == "linux" and (left := size - out.tell()):  # elsewhere it sends to sockets alone
            if not os.sendfile(out.fileno(), handle.fileno(), None, left):
                break
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # some file systems cannot
            raise
    shutil.copyfileobj(handle, out)


def _damaged(path: Path, what: str) -> LibraryError:
    return LibraryError(f"{path} is damaged: {what} is not the one in index.json; run thud index again")


def _mapped(file: FileIO | BinaryIO) -> mmap.mmap:
    """The file, mapped. When nobody uses it any more, it is closed aside.

    The last one who closes a file without a name takes it off the disk, and meanwhile mmap would let no other
    thread run Python: for how long is in docs/decisions/index.md.
    """
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # keeps a descriptor of its own
    last = os.dup(file.fileno())
    weakref.finalize(mapped, run_aside, partial(os.close, last)).atexit = False
    return mapped


def _write(out: BinaryIO, block: memoryview) -> None:
    rest = block
    while rest:
        rest = rest[out.write(rest) :]


def _prefix(record: FileRecord) -> str:
    return f"thud-{record.sha256}-"


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """A lock for the processes that open the same file: the first makes a copy, the others then find it.

    After a minute of waiting it goes on without the lock: a stranger may hold it.
    """
    try:
        handle = open_regular(path)
    except OSError:  # opening it for the copy will raise the same
        yield
        return
    with handle:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # there are no locks here
                break
            else:
                break
        yield


def _of_another_process(record: FileRecord) -> mmap.mmap | None:
    """The copy that a process of this service, this one included, has made already; found on Linux alone."""
    for descriptor in _descriptors_of_siblings():
        with suppress(OSError, ValueError):
            if _prefix(record) not in str(descriptor.readlink()):
                continue
            with open_regular(descriptor) as handle:
                status = os.fstat(handle.fileno())
                # A file without a name that only its owner may open: no other user can change it.
                if status.st_nlink == 0 and stat.S_IMODE(status.st_mode) == 0o600:
                    mapped = _mapped(handle)
                    if len(mapped) == record.bytes and hashlib.sha256(mapped).hexdigest() == record.sha256:
                        return mapped
    return None


def _descriptors_of_siblings() -> Iterator[Path]:
    """The open files of all children of this process's parent, itself among them."""
    for children in Path(f"/proc/{os.getppid()}/task").glob("*/children"):
        with suppress(OSError):
            for process in children.read_text().split():
                yield from Path(f"/proc/{process}/fd").iterdir()
