"""An index of random vectors, as large as wanted: for speed and load alone, without any sound behind it."""

import hashlib
from pathlib import Path

import numpy as np

from index.catalogue import SoundRecord
from index.generation import publish_generation
from model.bundle import Bundle
from model.materials import MATERIALS


def write_index(bundle: Bundle, sounds: int, folder: Path) -> Path:
    """Write an index of so many sounds that fits the bundle; the new `folder`."""
    records = [_record(row) for row in range(sounds)]
    vectors = random_unit(sounds, bundle.spec.embedding_size)
    folder.mkdir()
    (folder / records[0].path).touch()  # a service is ready only where it finds some of its sounds
    publish_generation(folder, bundle.id, vectors, records, library_root=folder, duplicates=0, skipped=0)
    return folder


def random_unit(count: int, size: int) -> np.ndarray:
    """Unit vectors float32 `[count, size]` around 600 centres, as a library's sounds are."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((600, size), np.float32)
    vectors = centres[rng.integers(600, size=count)] + rng.standard_normal((count, size), np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _record(row: int) -> SoundRecord:
    return SoundRecord(
        id=hashlib.sha256(str(row).encode()).hexdigest()[:20],
        row=row,
        path=f"{row}.wav",
        title=f"sound {row}",
        material=MATERIALS[row % len(MATERIALS)].name,
        seconds=1.5,
        hit=0.25,
        sample_rate=44_100,
        channels=1,
        format="WAV",
        media_type="audio/wav",
        bytes=132_344,
        peak=0.9,
        loudness=-20.0,
        source=None,
        licence=None,
    )
