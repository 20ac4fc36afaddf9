"""Runs that are killed, disks that fail: the old generation serves, the next run equals an uninterrupted one."""

import hashlib
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from index.building.build import build_index
from index.building.cache import CACHE_FILE
from index.building.look import problems_of
from index.generation import current_generation
from model.bundle import Bundle
from tests.index.conftest import Strike
from tests.index.crashes import STEPS, Work, exit_code, indexing, killed_at, with_full_disk, writing

MOMENTS = 100


class Library:
    """A library that was indexed and then changed, and what an uninterrupted run makes of it now."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self.bundle, self.sounds, self.index = bundle, folder / "sounds", folder / "index"
        self.before = current_generation(folder / "index").spec.id
        self.after = current_generation(folder / "once").spec.id
        self.files = tree(folder / "once" / "generations" / self.after)

    def run(self, index: Path) -> Work:
        return indexing(self.bundle, self.sounds, index)

    def copy(self, target: Path) -> Path:
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.index, target))

    def check(self, index: Path) -> None:
        """The index serves one of the two generations; the next run makes what an uninterrupted one makes."""
        spec = current_generation(index).spec
        assert spec.id in (self.before, self.after)
        folder = index / "generations" / spec.id
        assert {name: record.sha256 for name, record in spec.files.items()} == hashes(folder, spec.files)
        assert exit_code(self.run(index)) == 0
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


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, strike: Strike) -> Library:
    folder = tmp_path_factory.mktemp("crash")
    make_library(folder, tiny_bundle, strike)
    return Library(folder, tiny_bundle)


def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.index.crashes.MOST_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(AssertionError, match="has not ended"):
        exit_code(partial(time.sleep, 20))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_at_a_step_costs_nothing(
    library: Library, tmp_path: Path, step: str, after: bool
) -> None:
    copy = library.copy(tmp_path / "index")
    assert exit_code(killed_at(step, library.run(copy), after=after)) == -signal.SIGKILL
    library.check(copy)


def test_a_run_that_is_killed_at_any_moment_costs_nothing(library: Library, tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = []
    for _ in range(3):
        copy = library.copy(tmp_path / "index")
        began = time.perf_counter()
        assert exit_code(library.run(copy)) == 0
        whole.append(time.perf_counter() - began)
    killed = finished = 0
    seen = set()
    while killed < MOMENTS:
        copy = library.copy(tmp_path / "index")
        # One in each hundredth of a run, so that no part of it is left out by chance.
        share = ((killed + finished) % MOMENTS + rng.random()) / MOMENTS
        code = exit_code(library.run(copy), after=share * 1.1 * min(whole))
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
        exit_code(library.run(copy), after=rng.uniform(0, 0.03))
        assert current_generation(copy).spec.id in (library.before, library.after)
    library.check(copy)


@pytest.mark.parametrize("most", [0, 1000, 4096, 10_000, 20_000, 30_000, 60_000, 90_000, 120_000])
def test_a_full_disk_costs_nothing(library: Library, tmp_path: Path, most: int) -> None:
    copy = library.copy(tmp_path / "index")
    assert exit_code(with_full_disk(library.run(copy), most)) in (0, 3)
    library.check(copy)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", ["vectors.f32", "catalogue.sqlite", "index.json", CACHE_FILE, "library.json"])
def test_what_a_loss_of_power_cut_short_is_written_again(
    library: Library, tmp_path: Path, name: str, share: float
) -> None:
    copy = library.copy(tmp_path / "index")
    killed = killed_at("pointer written", library.run(copy), after=False, times=2)
    # The generation is there and not pointed to; what was written last did not reach the disk.
    assert exit_code(killed) == -signal.SIGKILL
    assert current_generation(copy).spec.id == library.before
    file = copy / name if (copy / name).exists() else copy / "generations" / library.after / name
    os.truncate(file, int(share * file.stat().st_size))
    if name == "library.json":
        assert exit_code(library.run(copy)) == 3
        file.unlink()
    library.check(copy)


def test_two_writers_are_one_too_many(library: Library, tmp_path: Path) -> None:
    copy = library.copy(tmp_path / "index")
    with writing(copy):
        assert exit_code(library.run(copy)) == 1
    library.check(copy)
    assert list(problems_of(copy)) == []
