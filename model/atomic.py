"""Atomic writing: a reader sees a file or folder whole or not at all, also after a loss of power.

Each is written beside its target under a temporary name, locked (flock) while its process lives. What a killed
process has left is removed by the next one that writes to the same target. Reading is in `files`; `locks` keeps
two processes from working on one folder.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RANDOM = r"[a-z0-9_]{8}"  # as tempfile draws it


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on success it replaces `target`, on error it is removed."""
    _make_folder(target.parent)
    with claimed_file(target.parent, f".{target.name}.thud-", target.suffix) as aside:
        yield aside
        _sync(aside)
        # A temporary file is private; the target gets the permissions of any new file.
        aside.chmod(0o666 & ~_umask())
        aside.replace(target)
        sync_folder(target.parent)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` to fill; on success it takes the place of `target`.

    A folder that is at `target` already is moved away first and removed last. On error nothing of the new folder
    remains and `target` is as it was.
    """
    parent, new, old = target.parent, f".{target.name}.thud-", f".{target.name}.thud-old-"
    _make_folder(parent)
    for left in _left_by_the_dead(parent, old, ""):
        if not target.exists():  # killed between the two renames
            with suppress(OSError):
                (left / "was").rename(target)
    with claimed_folder(parent, new) as aside:
        yield aside
        for path in sorted(aside.rglob("*")):
            if path.is_file():
                _sync(path)
            elif path.is_dir():
                sync_folder(path)
        aside.chmod(0o777 & ~_umask())
        sync_folder(aside)
        if not target.exists():
            aside.rename(target)
            sync_folder(parent)
            return
        with claimed_folder(parent, old) as away:
            target.rename(away / "was")
            try:
                aside.rename(target)
            except BaseException:
                (away / "was").rename(target)
                raise
            sync_folder(parent)


@contextmanager
def claimed_file(folder: Path, prefix: str, suffix: str = "") -> Iterator[Path]:
    """Yield a new, empty, private file of a random name in `folder`; it is removed at the end, if still there."""
    with _claimed(folder, prefix, suffix) as aside:
        yield aside


@contextmanager
def claimed_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new, empty, private folder of a random name in `parent`; it is removed at the end, if still there."""
    with _claimed(parent, prefix, None) as aside:
        yield aside


@contextmanager
def _claimed(parent: Path, prefix: str, suffix: str | None) -> Iterator[Path]:
    """A new file, or a new folder where `suffix` is None; those that dead processes left are removed first."""
    for left in _left_by_the_dead(parent, prefix, suffix or ""):
        _remove(left)
    lock = None
    while lock is None:
        if suffix is None:
            aside = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        else:
            handle, name = tempfile.mkstemp(dir=parent, prefix=prefix, suffix=suffix)
            os.close(handle)
            aside = Path(name)
        # Another process may have found it before it was locked, and removed it as a dead one's.
        lock = _lock(aside)
    try:
        yield aside
    finally:
        _remove(aside)
        os.close(lock)


def _left_by_the_dead(parent: Path, prefix: str, suffix: str) -> Iterator[Path]:
    """The files and folders with such temporary names whose process has ended, each locked while it is yielded."""
    name = re.compile(re.escape(prefix) + _RANDOM + re.escape(suffix))
    with os.scandir(parent) as entries:
        found = [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    for path in found:
        lock = _lock(path, strict=True)
        if lock is not None:
            try:
                yield path
            finally:
                os.close(lock)


def _lock(path: Path, *, strict: bool = False) -> int | None:
    """A descriptor that locks the file or folder; None where another process holds it or it is gone.

    Where the file system has no locks, the descriptor locks nothing, or with `strict` is None.
    """
    kind = os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_NONBLOCK
    try:
        lock = os.open(path, kind | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if strict or error.errno == errno.ENOENT:
            return None
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except OSError as error:
        if not strict and error.errno not in (errno.EWOULDBLOCK, errno.ENOENT):
            return lock
    os.close(lock)
    return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _make_folder(folder: Path) -> None:
    """Make the folder and its parents, and bring their names to disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk, where its file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
