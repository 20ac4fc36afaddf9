"""How many CPUs this process may use and how many threads each request gets of them; work that nobody awaits."""

import ctypes
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

_LOWER = 10
"""By how much the number of a priority rises where others come first: they get nine times as much of a CPU."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ThreadShares:
    """Threads of a process: `workers` compute at the same time, each with `intra_op` threads of ONNX Runtime."""

    workers: int
    intra_op: int


def share_threads(cpus: int, workers: int | None = None) -> ThreadShares:
    """Divide `cpus` CPUs among `workers` requests at a time, by default one request per CPU.

    With more workers than CPUs each has one thread. Raises ValueError for a number below 1.

    One request per CPU answers the most pictures (docs/studies.md): threads that share a picture wait for
    each other. Fewer workers with more threads each answer a single request sooner.
    """
    workers = cpus if workers is None else workers
    if cpus < 1 or workers < 1:
        raise ValueError(f"{workers} workers cannot share {cpus} CPUs")
    return ThreadShares(workers, max(1, cpus // workers))


def run_aside(work: Callable[[], object]) -> None:
    """Do `work` on a thread of its own, without waiting for it; at once where the system has no thread to give."""
    try:
        threading.Thread(target=work, name="aside").start()
    except RuntimeError:
        work()


def with_lower_priority(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises, done on a thread of its own that leaves the CPUs to others who need them.

    So do the threads that it starts. Only Linux has priorities of threads; elsewhere it is done as any work.
    """

    def lowered() -> Result:
        if sys.platform == "linux":
            # Lowering needs no privilege. Only raising does, so that this thread can do nothing else afterwards.
            with suppress(OSError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _LOWER)
        return work()

    with ThreadPoolExecutor(1, thread_name_prefix="beside") as pool:
        return pool.submit(lowered).result()


def no_thread_left(error: RuntimeError) -> bool:
    """Whether the system had no thread to give: Python raises no MemoryError then, and only its words say so."""
    return str(error) == "can't start new thread"


def give_memory_back() -> None:
    """Give the system what was freed and kept for later. Does nothing with other C libraries than glibc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def available_cpus(system: Path = Path("/")) -> int:
    """CPUs that this process may use: the smallest of its affinity and its control groups' quotas, at least 1.

    A quota of 1.5 CPUs counts as 2. `system` is the root of the file system where /proc and /sys are read.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cpus = os.cpu_count() or 1
    return max(1, min([cpus, *(math.ceil(quota) for quota in _quotas(system))]))


def _quotas(system: Path) -> Iterator[float]:
    """CPUs that each control group of this process allows, version 1 and 2; groups without a limit are left out.

    /proc/self/cgroup names the group by its path from the root of the mount. Inside a container that path may
    be the host's, which the container cannot see; its own group is then the root of the mount. So every folder
    from the path up to the root is read, and those that do not exist are skipped. The limits of the groups around
    a group also hold for it.
    """
    mounts = system / "sys/fs/cgroup"
    for controllers, group in _groups(system):
        # Version 2 has one line without controllers; version 1 one line per hierarchy, mounted under their names.
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in [mounts / controllers, mounts / "cpu"] if controllers else [mounts, mounts / "unified"]:
            for folder in (group, *group.parents):
                quota = _quota_v1(mount / folder) if controllers else _quota_v2(mount / folder)
                if quota is not None:
                    yield quota


def _groups(system: Path) -> list[tuple[str, PurePosixPath]]:
    """Controllers and group of each line of /proc/self/cgroup; the roots of both versions where it is missing."""
    root = PurePosixPath()
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return [("", root), ("cpu", root)]
    groups = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # A group outside the process's cgroup namespace has a path that begins with "..".
        groups.append((controllers, PurePosixPath(*(part for part in path.split("/") if part not in ("", "..")))))
    return groups


def _quota_v2(folder: Path) -> float | None:
    try:
        limit, period = (folder / "cpu.max").read_text().split()
        return None if limit == "max" else _positive(float(limit) / float(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        limit = float((folder / "cpu.cfs_quota_us").read_text())
        return _positive(limit / float((folder / "cpu.cfs_period_us").read_text()))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _positive(quota: float) -> float | None:
    """The quota, None where it stands for no limit (-1) or is no number."""
    return quota if 0 < quota < math.inf else None
