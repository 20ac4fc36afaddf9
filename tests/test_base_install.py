"""A base install, without torch, in an environment of its own: index, recommend and serve work there."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.bundle import load_bundle
from tests.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[1]


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not installed")
    return found


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the pinned base requirements and the project, as a user installs it."""
    folder = tmp_path_factory.mktemp("base")
    source = folder / "source"
    # A copy, because building writes into the source tree, which other tests read at the same time.
    rooms = ("model", "index", "service", "training", "thud-stubs")
    source.mkdir()
    for room in rooms:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "thud.py"):
        shutil.copy(ROOT / name, source / name)
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, str(folder / "env")], check=True)
    pip = [uv(), "pip", "install", "--quiet", "--python", str(python), "--no-deps"]
    pins = ["--require-hashes", "-r", str(ROOT / "requirements" / "serve.lock")]
    done = subprocess.run([*pip, *pins], capture_output=True, text=True, check=False)
    if done.returncode != 0 and "error sending request" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    subprocess.run([*pip, str(source)], check=True)
    return python.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a dozen sounds and a picture."""
    folder = tmp_path_factory.mktemp("data")
    write_tiny_bundle(folder / "bundle")
    t = np.arange(8_000) / 16_000
    for index in range(12):
        material = folder / "sounds" / ("wood" if index % 2 else "metal")
        material.mkdir(parents=True, exist_ok=True)
        hertz = 200 + 300 * index
        soundfile.write(
            material / f"hit-{index}.wav", 0.5 * np.sin(2 * np.pi * hertz * t) * np.exp(-20 * t), 16_000
        )
    Image.new("RGB", (80, 60), (200, 120, 40)).save(folder / "photo.jpg")
    return folder


def run(install: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(install / "thud"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=install)


def test_there_is_no_torch(install: Path) -> None:
    done = subprocess.run([install / "python", "-c", "import torch"], capture_output=True, text=True, check=False)
    assert "No module named 'torch'" in done.stderr


def test_the_bundle_comes_with_it(install: Path, folder: Path) -> None:
    done = run(install, "index", ROOT / "model" / "pretrained", folder / "sounds", folder / "index-pretrained")
    assert done.returncode == 0, done.stderr
    done = run(install, "recommend", folder / "photo.jpg", "--index", folder / "index-pretrained", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["model"] == load_bundle(ROOT / "model" / "pretrained").id
    assert len(answer["materials"]) == 17
    heic = ROOT / "tests" / "model" / "heic" / "gradient.heic"
    done = run(install, "recommend", heic, "--index", folder / "index-pretrained")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "this is HEIC, which iPhones save" in done.stderr


def test_index_recommend_and_serve(install: Path, folder: Path) -> None:
    done = run(install, "index", folder / "bundle", folder / "sounds", folder / "index")
    assert done.returncode == 0, done.stderr
    arguments = ["--bundle", folder / "bundle", "--index", folder / "index"]
    done = run(install, "recommend", folder / "photo.jpg", *arguments, "-k", 3, "--json")
    assert done.returncode == 0, done.stderr
    wanted = [result["id"] for result in json.loads(done.stdout)["results"]]
    assert len(wanted) == 3
    command = [str(install / "thud"), "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(found[0] for line in server.stdout if (found := re.findall(r"http://[\d.]+:\d+", line)))
            request = urllib.request.Request(
                f"{address}/recommend?k=3", (folder / "photo.jpg").read_bytes(), {"Content-Type": "image/jpeg"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert [result["id"] for result in json.load(answer)["results"]] == wanted
            with urllib.request.urlopen(address, timeout=30) as page:
                assert b"<html" in page.read()
        finally:
            server.terminate()
            server.wait(20)


def test_training_commands_say_what_is_missing(install: Path, tmp_path: Path) -> None:
    done = run(install, "train", tmp_path, tmp_path / "run")
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == "thud: this command needs torch; install Thud with its training extra: pip install '.[train]'"
    )
    assert "Traceback" not in done.stderr
