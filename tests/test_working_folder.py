"""Our packages have common names: files of the same names in a user's working folder are not taken for them."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.tiny_bundle import write_tiny_bundle

BIN = Path(sys.executable).parent
THEIRS = ("model.py", "service/__init__.py", "index.py", "training.py", "thud.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files named as our packages are, which end whatever imports them; a bundle, sounds and a picture."""
    folder = tmp_path_factory.mktemp("work")
    for name in THEIRS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"raise SystemExit({f'the file {name} of the user was imported'!r})\n")
    write_tiny_bundle(folder / "bundle")
    (folder / "sounds").mkdir()
    for number in range(4):
        tone = np.sin(np.arange(8_000) * (0.1 + number / 10)) * np.exp(-np.arange(8_000) / 1_000)
        soundfile.write(folder / "sounds" / f"{number}.wav", 0.5 * tone, 16_000)
    Image.new("RGB", (80, 60), (200, 120, 40)).save(folder / "photo.jpg")
    return folder


def command(*arguments: object) -> list[str]:
    """The command as a shell runs it: the script that stands beside Python."""
    return [str(BIN / "thud"), *map(str, arguments)]


def environment() -> dict[str, str]:
    """As it is, but for a PYTHONPATH and with the environment's commands first, as an activated one has them."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def run(folder: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )


def thud(folder: Path, *arguments: object) -> str:
    done = run(folder, command(*arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python_itself_would_take_them(folder: Path) -> None:
    """What the other tests rule out does happen where Python puts the working folder first."""
    done = run(folder, [sys.executable, "-m", "thud", "--help"])
    assert done.returncode == 1
    assert "the file thud.py of the user was imported" in done.stderr


def test_help(folder: Path) -> None:
    assert "  serve " in thud(folder, "--help")


def test_index_recommend_and_serve_with_workers(folder: Path) -> None:
    thud(folder, "index", "bundle", "sounds", "made")
    library = ("--bundle", "bundle", "--index", "made")
    wanted = json.loads(thud(folder, "recommend", "photo.jpg", *library, "-k", 2, "--json"))["results"]
    serve = command("serve", "--port", 0, "--workers", 2, *library)
    with subprocess.Popen(
        serve, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        try:
            said = server.stdout.readline()
            found = re.search(r"http://[\d.]+:\d+", said)
            assert found is not None, said
            picture = (folder / "photo.jpg").read_bytes()
            headers = {"Content-Type": "image/jpeg"}
            answer = httpx.post(f"{found[0]}/recommend?k=2", content=picture, headers=headers, timeout=60)
            assert [result["id"] for result in answer.json()["results"]] == [result["id"] for result in wanted]
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stdout.read()
    assert server.returncode == 0, rest


def test_worker_processes_of_synthesize(folder: Path) -> None:
    (folder / "annotations").mkdir()
    for video in ("2015-02-16-16-49-06", "2015-09-24-16-38-42-1"):
        (folder / "annotations" / f"{video}_times.txt").write_text("0.8 wood hit static\n")
    (folder / "annotations" / "train.txt").write_text("2015-02-16-16-49-06\n")
    (folder / "annotations" / "test.txt").write_text("2015-09-24-16-38-42-1\n")
    small = ("--sample-rate", 16_000, "--width", 96, "--height", 64)
    thud(folder, "synthesize", "greatest-hits", "annotations", "media", *small, "--workers", 2)
    assert len(list((folder / "media").glob("*_times.txt"))) == 2


def test_processes_that_prepare_and_reproduce_start(folder: Path) -> None:
    """A run of a network that does not exist gets as far as to say so."""
    small = ("--scenes", 17, "--clips", 1, "--size", 32, "--sample-rate", 8_000)
    thud(folder, "prepare", "synthetic", "dataset", *small, "--workers", 2)
    recipe = 'name = "broken"\nsystem = "tt_agg"\nimage_network = "resnet17"\nsound_network = "resnet17"\n'
    (folder / "broken.toml").write_text(recipe)
    (folder / "suite.toml").write_text('[[runs]]\nrecipe = "broken.toml"\n')
    done = run(folder, command("reproduce", "dataset", "runs", "--suite", "suite.toml", "--device", "cpu"))
    assert done.returncode == 1
    assert "there is no network named 'resnet17'" in done.stdout + done.stderr


def test_torchrun_as_the_readme_calls_it(folder: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found = re.search(r"torchrun --nproc-per-node \d+ (\S+ \S+) train", readme)
    assert found is not None
    done = run(folder, ["torchrun", "--nproc-per-node", "2", *found[1].split(), "--version"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("thud, version") == 2
