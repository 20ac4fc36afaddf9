"""Measures of recommendations and of predicted materials, by source, on plain arrays: no bundle, no file.

A `Fold` holds what a bundle makes of the pictures and sounds of one source (or of a group of them), `score_fold`
measures it, and means.py brings several together by their weights. Numbers are by name:
`P@10` is the mean over files (micro), `P@10 macro` the mean over the materials of which the source has enough
files. A number without anything to measure is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.hubness import SCORE_DECIMALS, skewness
from model.materials import MATERIALS
from training.measures.ranking import average_precision, discounts, ideal_gain, ndcg, precision_at, rank

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int64]

K = (1, 5, 10)
MOST_K = 10
BINS = 15


@dataclass(frozen=True)
class Least:
    """The fewest files of a material with which it counts for a source's macro means."""

    pictures: int = 20
    sounds: int = 10


@dataclass(frozen=True, eq=False)
class Fold:
    """P pictures and S sounds of one source, and a library of L sounds (of any source) to recommend.

    `picture_material [P]`, `sound_material [S]` and `library_material [L]` are ids 0..16. `scores [P, L]` rank the
    library as an index would (training/pretraining/indexed_sounds.py); where hub biases are in them,
    `without_biases [P, L]` has none. `labelled [P, L]` are the scores where the library's labels are drawn into
    its vectors. `picture_probabilities [P, 17]` and `sound_probabilities [S, 17]` are those of the heads, None
    where there are none; `recognised [P]` says of which pictures a material is recognised. `weight` is that of the
    source in means over sources; the materials `rare_pictures` and `rare_sounds` count in no macro mean.
    """

    picture_material: Ids
    sound_material: Ids
    library_material: Ids
    scores: Reals
    without_biases: Reals | None = None
    labelled: Reals | None = None
    picture_probabilities: Reals | None = None
    sound_probabilities: Reals | None = None
    recognised: npt.NDArray[np.bool_] | None = None
    weight: float = 1.0
    rare_pictures: tuple[int, ...] = ()
    rare_sounds: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Scored:
    """N files of one source: `numbers` by name and, for those that are means over files, `each [N]`.

    `material [N]` are their ids, `counted [C]` those that make up the macro means. `left_out` pictures have a
    material of which the library has no sound; they are not among the N. `predicted [N]` are the ids of the
    likeliest materials, where materials were predicted. `weight` is that of the source in means over sources.
    """

    numbers: Mapping[str, float]
    each: Mapping[str, Floats]
    material: Ids
    counted: Ids
    left_out: int = 0
    predicted: Ids | None = None
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class FoldScores:
    """What `score_fold` found: the recommendations beside two that need no picture, and the predicted materials.

    None where the source has no such files or the bundle no heads. `picture_material [P]` and `sound_material [S]`
    are the fold's.
    """

    picture_material: Ids
    sound_material: Ids
    recommended: Scored | None
    chance: Scored | None
    commonest: Scored | None
    pictures: Scored | None
    sounds: Scored | None


def score_fold(fold: Fold, least: Least = Least()) -> FoldScores:
    """Measure one source: sounds of the library recommended for its pictures, and the materials of both."""
    material, library = fold.picture_material, fold.library_material
    seen, heard = fold.picture_probabilities, fold.sound_probabilities
    recommended = chance = commonest = pictures = sounds = None
    fewest, rare = least.pictures, fold.rare_pictures
    if len(material):
        recommended = score_recommendations(
            fold.scores, material, library, fewest, fold.without_biases, fold.labelled, rare
        )
        chance = score_chance(material, library, fewest, rare)
        commonest = score_commonest(material, library, fewest, rare)
        if seen is not None:
            pictures = score_pictures(seen, material, fewest, fold.recognised, rare)
    if len(fold.sound_material) and heard is not None:
        sounds = score_sounds(heard, fold.sound_material, least.sounds, fold.rare_sounds)
    found = (recommended, chance, commonest, pictures, sounds)
    weighted = [one and replace(one, weight=fold.weight) for one in found]
    return FoldScores(material, fold.sound_material, *weighted)


def score_recommendations(
    scores: Reals,
    picture_material: Ids,
    library_material: Ids,
    least: int,
    without_biases: Reals | None = None,
    labelled: Reals | None = None,
    rare: Sequence[int] = (),
) -> Scored:
    """Measure the rankings of L sounds by `scores [P, L]`, for P pictures; `rare` materials are in no macro mean.

    - `P@1`, `P@5`, `P@10`: share of sounds of the picture's material among the first (all, if there are fewer)
    - `nDCG@10`: their discounted gain over that of a ranking with all such sounds in front
    - `P@10 labelled`: P@10 of the ranking by `labelled [P, L]`, the library's labels being known
    - `skew`: skewness of how often each sound is among the first 10 of a picture; `skew without biases`: of the
      ranking by `without_biases [P, L]`, and without these the same
    """
    order = _listed(scores)
    plain = order if without_biases is None else _listed(without_biases)
    good = library_material[order] == picture_material[:, None]
    total = _sounds_of(picture_material, library_material)
    each = _at_k(good) | {"nDCG@10": ndcg(good, total, len(library_material))}
    if labelled is not None:
        each["P@10 labelled"] = _at_k(library_material[_listed(labelled)] == picture_material[:, None])["P@10"]
    # Hubs among the pictures that count above, so that all numbers of a source are about the same ones.
    skews = {
        name: skewness(np.bincount(firsts[total > 0].ravel(), minlength=len(library_material)))
        for name, firsts in (("skew", order), ("skew without biases", plain))
        if total.any()
    }
    return _answered(each, picture_material, total, least, skews, rare)


def score_chance(picture_material: Ids, library_material: Ids, least: int, rare: Sequence[int] = ()) -> Scored:
    """What drawing from the library at random gives on average: the share of good sounds, whatever K."""
    sounds = len(library_material)
    total = _sounds_of(picture_material, library_material)
    share = total / sounds
    gain = share * discounts(sounds).sum() / ideal_gain(total, sounds)
    each = {f"P@{k}": share for k in K} | {"nDCG@10": gain}
    return _answered(each, picture_material, total, least, {}, rare)


def score_commonest(picture_material: Ids, library_material: Ids, least: int, rare: Sequence[int] = ()) -> Scored:
    """What always recommending sounds of the library's commonest material (of equals, the lowest id) gives."""
    counts = np.bincount(library_material)
    right = (picture_material == counts.argmax()).astype(np.float64)
    # A K above the library's size means all of it, as in `score_recommendations`.
    firsts = {k: min(k, len(library_material)) for k in K}
    each = {f"P@{k}": right * min(1.0, counts.max() / first) for k, first in firsts.items()} | {"nDCG@10": right}
    return _answered(each, picture_material, _sounds_of(picture_material, library_material), least, {}, rare)


def score_pictures(
    probabilities: Reals,
    material: Ids,
    least: int,
    recognised: npt.NDArray[np.bool_] | None = None,
    rare: Sequence[int] = (),
) -> Scored:
    """Measure the `probabilities [N, 17]` that materials are in pictures of one `material [N]` each.

    - `top-1`, `top-3`: whether it is the likeliest, or among the three likeliest
    - `mAP`: mean, over the materials that count for macro means, of the average precision of their probability;
      a material that all the source's pictures are of is left out, for nothing is there to tell it from
    - `ECE`: expected calibration error of the likeliest material's probability
    - `probability`: that of the likeliest material, whose mean should be `top-1`
    - `recognised`: share of those in the mask `recognised [N]`
    """
    each = _tops(probabilities, material)
    if recognised is not None:
        each["recognised"] = recognised.astype(np.float64)
    truth, predicted = material[:, None] == np.arange(len(MATERIALS)), probabilities.argmax(axis=1)
    precisions = [
        float(average_precision(probabilities[:, id_].astype(np.float64), truth[:, id_])[0])
        for id_ in enough(material, least, rare)
        if not truth[:, id_].all()
    ]
    more = {"mAP": mean(precisions), "ECE": calibration_error(probabilities.max(axis=1), predicted == material)}
    return _scored(each, material, least, more, rare, predicted=predicted)


def score_sounds(probabilities: Reals, material: Ids, least: int, rare: Sequence[int] = ()) -> Scored:
    """Measure the `probabilities [N, 17]` of sounds' materials: `top-1`, `top-3`, `probability`, top `ECE`."""
    predicted = probabilities.argmax(axis=1)
    more = {"ECE": calibration_error(probabilities.max(axis=1), predicted == material)}
    return _scored(_tops(probabilities, material), material, least, more, rare, predicted=predicted)


def calibration_error(probabilities: Reals, truth: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error (Guo et al. 2017) of `probabilities [N]` over 15 bins of equal width."""
    exact = probabilities.astype(np.float64)
    bins = np.minimum((exact * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, exact - truth, BINS)
    return float(np.abs(gaps).sum() / len(exact)) if len(exact) else np.nan


def enough(material: Ids, least: int, rare: Sequence[int] = ()) -> Ids:
    """The ids but `rare` of which `material [N]` has at least `least` (and at least one) files."""
    ids: Ids = np.flatnonzero(np.bincount(material, minlength=len(MATERIALS)) >= max(1, least))
    return ids[~np.isin(ids, np.array(rare, np.int64))]


def mean(values: Sequence[float] | Floats) -> float:
    """The mean of those of `values` that are numbers, NaN where none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _answered(
    each: Mapping[str, Floats],
    material: Ids,
    total: Ids,
    least: int,
    more: Mapping[str, float],
    rare: Sequence[int],
) -> Scored:
    """Of the pictures those with any good sound among `total [P]`: the others would count 0 for every bundle."""
    kept = total > 0
    values = {name: value[kept] for name, value in each.items()}
    return _scored(values, material[kept], least, more, rare, int((~kept).sum()))


def _scored(
    each: Mapping[str, Floats],
    material: Ids,
    least: int,
    more: Mapping[str, float],
    rare: Sequence[int],
    left_out: int = 0,
    predicted: Ids | None = None,
) -> Scored:
    counted = enough(material, least, rare)
    numbers: dict[str, float] = {}
    for name, values in each.items():
        numbers[name] = mean(values)
        numbers[f"{name} macro"] = mean([values[material == id_].mean() for id_ in counted])
    return Scored({**numbers, **more}, each, material, counted, left_out, predicted)


def _listed(scores: Reals) -> npt.NDArray[np.intp]:
    """The first ten sounds of each row of `scores [P, L]`, as an index lists them."""
    return rank(np.round(scores.astype(np.float64), SCORE_DECIMALS), MOST_K)


def _at_k(good: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """P@K of the lists `good [P, 10]`, which are shorter where the library is: there a K above counts all."""
    shares = precision_at(good)
    return {f"P@{k}": shares[:, min(k, shares.shape[1]) - 1] for k in K}


def _tops(probabilities: Reals, material: Ids) -> dict[str, Floats]:
    first = np.argsort(-probabilities, axis=1, kind="stable")[:, :3] == material[:, None]
    return {
        "top-1": first[:, 0].astype(np.float64),
        "top-3": first.any(axis=1).astype(np.float64),
        "probability": probabilities.max(axis=1).astype(np.float64),
    }


def _sounds_of(picture_material: Ids, library_material: Ids) -> Ids:
    """How many sounds of each picture's material the library has, `[P]`."""
    counts: Ids = np.bincount(library_material, minlength=len(MATERIALS))[picture_material]
    return counts
