"""JPEG files like those that telephones send, made from a folder of photographs or, without one, drawn."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 90
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_NOISE = 3.0
"""Standard deviation of a sensor's noise in grey levels, which is what most bytes of a large JPEG go to."""


def photographs(folder: Path | None, width: int, height: int, count: int, seed: int = 0) -> list[bytes]:
    """`count` JPEGs of `width` x `height` at quality 90 with 4:2:0 chroma, always the same ones.

    Those of `folder` are chosen at random, cut to the shape and enlarged; noise is laid over every picture.
    """
    rng = np.random.default_rng(seed)
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
        pictures.append(jpeg(with_noise(scene, rng)))
    return pictures


def write_photographs(folder: Path | None, width: int, height: int, count: int, target: Path) -> list[str]:
    """The same as files in the new folder `target`; their paths."""
    target.mkdir()
    files = []
    for number, data in enumerate(photographs(folder, width, height, count)):
        files.append(target / f"{number}.jpg")
        files[-1].write_bytes(data)
    return [str(file) for file in files]


def with_noise(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture as a sensor sees it."""
    noise = rng.integers(-round(3 * _NOISE), round(3 * _NOISE) + 1, (3, picture.height, picture.width, 1), np.int8)
    # The mean of three uniform numbers: near enough to normal, and cheap for 12 million pixels.
    pixels = np.asarray(picture).astype(np.int16) + noise.sum(axis=0, dtype=np.int16) // 3
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


def _cover(photograph: Image.Image, width: int, height: int) -> Image.Image:
    """The largest central part of the wanted shape, enlarged."""
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
