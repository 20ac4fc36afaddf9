"""The paper's measures: pairs told apart (Table 5), and the share of good sounds among the nearest (Figure 8)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PairMetrics:
    """Of P pairs at the threshold 0.5: accuracy, precision, recall, F1; and their mean binary cross entropy."""

    pairs: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    loss: float


def pair_metrics(scores: npt.NDArray[np.float32], match: npt.NDArray[np.float32]) -> PairMetrics:
    """Measure scores in [0, 1] `[P]` against `match` 0.0 or 1.0 `[P]`. A measure without a case is 0."""
    said, true = scores > 0.5, match > 0.5
    hits = int((said & true).sum())
    precision = hits / max(1, int(said.sum()))
    recall = hits / max(1, int(true.sum()))
    clipped = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    return PairMetrics(
        pairs=len(match),
        accuracy=float((said == true).mean()),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(1e-12, precision + recall),
        loss=float(-np.where(true, np.log(clipped), np.log(1 - clipped)).mean()),
    )


def good_of_nearest(
    pictures: npt.NDArray[np.float32],
    sounds: npt.NDArray[np.float32],
    picture_materials: npt.NDArray[np.bool_],
    sound_material: npt.NDArray[np.int8],
    k: int,
) -> npt.NDArray[np.bool_]:
    """For each picture, which of its `k` nearest sounds are good, nearest first: bool `[N, k]`.

    `pictures [N, 128]` and `sounds [M, 128]` are unit vectors; nearness is the cosine, ties go to the earlier
    sound. A sound is good if its material is one of the picture's, `picture_materials [N, 17]` (paper, 4.4.1).
    """
    nearest = np.argsort(-(pictures @ sounds.T), axis=1, kind="stable")[:, :k]
    good: npt.NDArray[np.bool_] = np.take_along_axis(picture_materials, sound_material[nearest], axis=1)
    return good


def chance_of_good(
    picture_materials: npt.NDArray[np.bool_], sound_material: npt.NDArray[np.int8]
) -> npt.NDArray[np.float64]:
    """For each picture, the share of good sounds in the whole library: what drawing at random gives, `[N]`."""
    share = np.bincount(sound_material, minlength=picture_materials.shape[1]) / max(1, len(sound_material))
    chance: npt.NDArray[np.float64] = picture_materials @ share
    return chance


def macro(values: npt.NDArray[np.float64], picture_materials: npt.NDArray[np.bool_]) -> dict[int, float]:
    """Mean of a value a picture `[N]` over the pictures of each material that occurs, by material id."""
    return {
        int(material): float(values[picture_materials[:, material]].mean())
        for material in np.flatnonzero(picture_materials.any(axis=0))
    }
