"""What a bundle loses by being computed in 8 bits: how far its answers are those of its float twin."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.progress import progress
from model.runtime import TowerRuntime

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
K = 10


@dataclass(frozen=True)
class Parity:
    """Cosines between the twins' embeddings (median, and the 5 % that are lowest end at `..._p5`).

    `overlap`: share of the float bundle's first 10 sounds among the other's first 10. `p_at_10`, `p_at_10_int8`: of
    pictures whose material has a sound.
    """

    pictures: int
    sounds: int
    picture_cosine: float
    picture_cosine_p5: float
    sound_cosine: float
    sound_cosine_p5: float
    overlap: float
    p_at_10: float
    p_at_10_int8: float

    def as_dict(self) -> dict[str, float]:
        """The numbers by name, to 4 decimals."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_parity(
    floats: Bundle,
    quantised: Bundle,
    pictures: Sequence[Path],
    picture_material: Ids,
    sounds: Sequence[Path],
    sound_material: Ids,
    threads: int,
) -> Parity:
    """Answer `pictures` from `sounds` with both bundles."""
    seen: list[Vectors] = []
    heard: list[Vectors] = []
    for bundle in (floats, quantised):
        runtime = TowerRuntime(bundle, threads)
        with progress(f"{bundle.spec.precision} twin", len(pictures) + len(sounds), "file") as bar:
            for files, vectors, embed in ((pictures, seen, _of_picture), (sounds, heard, _of_sound)):
                found = []
                for path in files:
                    found.append(embed(runtime, path))
                    bar.update()
                vectors.append(np.stack(found))
    first = [
        np.argsort(-(one @ other.T), axis=1, kind="stable")[:, :K] for one, other in zip(seen, heard, strict=True)
    ]
    common = [len(set(a) & set(b)) / len(a) for a, b in zip(*(rows.tolist() for rows in first), strict=True)]
    answered = np.isin(picture_material, sound_material)
    good = [(sound_material[rows] == picture_material[:, None])[answered].mean() for rows in first]
    of_pictures, of_sounds = ((a * b).sum(axis=1) for a, b in (seen, heard))
    return Parity(
        pictures=len(pictures),
        sounds=len(sounds),
        picture_cosine=float(np.median(of_pictures)),
        picture_cosine_p5=float(np.percentile(of_pictures, 5)),
        sound_cosine=float(np.median(of_sounds)),
        sound_cosine_p5=float(np.percentile(of_sounds, 5)),
        overlap=float(np.mean(common)),
        p_at_10=float(good[0]),
        p_at_10_int8=float(good[1]),
    )


def _of_picture(runtime: TowerRuntime, path: Path) -> Vectors:
    embedding: Vectors = runtime.embed_picture(path.read_bytes()).embedding[0]
    return embedding


def _of_sound(runtime: TowerRuntime, path: Path) -> Vectors:
    return runtime.embed_sound(path).embedding
