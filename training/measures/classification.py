"""How well materials are told: of a sound (paper, Tables 2 and 4), of a picture (Table 3), and of pairs (Table 5).

Each function takes `groups [N]`, the video of each entry, and gives 95 % bootstrap intervals over them as
`..._interval` [low, high]; `intervals=False` leaves them out. All raise TrainingError where there is nothing to
measure or a number is not finite.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import NoDataError, TrainingError
from training.measures.bootstrap import Resamples, interval, macro_mean, mean_of_known

Floats = npt.NDArray[np.float64]


def measure_classes(
    logits: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.integer[Any]],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> dict[str, Any]:
    """Measure `logits [N, 17]` against the true material ids `truth [N]`; of equal logits the lower id is said.

    `samples`, `accuracy`, `macro_accuracy` (mean over the materials that occur of the share told right), `loss`
    (mean cross entropy of the logits' softmax), and with the intervals `confusion`: 17 rows of true material,
    17 columns of said material, counts.
    """
    _check(logits)
    samples, classes = logits.shape
    said = logits.argmax(axis=1)
    right = said == truth
    held = truth[:, None] == np.arange(classes)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    found: dict[str, Any] = {
        "samples": samples,
        "accuracy": float(right.mean()),
        "macro_accuracy": macro_mean(right, held),
        "loss": float((np.log(np.exp(shifted).sum(axis=1)) - shifted[held]).mean()),
    }
    if intervals:
        resamples = Resamples(groups, seed)
        cells = truth.astype(np.intp) * classes + said
        found |= {
            "accuracy_interval": resamples.mean_interval(right),
            "macro_accuracy_interval": resamples.macro_interval(right, held),
            "confusion": np.bincount(cells, minlength=classes**2).reshape(classes, classes).tolist(),
        }
    return found


def measure_labels(
    logits: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.bool_],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> dict[str, Any]:
    """Measure `logits [N, 17]` against the materials in each picture, `truth [N, 17]`.

    `pictures`; over all N x 17 cells at the probability 0.5 (paper, 3.3.2) `accuracy`, `precision`, `recall`,
    `f1` and `loss` (mean binary cross entropy, unweighted); and `map`, the mean over the materials that occur of
    the average precision over the pictures. Pictures with equal logits share one place in that ranking, so their
    order does not matter. For the interval of `map` a picture drawn n times weighs n in the precision and in the
    mean, which is the average precision of the resampled pictures; a material that a resample lacks is left out
    of its mean.
    """
    _check(logits)
    if not truth.any():
        raise NoDataError("there is nothing to measure: no picture has a material")
    exact = logits.astype(np.float64)
    cases = _cases(exact > 0, truth)
    found: dict[str, Any] = {
        "pictures": len(logits),
        **_values(cases.sum(axis=0, keepdims=True)),
        "map": float(np.nanmean(_average_precision(exact, truth, np.ones((1, len(logits)))))),
        "loss": float(np.logaddexp(0, np.where(truth, -exact, exact)).mean()),
    }
    if intervals:
        resamples = Resamples(groups, seed)
        found |= _intervals(resamples.sums(cases))
        parts = [mean_of_known(_average_precision(exact, truth, weights)) for weights in resamples.weights()]
        found["map_interval"] = interval(np.concatenate(parts))
    return found


def measure_pairs(
    scores: npt.NDArray[np.floating[Any]],
    match: npt.NDArray[Any],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> dict[str, Any]:
    """Measure scores in [0, 1] `[P]` against `match [P]`, bool or 0.0 and 1.0.

    `pairs`; at the threshold 0.5 `accuracy`, `precision`, `recall` and `f1`, each 0 without a case; `loss`, the
    mean binary cross entropy of scores kept 1e-7 away from 0 and 1.
    """
    _check(scores)
    true = match > 0.5
    cases = _cases(scores[:, None] > 0.5, true[:, None])
    clipped = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    found: dict[str, Any] = {
        "pairs": len(scores),
        **_values(cases.sum(axis=0, keepdims=True)),
        "loss": float(-np.log(np.where(true, clipped, 1 - clipped)).mean()),
    }
    if intervals:
        found |= _intervals(Resamples(groups, seed).sums(cases))
    return found


def _cases(said: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> Floats:
    """For each entry, how many of its cells `[N, C]` there are, and are right, hits, said and true: `[N, 5]`."""
    counted = [np.ones_like(true), said == true, said & true, said, true]
    return np.stack([cells.sum(axis=1) for cells in counted], axis=1).astype(np.float64)


def _rates(sums: Floats) -> dict[str, Floats]:
    """The four measures of summed cases `[R, 5]`, each `[R]`; 0 without a case."""
    cells, right, hits, said, true = sums.T
    return {
        "accuracy": right / cells,
        "precision": hits / np.maximum(1, said),
        "recall": hits / np.maximum(1, true),
        "f1": 2 * hits / np.maximum(1, said + true),
    }


def _values(sums: Floats) -> dict[str, float]:
    return {name: float(values[0]) for name, values in _rates(sums).items()}


def _intervals(sums: Floats) -> dict[str, list[float]]:
    return {f"{name}_interval": interval(values) for name, values in _rates(sums).items()}


def _average_precision(logits: Floats, truth: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """The average precision by `weights [R, N]` and material, `[R, 17]`; NaN where no drawn picture holds it."""
    found = np.full((len(weights), logits.shape[1]), np.nan)
    for material in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-logits[:, material], kind="stable")
        falling, holds = -logits[order, material], truth[order, material]
        weighed = weights[:, order]
        # The precision at a picture is taken at the last of those that tie with it.
        last = np.searchsorted(falling, falling[holds], side="right") - 1
        above = weighed.cumsum(axis=1)[:, last]
        hits = (weighed * holds).cumsum(axis=1)[:, last]
        positive = weighed[:, holds]
        total = positive.sum(axis=1)
        precision = hits / np.maximum(1, above)
        found[:, material] = (positive * precision).sum(axis=1) / np.where(total > 0, total, np.nan)
    return found


def _check(numbers: npt.NDArray[np.floating[Any]]) -> None:
    if not len(numbers):
        raise NoDataError("there is nothing to measure: no entry")
    if not np.isfinite(numbers).all():
        raise TrainingError("a network's output is not finite: its weights are broken")
