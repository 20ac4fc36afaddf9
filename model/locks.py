"""One process at a time: a lock that ends with its process, also where the file system has no locks."""

import errno
import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from model.errors import ThudError

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What flock says where the file system has no locks, such as NFS without its lock service."""


@contextmanager
def exclusive(
    folder: Path, file: Path | None = None, refusal: str = "another thud is at work on"
) -> Iterator[None]:
    """Hold a lock on `folder` inside the block. Raises ThudError, "`refusal` folder", if another process holds it.

    The lock is an flock on `file`, by default a hidden file beside the folder, so that it ends with the process,
    however that ends. Where the file system has no locks, it is a second file that names the process and its
    machine; one whose process has ended is taken over, but only on its own machine.
    """
    file = file or folder.with_name(f".{folder.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ThudError(f"{refusal} {folder}") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            # The file is never removed: otherwise one process could lock the removed file and another a new one.
            yield
            return
    held = file.with_name(f"{file.name}.held")
    _hold(held, f"{refusal} {folder}")
    try:
        yield
    finally:
        held.unlink(missing_ok=True)


def _hold(held: Path, refusal: str) -> None:
    """Make the file `held`, which names this process. Raises ThudError where it names one that may be alive."""
    mine = json.dumps(_this_process())
    # Written whole under another name: a link is made in one step, and fails where there is one already.
    handle, name = tempfile.mkstemp(dir=held.parent, prefix=f"{held.name}.")
    try:
        with os.fdopen(handle, "w") as out:
            out.write(mine)
        while not _linked(Path(name), held):
            holder = _read(held)
            if holder is not None and _may_be_alive(holder):
                raise ThudError(
                    f"{refusal} (process {holder.get('pid')!a} on {holder.get('host')!a}; "
                    f"if that has ended, remove {held})"
                )
            _take_away(held, holder)
    finally:
        Path(name).unlink(missing_ok=True)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # there are no links either: creating is one step as well, only then writing comes after it
        try:
            with target.open("x") as out:
                out.write(source.read_text())
        except FileExistsError:
            return False
    return True


def _take_away(held: Path, holder: dict[str, Any] | None) -> None:
    """Remove the file of a process that has ended, unless another process was faster and it is now that one's."""
    aside = held.with_name(f"{held.name}.{os.getpid()}.ended")
    with suppress(FileNotFoundError):
        held.rename(aside)
        if holder is not None and _read(aside) != holder:
            _linked(aside, held)
        aside.unlink()


def _read(held: Path) -> dict[str, Any] | None:
    """What the file says; None where it is gone or says nothing, as after a loss of power."""
    try:
        found = json.loads(held.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "started": _started(pid)}


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since this machine was (Linux): a later process may have its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


def _may_be_alive(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return _started(pid) == holder.get("started")
