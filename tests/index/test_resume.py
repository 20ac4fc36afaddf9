"""A run that was interrupted is gone on with; what has changed since is embedded anew."""

import os
import shutil
from pathlib import Path

import pytest

from index.building.build import build_index
from index.building.cache import CACHE_FILE
from model.bundle import Bundle
from model.sound import SoundLimits
from tests.index.conftest import Strike

FILES = {".lock", "cache.sqlite", "current", "generations", "library.json", "skipped.tsv"}


class Stop(BaseException):
    """Stands for Ctrl-C, which pytest would take for itself."""


def interrupt(line: str) -> None:
    if line.startswith("skipped z_bad.wav"):
        raise Stop


@pytest.fixture
def interrupted(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    """The index folder of a run that was stopped at the last sound, when all nine others were finished."""
    (sounds / "z_bad.wav").write_bytes(b"")
    with pytest.raises(Stop):
        build_index(tiny_bundle, sounds, tmp_path / "index", say=interrupt)
    assert (tmp_path / "index" / CACHE_FILE).exists()
    assert not (tmp_path / "index" / "current").exists()
    return tmp_path / "index"


def test_an_interrupted_run_is_gone_on_with(
    interrupted: Path, tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    report = build_index(tiny_bundle, sounds, interrupted)
    assert (report.reused, report.embedded) == (9, 0)
    assert report.spec == build_index(tiny_bundle, sounds, tmp_path / "at once").spec
    assert {path.name for path in interrupted.iterdir()} == FILES


def test_what_changed_since_is_embedded_anew(
    interrupted: Path, tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    strike(sounds / "metal/pan_0.wav", 5000)  # of the same size
    os.utime(sounds / "metal/pan_1.wav", ns=(0, 0))  # of the same content
    report = build_index(tiny_bundle, sounds, interrupted)
    assert (report.reused, report.embedded) == (8, 1)
    assert report.spec == build_index(tiny_bundle, sounds, tmp_path / "at once").spec


def test_going_on_goes_by_content(
    interrupted: Path, tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    first, second, third = (sounds / f"metal/pan_{number}.wav" for number in range(3))
    states = {file: file.stat() for file in (first, second, third)}
    assert len({state.st_size for state in states.values()}) == 1
    first.rename(tmp_path / "aside")  # two change places, one is written over in place
    second.rename(first)
    (tmp_path / "aside").rename(second)
    third.write_bytes(strike(tmp_path / "other.wav", 5000).read_bytes())
    for file, state in states.items():
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))

    report = build_index(tiny_bundle, sounds, interrupted)

    assert (report.reused, report.embedded) == (8, 1)
    assert report.spec == build_index(tiny_bundle, sounds, tmp_path / "at once").spec


def test_what_another_bundle_finished_is_not_used(
    interrupted: Path, tiny_bundle: Bundle, other_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    shutil.copytree(sounds, tmp_path / "copy")
    kept = (interrupted / CACHE_FILE).read_bytes()
    assert build_index(tiny_bundle, tmp_path / "copy", interrupted).reused == 9  # the content is the same
    (interrupted / CACHE_FILE).write_bytes(kept)
    assert build_index(other_bundle, sounds, interrupted).reused == 0


def test_what_a_narrower_limit_excludes_is_not_taken_from_the_earlier_run(
    interrupted: Path, tiny_bundle: Bundle, sounds: Path, strike: Strike
) -> None:
    strike(sounds / "short.wav", 700, seconds=0.2)
    report = build_index(tiny_bundle, sounds, interrupted, limits=SoundLimits(max_seconds=0.3))
    assert (report.reused, report.embedded, report.spec.sounds) == (0, 1, 1)
