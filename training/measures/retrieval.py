"""How good recommended sounds are: precision, AP, nDCG and coverage of the ranking by cosine, and hubness.

The paper shows one picture's precision over K (Figure 8); here all pictures count, with intervals over videos. A
sound is good for a picture if its material is one of the picture's (paper, 4.4.1).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from model.errors import NoDataError, TrainingError
from model.hubness import skewness
from model.materials import MATERIALS
from training.measures.bootstrap import Resamples, class_means, macro_mean
from training.measures.ranking import list_average_precision, ndcg, precision_at, rank
from training.measures.records import MaterialMeasures, Mean, PictureMeasures, RetrievalMeasures

SHOWN_K = (1, 5, 10, 25, 50)
PART = 2**20  # similarities held at a time

Floats = npt.NDArray[np.float64]


def measure_retrieval(
    pictures: npt.NDArray[np.float32],
    sounds: npt.NDArray[np.float32],
    picture_materials: npt.NDArray[np.bool_],
    sound_material: npt.NDArray[np.int8],
    picture_group: npt.ArrayLike,
    *,
    most_k: int = 50,
    seed: int = 0,
) -> RetrievalMeasures:
    """Rank all M sounds for each of N pictures and measure the rankings.

    `pictures [N, 128]` and `sounds [M, 128]` are unit vectors; the nearest come first, of equals the earlier.
    `picture_materials [N, 17]` and `sound_material [M]` (ids 0..16) are the truth, `picture_group [N]` the videos.

    - `p_at`: share of good sounds among the K nearest, by K as text; a K above M or `most_k` is left out
    - `map`: mean average precision over the whole ranking
    - `ndcg_at_10`: normalised discounted cumulative gain of good or not (Järvelin & Kekäläinen 2002); the ideal
      has as many good sounds in front as there are, at most 10
    - `coverage_at`: share of the picture's materials that occur among the K nearest
    - `chance`: the precision of drawing at random
    - `good_share`, `good_low`, `good_high`: micro precision at K = 1, 2, ... min(`most_k`, M) and its interval
    - `by_material`: for each material that occurs, its `pictures`, their `p_at_10`, `interval` and `chance`;
      `p_at_10` and its interval are None where "10" is left out of `p_at`
    - `without_good`: how many pictures have no good sound among all M. They stay in, with 0 for every measure.
    - `by_picture`: to compare two recipes picture by picture; its `p_at_10` is None as in `by_material`

    Micro is the mean over pictures; macro the mean, over the materials that occur, of the mean over the pictures
    with the material. Both have 95 % bootstrap intervals over groups. Raises TrainingError where there is
    nothing to measure (no picture, no sound, no picture with a material) or a vector is not finite.
    """
    _check(pictures, sounds)
    if not picture_materials.any():
        raise NoDataError("there is nothing to measure: no picture has a material")
    resamples = Resamples(picture_group, seed)
    chance = _chance(picture_materials, sound_material)
    ranked = _Ranked(pictures, sounds, picture_materials, sound_material, min(most_k, len(sounds)))
    shown = [k for k in SHOWN_K if k <= ranked.share.shape[1]]

    at_ten = ranked.share[:, 9] if 10 in shown else None

    def mean(values: Floats) -> Mean:
        return Mean(
            micro=float(values.mean()),
            micro_interval=resamples.mean_interval(values),
            macro=macro_mean(values, picture_materials),
            macro_interval=resamples.macro_interval(values, picture_materials),
        )

    chances = class_means(chance, picture_materials)
    by_material = {}
    for id_ in np.flatnonzero(picture_materials.any(axis=0)):
        holds = picture_materials[:, id_]
        by_material[MATERIALS[id_].name] = MaterialMeasures(
            pictures=int(holds.sum()),
            chance=float(chances[id_]),
            p_at_10=None if at_ten is None else float(at_ten[holds].mean()),
            interval=None if at_ten is None else resamples.mean_interval(np.where(holds, at_ten, np.nan)),
        )
    low, high = resamples.mean_bounds(ranked.share)
    return RetrievalMeasures(
        p_at={str(k): mean(ranked.share[:, k - 1]) for k in shown},
        map=mean(ranked.average_precision),
        ndcg_at_10=mean(ranked.ndcg_at_10),
        coverage_at={str(k): mean(ranked.coverage(k)) for k in shown},
        chance=Mean(micro=float(chance.mean()), macro=macro_mean(chance, picture_materials)),
        good_share=ranked.share.mean(axis=0).tolist(),
        good_low=low.tolist(),
        good_high=high.tolist(),
        by_material=by_material,
        without_good=int((chance == 0).sum()),
        by_picture=PictureMeasures(
            group=np.asarray(picture_group).tolist(),
            materials=[np.flatnonzero(present).tolist() for present in picture_materials],
            p_at_10=None if at_ten is None else at_ten.round(6).tolist(),
            ndcg_at_10=ranked.ndcg_at_10.round(6).tolist(),
            map=ranked.average_precision.round(6).tolist(),
        ),
    )


def measure_map(
    pictures: npt.NDArray[np.float32],
    sounds: npt.NDArray[np.float32],
    picture_materials: npt.NDArray[np.bool_],
    sound_material: npt.NDArray[np.int8],
) -> float:
    """Macro mean average precision alone, as in `measure_retrieval`: cheap enough for every epoch."""
    _check(pictures, sounds)
    ranked = _Ranked(pictures, sounds, picture_materials, sound_material, 1)
    return macro_mean(ranked.average_precision, picture_materials)


def hubness_skew(pictures: npt.NDArray[np.float32], sounds: npt.NDArray[np.float32], k: int = 10) -> float:
    """Skewness of how often each sound is among the `k` nearest of a picture (Radovanović et al. 2010, N_k).

    The third standardised moment over all M sounds: 0 where every sound is chosen equally often, large where a
    few sounds (hubs) are near to everything. Raises TrainingError as `measure_retrieval` does.
    """
    _check(pictures, sounds)
    chosen = np.zeros(len(sounds), np.int64)
    for _, order in _rankings(pictures, sounds):
        chosen += np.bincount(order[:, :k].ravel(), minlength=len(sounds))
    return skewness(chosen)


class _Ranked:
    """What the rankings of N pictures give, each `[N]` or with a column for each K up to `most_k`."""

    def __init__(
        self,
        pictures: npt.NDArray[np.float32],
        sounds: npt.NDArray[np.float32],
        picture_materials: npt.NDArray[np.bool_],
        sound_material: npt.NDArray[np.int8],
        most_k: int,
    ) -> None:
        count = len(sounds)
        self.share = np.empty((len(pictures), most_k))
        self.average_precision = np.empty(len(pictures))
        self.ndcg_at_10 = np.empty(len(pictures))
        self._held = picture_materials
        # Rank of the first sound of each material; most_k where there is none before.
        self._first = np.full(picture_materials.shape, most_k)
        for part, order in _rankings(pictures, sounds):
            material = sound_material[order]  # [n, M], nearest first
            good = np.take_along_axis(picture_materials[part], material, axis=1)
            self.share[part] = precision_at(good[:, :most_k])
            self.average_precision[part] = np.nan_to_num(list_average_precision(good))
            self.ndcg_at_10[part] = ndcg(good, good.sum(axis=1), count)
            for at in reversed(range(most_k)):
                np.put_along_axis(self._first[part], material[:, at, None].astype(np.intp), at, axis=1)

    def coverage(self, k: int) -> Floats:
        """Share of each picture's materials among its `k` nearest sounds, 0 for a picture without materials."""
        found = (self._held & (self._first < k)).sum(axis=1)
        coverage: Floats = found / np.maximum(1, self._held.sum(axis=1))
        return coverage


def _rankings(
    pictures: npt.NDArray[np.float32], sounds: npt.NDArray[np.float32]
) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
    """Some pictures at a time, and for each the sounds `[n, M]`, nearest first."""
    step = max(1, PART // len(sounds))
    library = sounds.astype(np.float64).T
    for start in range(0, len(pictures), step):
        part = slice(start, start + step)
        # Equal sounds must tie: a product's last bits depend on where in the matrix a column stands.
        similarity = (pictures[part].astype(np.float64) @ library).astype(np.float32)
        yield part, rank(similarity)


def _chance(picture_materials: npt.NDArray[np.bool_], sound_material: npt.NDArray[np.int8]) -> Floats:
    """For each picture, the share of good sounds in the whole library, `[N]`."""
    share = np.bincount(sound_material, minlength=picture_materials.shape[1]) / len(sound_material)
    chance: Floats = picture_materials @ share
    return chance


def _check(pictures: npt.NDArray[np.float32], sounds: npt.NDArray[np.float32]) -> None:
    for name, vectors in (("picture", pictures), ("sound", sounds)):
        if not len(vectors):
            raise NoDataError(f"there is nothing to measure: no {name}")
        if not np.isfinite(vectors).all():
            raise TrainingError(f"the vector of a {name} is not finite: the network's weights are broken")
