"""Commands whose standard streams are closed, or of an encoding that lacks a sound's title."""

import os
import subprocess
from pathlib import Path

import pytest

from index.building.build import build_index
from model.bundle import Bundle
from tests.index.commands import THUD, thud
from tests.index.conftest import Strike


def closed(streams: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run thud from a shell that closes these of its streams."""
    command = ["sh", "-c", f'"$@" {streams}', "sh", *THUD, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120)


def test_indexing_without_stderr(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (sounds / "broken.wav").write_bytes(b"no sound")
    for number, streams in enumerate(("2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-")):
        index = tmp_path / str(number)
        assert closed(streams, "index", tiny_bundle.folder, sounds, index).returncode == 0
        assert thud("index", "verify", index).returncode == 0
        assert b"broken.wav" in (index / "skipped.tsv").read_bytes()


def test_a_picture_from_a_closed_stdin_ends_in_one_line(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    done = closed("<&-", "recommend", "-", "--bundle", tiny_bundle.folder, "--index", tmp_path / "index")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.startswith(b"thud: ")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_a_title_that_the_encoding_lacks(
    tiny_bundle: Bundle, strike: Strike, picture: Path, tmp_path: Path, encoding: str
) -> None:
    strike(tmp_path / "others" / "metal" / "bell ✓.wav", 900)
    build_index(tiny_bundle, tmp_path / "others", tmp_path / "index")
    options = ("--bundle", tiny_bundle.folder, "--index", tmp_path / "index", "-k", "50")
    done = thud("recommend", picture, *options, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"bell \u2713" in done.stdout


def test_a_log_has_lines_and_no_bars(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    for number in range(3):
        (sounds / f"broken{number}.wav").write_bytes(b"no sound")
    log = tmp_path / "log"
    with log.open("wb") as stream:
        command = [*THUD, "index", str(tiny_bundle.folder), str(sounds), str(tmp_path / "index")]
        subprocess.run(command, stderr=stream, stdout=subprocess.DEVNULL, check=True, env=os.environ, timeout=120)
    lines = log.read_bytes().split(b"\n")
    assert sum(line.startswith(b"skipped broken") for line in lines) == 3
    assert b"\r" not in log.read_bytes()
