"""Indexing runs in processes of their own, which are killed at a step or at a moment.

They are forked (see forks.py) from a process that has read all that a run needs.
"""

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from signal import SIGKILL
from typing import Any

import index.building.run
import index.publishing
from index.building.build import build_index
from index.building.cache import IndexCache
from index.building.lock import only_writer
from index.library.names import read_name
from model.bundle import Bundle
from model.objects import objects_named
from tests.index.forks import context

MOST_SECONDS = 120
"""A process that is not killed ends within this time."""

Work = Callable[[], object]
"""What a process does; it is pickled."""

STEPS: dict[str, tuple[Any, str]] = {
    "files found": (index.building.run, "find_library"),
    "cache opened": (index.building.run, "IndexCache"),
    "content added": (IndexCache, "add"),
    "file remembered": (IndexCache, "remember"),
    "cache committed": (IndexCache, "commit"),
    "generation kept": (IndexCache, "keep_generation"),
    "sounds embedded": (index.building.run, "embed_sounds"),
    "skipped written": (index.building.run, "write_skipped"),
    "options written": (index.building.run, "write_options"),
    "catalogue written": (index.building.run, "write_catalogue"),
    "records written": (index.building.run.Run, "_write_records"),
    "catalogue moved": (shutil, "move"),
    "files hashed": (index.publishing, "file_record"),
    "index.json written": (index.publishing, "_write_spec"),
    "generation published": (index.publishing, "atomic_folder"),
    "names synced": (index.publishing, "sync_folder"),
    "pointer written": (index.publishing, "atomic_file"),
    "old generations removed": (index.publishing, "_remove_but"),
    "cache pruned": (IndexCache, "published"),
}
"""Each step of a run, and the function that does it: the process is killed before it and after it."""

# The tables of words, read here once for all runs.
objects_named("metal/pan.wav")
read_name("metal/pan.wav")


def indexing(bundle: Bundle, sounds: Path, folder: Path) -> Work:
    """An indexing run."""
    return partial(build_index, bundle, sounds, folder, workers=2)


def killed_at(step: str, work: Work, *, after: bool, times: int = 1) -> Work:
    """The work, killed before or after it has done the step for the n-th time."""
    return partial(_killed_at, step, work, after, times)


def _killed_at(step: str, work: Work, after: bool, times: int) -> None:
    place, name = STEPS[step]
    original = getattr(place, name)
    count = 0

    def killer(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == times and not after:
            os.kill(os.getpid(), SIGKILL)
        result = original(*arguments, **options)
        if count == times and after:
            if hasattr(result, "__exit__") and not isinstance(result, IndexCache | Path):
                return _killed_at_the_end(result)
            os.kill(os.getpid(), SIGKILL)
        return result

    setattr(place, name, killer)
    work()


@contextmanager
def _killed_at_the_end(manager: Any) -> Iterator[Any]:
    with manager as value:
        yield value
    os.kill(os.getpid(), SIGKILL)


def with_full_disk(work: Work, most: int) -> Work:
    """The work where no file can be longer than `most` bytes."""
    return partial(_with_full_disk, work, most)


def _with_full_disk(work: Work, most: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    work()


def exit_code(work: Work, after: float | None = None) -> int:
    """Do the work in a process of its own; its exit code: 3 where it says that it cannot, -9 if it was killed.

    It is killed `after` so many seconds from when the work begins.
    """
    began, beginning = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, beginning))
    process.start()
    beginning.close()
    with began:
        if after is not None and began.poll(MOST_SECONDS):
            time.sleep(after)
            process.kill()
        return _ended(process)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Have another process hold the index, as a run does."""
    began, beginning = context.Pipe(duplex=False)
    process = context.Process(target=_hold, args=(folder, beginning))
    process.start()
    try:
        with began, beginning:
            assert began.poll(MOST_SECONDS), "the other process has not begun"
            yield
    finally:
        process.kill()
        _ended(process)


def _ended(process: ForkServerProcess) -> int:
    process.join(MOST_SECONDS)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
        raise AssertionError(f"a run has not ended after {MOST_SECONDS} s")
    process.close()
    return code


def _do(work: Work, beginning: Connection) -> None:
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- of this process, which ends below
    beginning.send_bytes(b"work")
    try:
        work()
    except Exception as error:
        sys.exit(3 if "cannot" in str(error) else 1)


def _hold(folder: Path, beginning: Connection) -> None:
    with only_writer(folder):
        beginning.send_bytes(b"held")
        time.sleep(MOST_SECONDS)
