"""A large library made of real embeddings, and real pictures to search it with."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from index.nearest.vectors import Rows, Vectors, normalised
from model.bundle import Bundle
from model.errors import PictureError, SoundError
from model.heads import MaterialHeads, blend_labels
from model.runtime import TowerRuntime

SEED = 0
_BLOCK = 100_000

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Real:
    """Embeddings `[s, d]` of recordings with their materials `[s]`, and embeddings `[p, d]` of photographs."""

    sounds: Vectors
    materials: Names
    pictures: Vectors


def real(folder: Path, bundle: Bundle, work: Path) -> Real:
    """What `bundle` makes of the files in FOLDER/manifest.csv (kind, path, material), kept in `work`."""
    kept = work / f"embeddings-{bundle.id}.npz"
    if not kept.exists():
        runtime = TowerRuntime(bundle)
        sounds, materials, pictures = [], [], []
        with (folder / "manifest.csv").open(encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        for row in tqdm(rows, desc="embedding", unit="file", leave=False):
            try:
                if row["kind"] == "sound":
                    sounds.append(runtime.embed_sound(folder / row["path"]).embedding)
                    materials.append(row["material"])
                else:
                    pictures.append(runtime.embed_picture((folder / row["path"]).read_bytes()).embedding[0])
            except (SoundError, PictureError) as error:
                tqdm.write(f"{row['path']}: {error}")
        work.mkdir(parents=True, exist_ok=True)
        with kept.open("wb") as out:
            np.savez(out, sounds=sounds, materials=materials, pictures=pictures)
    with np.load(kept) as arrays:
        return Real(arrays["sounds"], arrays["materials"], arrays["pictures"])


def large_library(found: Real, count: int, heads: MaterialHeads | None, strength: float) -> tuple[Vectors, Names]:
    """`count` vectors `[count, d]` and their materials: each a recording, moved along the difference of two others
    of its material by up to half of it, then drawn towards its label as an index does."""
    rng = np.random.default_rng(SEED)
    first = rng.integers(len(found.sounds), size=count)
    second, third = np.empty(count, np.int64), np.empty(count, np.int64)
    materials = found.materials[first]
    for material in np.unique(materials):
        own, at = np.flatnonzero(found.materials == material), np.flatnonzero(materials == material)
        second[at], third[at] = rng.choice(own, (2, len(at)))
    how_far = rng.uniform(0, 0.5, (count, 1)).astype(np.float32)
    vectors = np.empty((count, found.sounds.shape[1]), np.float32)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        between = found.sounds[second[block]] - found.sounds[third[block]]
        moved = normalised(found.sounds[first[block]] + how_far[block] * between)
        vectors[block] = moved if heads is None else blend_labels(moved, materials[block].tolist(), heads, strength)
    return vectors, materials


def kept_by_filter(materials: Names, share: float, *, of_one_material: bool) -> Rows:
    """Rising rows that a filter keeps, about `share` of all: any, or of the rarest material that has enough."""
    rng = np.random.default_rng(SEED)
    rows = np.arange(len(materials))
    wanted = max(1, round(share * len(materials)))
    if of_one_material:
        names, counts = np.unique(materials, return_counts=True)
        enough = [(count, name) for name, count in zip(names, counts, strict=True) if count >= wanted]
        rows = np.flatnonzero(materials == min(enough, default=(0, names[counts.argmax()]))[1])
    return np.sort(rng.choice(rows, min(wanted, len(rows)), replace=False))
