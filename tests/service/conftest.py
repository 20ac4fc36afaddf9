"""A sound library, its index, and a real `thud serve` on a free port for the tests of the service."""

import io
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from index.answers.search import SoundIndex
from index.building.build import build_index
from model.bundle import Bundle
from tests.tiny_bundle import write_tiny_bundle, write_tiny_bundle_with_heads

MATERIALS = ("metal", "wood", "glass", "gravel")
SOUNDS_EACH = 8
UNLABELLED = 4
LIBRARY_SIZE = len(MATERIALS) * SOUNDS_EACH + UNLABELLED

Encode = Callable[..., bytes]


@dataclass(frozen=True)
class Library:
    """What a server serves: a bundle, the folder of sounds and the index of both."""

    bundle: Bundle
    sounds: Path
    index: Path

    @property
    def flags(self) -> list[str]:
        return ["--bundle", str(self.bundle.folder), "--index", str(self.index)]


@dataclass(frozen=True)
class Server:
    """A running `thud serve`."""

    url: str
    process: subprocess.Popen[str]
    spool: Path
    """Where it puts temporary files."""
    requests: list[str]
    """The lines of its log of requests, as they come."""
    said: Callable[[], str]
    """What it has said on stderr so far."""

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 80

    @property
    def worker(self) -> int:
        """The process that answers, one of them where there are several; `process` watches over it."""
        process: int = httpx.get(f"{self.url}/readyz?verbose", timeout=30).json()["details"]["process"]
        return process


def make_library(folder: Path, write_bundle: Callable[[Path], Bundle] = write_tiny_bundle) -> Library:
    sounds = folder / "sounds"
    rng = np.random.default_rng(0)
    for material in MATERIALS:
        for number in range(SOUNDS_EACH):
            _strike(sounds / material / f"pan_hit_{number:02}.wav", rng)
    for number in range(UNLABELLED - 1):
        _strike(sounds / "others" / f"thing {number}.flac", rng)
    _strike(sounds / "others" / 'ein "schöner" Schlag.wav', rng)
    bundle = write_bundle(folder / "bundle")
    build_index(bundle, sounds, folder / "index")
    return Library(bundle, sounds, folder / "index")


def _strike(path: Path, rng: np.random.Generator) -> None:
    """Write a struck sound of half a second to a second, different for each draw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = 16_000
    time = np.arange(int(rate * rng.uniform(0.5, 1.0))) / rate
    ring = sum(np.sin(2 * np.pi * rng.uniform(100, 4000) * time) for _ in range(3))
    soundfile.write(path, 0.2 * ring * np.exp(-time * rng.uniform(3, 40)), rate)


@contextmanager
def running(
    library: Library, *flags: str, env: dict[str, str] | None = None, says: bool = False
) -> Iterator[Server]:
    """Start `thud serve` on a free port, wait until it says where it listens, and stop it at the end.

    `says` allows it to say something on stderr, but no traceback.
    """
    command = [sys.executable, "-m", "thud", "serve", "--port", "0", *library.flags, *flags]
    with tempfile.TemporaryDirectory() as spool, tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(
            command,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": spool} | (env or {}),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process:
            assert process.stdout is not None
            found = re.search(r"listens on (http://\S+)", process.stdout.readline())
            # The access log has to be read, or it would fill the pipe and hold the server up.
            requests: list[str] = []
            reader = threading.Thread(target=requests.extend, args=(process.stdout,))
            reader.start()
            try:
                if found is not None:
                    # By pread, because both processes share the file's position.
                    yield Server(found[1], process, Path(spool), requests, lambda: _start_of(log.fileno()))
            finally:
                process.terminate()
                process.wait(timeout=30)
                reader.join()
        log.seek(0)
        said = log.read()
        assert process.returncode == 0, said
        assert "Traceback" not in said if says else said == "", said


def open_files(process: int) -> list[str]:
    """What the process has open, as far as the system shows it; what is being opened or closed may be left out."""
    files = Path(f"/proc/{process}/fd")
    names = []
    for link in files.iterdir() if files.exists() else []:
        with suppress(FileNotFoundError):
            names.append(str(link.readlink()))
    return names


def _start_of(file: int) -> str:
    return os.pread(file, 2**20, 0).decode()


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Each client of httpx reads all certificates that there are, which takes longer than what most ask for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def library_with_heads(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same sounds, served by a bundle that recognises wood in bright pictures."""
    return make_library(tmp_path_factory.mktemp("library with heads"), write_tiny_bundle_with_heads)


@pytest.fixture(scope="session")
def library_with_objects(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same sounds and three of bottles, served by a bundle that sees bottles in red pictures."""
    made = make_library(tmp_path_factory.mktemp("objects"), partial(write_tiny_bundle, with_objects=True))
    rng = np.random.default_rng(1)
    for number in range(3):
        _strike(made.sounds / "others" / f"Bottle_Clink_{number}.wav", rng)
    build_index(made.bundle, made.sounds, made.index)
    return made


@pytest.fixture
def sound_index(library: Library) -> Iterator[SoundIndex]:
    index = SoundIndex.open(library.index, library.bundle)
    yield index
    index.close()


@pytest.fixture(scope="session")
def server(library: Library) -> Iterator[Server]:
    """One server for all tests that do not need one of their own."""
    with running(library) as server:
        yield server


@pytest.fixture(scope="session")
def server_with_heads(library_with_heads: Library) -> Iterator[Server]:
    with running(library_with_heads) as server:
        yield server


@pytest.fixture(scope="session")
def server_with_objects(library_with_objects: Library) -> Iterator[Server]:
    with running(library_with_objects) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def still_well(client: httpx.Client, encode: Encode) -> Iterator[None]:
    """After a test with bad input, a good request is answered as ever."""
    yield
    assert client.post("/recommend", files={"image": encode()}).json()["returned"] == 10
    assert client.get("/readyz").status_code == 200


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Makes a real picture file: `encode(kind, mode, size, ...Pillow's options)`."""

    def encoded(kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (80, 60), **options: Any) -> bytes:
        buffer = io.BytesIO()
        gradient = Image.linear_gradient("L").resize(size)
        colour = Image.merge("RGB", (gradient, gradient.rotate(180), Image.new("L", size, 90)))
        (gradient if mode.startswith("I") else colour).convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return encoded
