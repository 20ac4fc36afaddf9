"""A library of which a manifest says all that can be asked for, and some of whose files have names that are odd."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from index.building.build import build_index
from tests.service.conftest import Library
from tests.tiny_bundle import write_tiny_bundle

SOUNDS = 48

_MATERIALS = ("glass", "metal", "wood", "")
_ACTIONS = ("hit", "scratch", "")
_SOURCES = ("freesound", "own", "")
_LICENCES = ("CC0-1.0", "CC-BY-4.0", "")
_TAGS = ("bottle;Küche", "door", "bottle;door;old", "")
_FOLDERS = ("kitchen", "kitchen/bottles", "kitchens", "Straße/Ünterführung", ".")
_HOW_OFTEN = ("once", "twice", "thrice", "often")
_COLUMNS = ("path", "material", "action", "source", "licence", "tags", "author", "origin", "title", "description")


def make_labelled_library(folder: Path) -> Library:
    """A library of 48 sounds in `folder`; it is the same each time."""
    sounds = folder / "sounds"
    rng = np.random.default_rng(5)
    rows = []
    for number in range(SOUNDS):
        place = _FOLDERS[number % 5]
        path = (
            sounds / place / f"take {number // 10}.wav" if number % 10 == 3 else sounds / place / f"s{number}.wav"
        )
        _write(path, rng)
        author = ("Ada", "Жюль Верн", "")[number % 3]
        origin = f"https://example.org/{number}" if number % 2 else ""
        kinds = [
            values[int(rng.integers(len(values)))] for values in (_MATERIALS, _ACTIONS, _SOURCES, _LICENCES, _TAGS)
        ]
        title = f"{'=1+1 ' if number == 7 else ''}Sound number {number}"
        relative = path.relative_to(sounds).as_posix()
        rows.append([relative, *kinds, author, origin, title, f"described {_HOW_OFTEN[number % 4]}"])
    with (sounds / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])
    bundle = write_tiny_bundle(folder / "bundle")
    build_index(bundle, sounds, folder / "index")
    return Library(bundle, sounds, folder / "index")


def _write(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = 16_000
    time = np.arange(int(rate * rng.uniform(0.2, 1.5))) / rate
    ring = sum(np.sin(2 * np.pi * rng.uniform(100, 4000) * time) for _ in range(3))
    loud = rng.uniform(0.01, 0.3)
    soundfile.write(path, loud * ring * np.exp(-time * rng.uniform(3, 40)), rate)
