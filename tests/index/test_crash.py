"""Runs that are killed, and disks that fail: the old generation serves, the next run equals an uninterrupted one.

Processes are forked from the test, so that none of them imports anything: a run takes some 20 ms.
"""

import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import index.building.run
import index.generation
from index.building.build import build_index
from index.building.cache import CACHE_FILE, IndexCache
from index.building.lock import only_writer
from index.building.look import problems_of
from index.generation import current_generation
from model.bundle import Bundle
from tests.index.conftest import Strike

MOMENTS = 200
MOST_SECONDS = 120
"""A process that is not killed ends within this time."""

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
    "records surveyed": (index.building.run, "survey"),
    "vectors written": (index.building.run.Run, "_write_vectors"),
    "catalogue written": (index.generation, "write_catalogue"),
    "files hashed": (index.generation, "file_record"),
    "index.json written": (index.generation, "_write_spec"),
    "generation published": (index.generation, "atomic_folder"),
    "names synced": (index.generation, "sync_folder"),
    "pointer written": (index.generation, "atomic_file"),
    "old generations removed": (index.generation, "_remove_but"),
    "cache pruned": (IndexCache, "published"),
}
"""Each step of a run, and the function that does it: the process is killed before it and after it."""


class Library:
    """A library that was indexed and then changed, and what an uninterrupted run makes of it now."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self.bundle, self.sounds, self.index = bundle, folder / "sounds", folder / "index"
        self.before = current_generation(folder / "index").spec.id
        self.after = current_generation(folder / "once").spec.id
        self.files = tree(folder / "once" / "generations" / self.after)

    def run(self, index: Path) -> str:
        return build_index(self.bundle, self.sounds, index, workers=2).spec.id

    def copy(self, target: Path) -> Path:
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.index, target))

    def check(self, index: Path) -> None:
        """The index serves one of the two generations; the next run makes what an uninterrupted one makes."""
        spec = current_generation(index).spec
        assert spec.id in (self.before, self.after)
        folder = index / "generations" / spec.id
        assert {name: record.sha256 for name, record in spec.files.items()} == hashes(folder, spec.files)
        assert forked(lambda: self.run(index)) == 0
        assert current_generation(index).spec.id == self.after
        assert tree(index / "generations" / self.after) == self.files
        # A journal that was begun and says nothing yet goes when the cache is next written to.
        names = {path.name for path in index.iterdir()} - {f"{CACHE_FILE}-journal"}
        assert names == {".lock", CACHE_FILE, "current", "generations", "library.json", "skipped.tsv"}
        assert {path.name for path in (index / "generations").iterdir()} <= {self.before, self.after}


def make_library(folder: Path, bundle: Bundle, strike: Strike) -> None:
    """Sounds that were indexed at `index` and then changed, and their index at `once`."""
    sounds = folder / "sounds"
    for number in range(6):
        strike(sounds / f"metal/{number}.wav", 300 + 50 * number, seconds=0.1)
    (sounds / "bad.wav").write_bytes(b"no sound")
    time.sleep(2.1)  # so that the files are old enough for their states to stand for their contents
    build_index(bundle, sounds, folder / "index")
    for number in range(6, 10):
        strike(sounds / f"metal/{number}.wav", 300 + 50 * number, seconds=0.1)
    (sounds / "metal/0.wav").rename(sounds / "moved.wav")
    shutil.copy(sounds / "metal/1.wav", sounds / "copy.wav")
    (sounds / "empty.wav").touch()
    (sounds / "metal/2.wav").unlink()
    time.sleep(2.1)
    build_index(bundle, sounds, folder / "once")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def hashes(folder: Path, names: Any) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def forked(work: Callable[[], object], after: float | None = None) -> int:
    """Do the work in a process of its own, which is killed `after` so many seconds; its exit code, -9 if killed."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- of this process, which ends below
            work()
            code = 0
        except Exception as error:
            code = 3 if "cannot" in str(error) else 1
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    return ended(process)


def ended(process: int) -> int:
    """The exit code of a process; one that does not end is killed, and the test fails."""
    until = time.monotonic() + MOST_SECONDS
    pause = 0.0005
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise AssertionError(f"a run has not ended after {MOST_SECONDS} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, strike: Strike) -> Library:
    folder = tmp_path_factory.mktemp("crash")
    # In a process of its own, as all runs: one with threads of ONNX Runtime cannot be forked.
    assert forked(lambda: make_library(folder, tiny_bundle, strike)) == 0
    return Library(folder, tiny_bundle)


def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.index.test_crash.MOST_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(AssertionError, match="has not ended"):
        forked(lambda: time.sleep(20))
    assert time.monotonic() - began < 10


def killing(step: str, after: bool, times: int) -> Callable[[], None]:
    """Has this process killed before or after the step is done for the n-th time."""
    place, name = STEPS[step]
    original = getattr(place, name)
    count = 0

    def killer(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == times and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if count == times and after:
            if hasattr(result, "__exit__") and not isinstance(result, IndexCache):
                return _killing_at_the_end(result)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def patch() -> None:
        setattr(place, name, killer)

    return patch


@contextmanager
def _killing_at_the_end(manager: Any) -> Iterator[Any]:
    with manager as value:
        yield value
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_at_a_step_costs_nothing(
    library: Library, tmp_path: Path, step: str, after: bool
) -> None:
    copy = library.copy(tmp_path / "index")

    def run() -> None:
        killing(step, after, 1)()
        library.run(copy)

    assert forked(run) == -signal.SIGKILL
    library.check(copy)


def test_a_run_that_is_killed_at_any_moment_costs_nothing(library: Library, tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = []
    for _ in range(3):
        copy = library.copy(tmp_path / "index")
        began = time.perf_counter()
        assert forked(lambda: library.run(copy)) == 0  # noqa: B023
        whole.append(time.perf_counter() - began)
    killed = finished = 0
    seen = set()
    while killed < MOMENTS:
        copy = library.copy(tmp_path / "index")
        code = forked(lambda: library.run(copy), after=rng.uniform(0, 1.1 * min(whole)))  # noqa: B023
        killed += code == -signal.SIGKILL
        finished += code == 0
        assert code in (0, -signal.SIGKILL)
        assert finished < 20 * MOMENTS
        seen.add((current_generation(copy).spec.id, (copy / f"{CACHE_FILE}-journal").exists()))
        library.check(copy)
    # Kills fell on both sides of the moment at which the new generation is pointed to.
    assert {identity for identity, _ in seen} == {library.before, library.after}


def test_a_run_is_killed_again_and_again(library: Library, tmp_path: Path) -> None:
    copy = library.copy(tmp_path / "index")
    rng = random.Random(1)
    for _ in range(20):
        forked(lambda: library.run(copy), after=rng.uniform(0, 0.03))
        assert current_generation(copy).spec.id in (library.before, library.after)
    library.check(copy)


@pytest.mark.parametrize("most", [0, 1000, 4096, 10_000, 20_000, 30_000, 60_000, 90_000, 120_000])
def test_a_full_disk_costs_nothing(library: Library, tmp_path: Path, most: int) -> None:
    copy = library.copy(tmp_path / "index")

    def run() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        library.run(copy)

    assert forked(run) in (0, 3)
    library.check(copy)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", ["vectors.f32", "catalogue.sqlite", "index.json", CACHE_FILE, "library.json"])
def test_what_a_loss_of_power_cut_short_is_written_again(
    library: Library, tmp_path: Path, name: str, share: float
) -> None:
    copy = library.copy(tmp_path / "index")

    def run() -> None:
        killing("pointer written", False, 2)()
        library.run(copy)

    # The generation is there and not pointed to; what was written last did not reach the disk.
    assert forked(run) == -signal.SIGKILL
    assert current_generation(copy).spec.id == library.before
    file = copy / name if (copy / name).exists() else copy / "generations" / library.after / name
    os.truncate(file, int(share * file.stat().st_size))
    if name == "library.json":
        assert forked(lambda: library.run(copy)) == 3
        file.unlink()
    library.check(copy)


def test_two_writers_are_one_too_many(library: Library, tmp_path: Path) -> None:
    copy = library.copy(tmp_path / "index")
    reader, writer = os.pipe()

    def hold() -> None:
        with only_writer(copy):
            os.write(writer, b"1")
            time.sleep(60)

    process = os.fork()
    if process == 0:
        hold()
        os._exit(0)
    os.read(reader, 1)
    try:
        assert forked(lambda: library.run(copy)) == 1
    finally:
        os.kill(process, signal.SIGKILL)
        ended(process)
    library.check(copy)
    assert list(problems_of(copy)) == []
