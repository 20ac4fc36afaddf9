"""What a bundle loses by INT8: how far its embeddings and answers agree with those of the float bundle."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import IMAGE_TOWER, SOUND_TOWER, Bundle, ClipSpec, PictureSpec
from model.progress import progress
from model.runtime import TowerRuntime

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
K = 10


@dataclass(frozen=True)
class Parity:
    """The agreement of a float bundle and its INT8 version, on `pictures` pictures and `sounds` sounds.

    `..._cosine`, `..._cosine_p5`: median and 5th percentile of the cosines between both embeddings of a file.
    `overlap`: the share of the float bundle's first 10 sounds that are among the first 10 of the other.
    `p_at_10`, `p_at_10_int8`: precision@10 of both, over pictures whose material has a sound.
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
    """Recommend `sounds` for `pictures` with both bundles. A tower that is the same in both embeds only once."""
    twins = (floats, quantised)
    seen = _of_both(twins, IMAGE_TOWER, pictures, _of_picture, threads)
    heard = _of_both(twins, SOUND_TOWER, sounds, _of_sound, threads)
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


def _of_both(
    twins: tuple[Bundle, Bundle],
    tower: str,
    paths: Sequence[Path],
    embed: Callable[[TowerRuntime, Path], Vectors],
    threads: int,
) -> tuple[Vectors, Vectors]:
    """The embeddings `[n, d]` of files by the `tower` of both bundles, computed once where it is the same."""
    found: dict[tuple[str, PictureSpec, ClipSpec], Vectors] = {}
    keys = [(twin.spec.files[tower].sha256, twin.spec.picture, twin.spec.clip) for twin in twins]
    for key, twin in zip(keys, twins, strict=True):
        if key not in found:
            runtime, vectors = TowerRuntime(twin, threads), []
            with progress(f"{Path(tower).stem}, {twin.spec.precision} twin", len(paths), "file") as bar:
                for path in paths:
                    vectors.append(embed(runtime, path))
                    bar.update()
            found[key] = np.stack(vectors)
    first, second = keys
    return found[first], found[second]


def _of_picture(runtime: TowerRuntime, path: Path) -> Vectors:
    embedding: Vectors = runtime.embed_picture(path.read_bytes()).embedding[0]
    return embedding


def _of_sound(runtime: TowerRuntime, path: Path) -> Vectors:
    return runtime.embed_sound(path).embedding
