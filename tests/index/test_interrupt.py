"""Ctrl-C while a command imports what it needs, and later: one line, exit code 130, no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from index.building.build import build_index
from model.bundle import Bundle
from thud import cli

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


@pytest.mark.usefixtures("unmeasured")  # which imports sqlite3 itself
@pytest.mark.parametrize("until", ["click.core", "model.errors", "numpy", "sqlite3", "index.building.build"])
def test_indexing(tiny_bundle: Bundle, sounds: Path, tmp_path: Path, until: str) -> None:
    code, said = interrupted(until, "index", tiny_bundle.folder, sounds, tmp_path / "index")
    assert (code, len(said)) == (130, 1)
    assert said[0].startswith("thud: interrupted")


@pytest.mark.parametrize("until", ["click.core", "numpy", "PIL.Image", "onnxruntime"])
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


@pytest.mark.parametrize(
    ("command", "does", "goes_on"),
    [
        (("index", "list"), "index.building.look.records_of", False),
        (("index", "verify"), "index.building.look.problems_of", False),
        (("index", "stats"), "index.building.look.stats_of", False),
        (("index", "remove"), "index.building.build.change_index", True),
    ],
)
def test_only_what_goes_on_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], does: str, goes_on: bool
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(does, interrupt)
    names = ["a.wav"] if goes_on else []
    done = CliRunner().invoke(cli, [*command, str(tmp_path), *names])
    again = "; run the same command again to go on from here" if goes_on else ""
    assert (done.exit_code, done.stderr) == (130, f"thud: interrupted{again}\n")
