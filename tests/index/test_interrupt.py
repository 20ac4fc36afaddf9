"""Ctrl-C at any moment of any command: one line, exit code 130, no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from index.building.build import build_index
from model.bundle import Bundle

PROJECT = Path(__file__).parents[2]


def interrupted(until: str, *arguments: str | Path) -> tuple[int, list[str]]:
    """Exit code and what is written to stderr of a command that gets SIGINT once it has imported this module."""
    command = [sys.executable, "-X", "importtime", str(PROJECT / "thud.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        sent, said = False, []
        for line in process.stderr:
            if not line.startswith("import time:"):
                said.append(line.strip())
            elif not sent and line.rpartition("|")[2].strip() == until:
                process.send_signal(signal.SIGINT)
                sent = True
        assert sent, said
    return process.returncode, said


@pytest.mark.parametrize("until", ["click.core", "model.errors", "numpy", "sqlite3", "index.building.build"])
def test_indexing(tiny_bundle: Bundle, sounds: Path, tmp_path: Path, until: str) -> None:
    code, said = interrupted(until, "index", tiny_bundle.folder, sounds, tmp_path / "index")
    assert (code, len(said)) == (130, 1)
    assert said[0].startswith("thud: interrupted")


@pytest.mark.parametrize("until", ["click.core", "numpy", "PIL.Image", "faiss"])
@pytest.mark.parametrize("command", ["recommend", "similar"])
def test_asking(tiny_bundle: Bundle, sounds: Path, picture: Path, tmp_path: Path, until: str, command: str) -> None:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    folders = ("--bundle", tiny_bundle.folder, "--index", tmp_path / "index")
    what = picture if command == "recommend" else sounds / "metal/pan_0.wav"
    code, said = interrupted(until, command, what, *folders)
    assert (code, said) == (130, ["thud: interrupted"])


@pytest.mark.parametrize(
    "command", [("find",), ("index", "list", "x"), ("fetch", "freesound", "x", "y"), ("--help",)]
)
def test_the_first_moments_of_any_command(command: tuple[str, ...]) -> None:
    assert interrupted("click.core", *command) == (130, ["thud: interrupted"])
