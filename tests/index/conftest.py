"""Two bundles that run, and sounds to index."""

from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.bundle import Bundle
from tests.tiny_bundle import write_tiny_bundle


class Strike(Protocol):
    """Writes a struck sound, a decaying tone that begins at 0.05 s, and returns its path."""

    def __call__(
        self, path: Path, frequency: float, *, seconds: float = 0.4, rate: int = 16_000, channels: int = 1
    ) -> Path: ...


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose towers run."""
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with other towers."""
    return write_tiny_bundle(tmp_path_factory.mktemp("other") / "bundle", seed=1)


@pytest.fixture(scope="session")
def strike() -> Strike:
    """Writes struck sounds that differ by their frequency."""

    def write(path: Path, frequency: float, *, seconds: float = 0.4, rate: int = 16_000, channels: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * rate)) / rate - 0.05
        tone = 0.5 * np.sin(2 * np.pi * frequency * time) * np.exp(-np.maximum(time, 0) * frequency / 50)
        tone[time < 0] = 0
        soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate)
        return path

    return write


@pytest.fixture
def sounds(tmp_path: Path, strike: Strike) -> Path:
    """A folder of 9 sounds in four formats: 3 of metal, 2 of wood, 1 of plastic-bag, 3 unlabelled."""
    folder = tmp_path / "sounds"
    for number in range(3):
        strike(folder / "metal" / f"pan_{number}.wav", 900 + 50 * number)
        strike(folder / "unsorted" / f"thing {number}.ogg", 300 + 70 * number)
    strike(folder / "kitchen" / "wood" / "board-1.flac", 200)
    strike(folder / "kitchen" / "wood" / "board-2.mp3", 230)
    strike(folder / "Plastic Bag" / "bag.wav", 2000, rate=44_100)
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture file."""
    path = tmp_path / "picture.png"
    Image.new("RGB", (80, 60), (200, 120, 40)).save(path)
    return path
