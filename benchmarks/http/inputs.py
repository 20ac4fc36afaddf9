"""Pictures to send and an index to search, made for speed and load alone: nothing real is behind them."""

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from index.catalogue import SoundRecord, write_catalogue
from index.generation import CATALOGUE
from index.publishing import About, Prepared, publish_generation
from model.bundle import Bundle
from model.materials import MATERIALS

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_NOISE = 3.0
"""Standard deviation of a camera sensor's noise, in grey levels: most bytes of a large JPEG are noise."""


def photographs(folder: Path | None, width: int, height: int, count: int) -> list[bytes]:
    """`count` JPEGs of `width` x `height` as telephones send them (quality 90, 4:2:0), the same ones each time.

    They are photographs of `folder`, chosen at random, cropped and enlarged, or else drawn; noise is added to each.
    """
    rng = np.random.default_rng(0)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES) if folder else []
    if folder is not None and not files:
        raise SystemExit(f"{folder} has no pictures")
    chosen = rng.permutation(len(files))
    pictures = []
    for number in range(count):
        if files:
            with Image.open(files[chosen[number % len(files)]]) as photograph:
                scene = _cover(photograph.convert("RGB"), width, height)
        else:
            scene = _drawn(width, height, rng)
        buffer = io.BytesIO()
        _with_noise(scene, rng).save(buffer, "JPEG", quality=90, subsampling="4:2:0")
        pictures.append(buffer.getvalue())
    return pictures


def write_photographs(folder: Path | None, width: int, height: int, count: int, target: Path) -> list[str]:
    """The same as files in the new folder `target`; their paths."""
    target.mkdir()
    files = []
    for number, data in enumerate(photographs(folder, width, height, count)):
        files.append(target / f"{number}.jpg")
        files[-1].write_bytes(data)
    return [str(file) for file in files]


def write_index(bundle: Bundle, sounds: int, folder: Path) -> Path:
    """Write an index of so many random vectors for the bundle; returns the new `folder`."""
    records = [_record(row) for row in range(sounds)]
    vectors = random_unit(sounds, bundle.spec.embedding_size)
    folder.mkdir()
    (folder / records[0].path).touch()  # a service is ready only where it finds some of its sounds
    about = About(
        id=hashlib.sha256(f"{bundle.id} {sounds}".encode()).hexdigest()[:16],
        bundle_id=bundle.id,
        library_root=str(folder),
        sounds=sounds,
        materials=Counter(record.material for record in records),
        duplicates=0,
        skipped=0,
    )
    write_catalogue(folder / CATALOGUE, records)
    publish_generation(folder, about, Prepared(vectors, folder / CATALOGUE))
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
        copies=(),
        description=None,
        tags=(),
        label_from="manifest",
        action=None,
        origin=None,
        author=None,
        attribution=None,
        brightness=1000.0,
        path=f"{row:08}.wav",
        title=f"sound {row}",
        material=MATERIALS[row % len(MATERIALS)].name,
        seconds=1.5,
        hit=0.25,
        hits=(0.25,),
        ends=(1.5,),
        sample_rate=44_100,
        channels=1,
        format="WAV",
        media_type="audio/wav",
        playable=True,
        bytes=132_344,
        peak=0.9,
        loudness=-20.0,
        source=None,
        licence=None,
    )


def _with_noise(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = rng.integers(-round(3 * _NOISE), round(3 * _NOISE) + 1, (3, picture.height, picture.width, 1), np.int8)
    # The mean of three uniform numbers: near enough to normal, and cheap for 12 million pixels.
    pixels = np.asarray(picture).astype(np.int16) + noise.sum(axis=0, dtype=np.int16) // 3
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _cover(photograph: Image.Image, width: int, height: int) -> Image.Image:
    """The largest centre crop of the wanted shape, enlarged."""
    scale = min(photograph.width / width, photograph.height / height)
    left, top = (photograph.width - scale * width) / 2, (photograph.height - scale * height) / 2
    # Rounding must not lead outside of the picture.
    box = (max(0.0, left), max(0.0, top), photograph.width - max(0.0, left), photograph.height - max(0.0, top))
    return photograph.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _drawn(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Octaves of random colours, each twice as fine and 0.6 as strong as the one before, as in natural scenes."""
    scene = Image.new("RGB", (width, height), (128, 128, 128))
    strength, side = 0.5, 4
    while side < width // 2:
        colours = rng.integers(0, 256, (max(1, side * height // width), side, 3), np.uint8)
        octave = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
        scene = Image.blend(scene, octave, strength)
        strength, side = 0.6 * strength, 2 * side
    return scene
