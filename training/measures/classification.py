"""How well materials are predicted: of a sound (paper, Tables 2 and 4), of a picture (Table 3), of pairs (Table 5).

Each function takes `groups [N]`, the video of each entry, and gives 95 % bootstrap intervals over them as
`..._interval`; `intervals=False` leaves them None. All raise TrainingError where there is nothing to measure or a
number is not finite, NoDataError where there is no entry.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import NoDataError, TrainingError
from training.measures.bootstrap import Resamples, interval, macro_mean, mean_of_known
from training.measures.ranking import average_precision
from training.measures.records import ClassMeasures, LabelMeasures, PairMeasures

Floats = npt.NDArray[np.float64]


def measure_classes(
    logits: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.integer[Any]],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> ClassMeasures:
    """Measure `logits [N, 17]` against the true material ids `truth [N]`.

    Of equal logits the lower id is predicted. `macro_accuracy` is the mean, over the materials that occur, of the
    share predicted rightly; `loss` the mean cross entropy of the logits' softmax. `confusion` is there with the
    intervals.
    """
    _check(logits)
    samples, classes = logits.shape
    predicted = logits.argmax(axis=1)
    right = predicted == truth
    held = truth[:, None] == np.arange(classes)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    more: dict[str, Any] = {}
    if intervals:
        resamples = Resamples(groups, seed)
        cells = truth.astype(np.intp) * classes + predicted
        more = {
            "accuracy_interval": resamples.mean_interval(right),
            "macro_accuracy_interval": resamples.macro_interval(right, held),
            "confusion": np.bincount(cells, minlength=classes**2).reshape(classes, classes).tolist(),
        }
    return ClassMeasures(
        samples=samples,
        accuracy=float(right.mean()),
        macro_accuracy=macro_mean(right, held),
        loss=float((np.log(np.exp(shifted).sum(axis=1)) - shifted[held]).mean()),
        **more,
    )


def measure_labels(
    logits: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.bool_],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> LabelMeasures:
    """Measure `logits [N, 17]` against the materials in each picture, `truth [N, 17]`.

    Over all N x 17 cells at the probability 0.5 (paper, 3.3.2) `accuracy`, `precision`, `recall`, `f1` and `loss`
    (mean binary cross entropy, unweighted); and `map`, the mean over the materials that occur of the average
    precision over the pictures. For the interval of `map` a picture drawn n times weighs n, which gives the average
    precision of the resampled pictures; a material that a resample lacks is left out of its mean.
    """
    _check(logits)
    if not truth.any():
        raise NoDataError("there is nothing to measure: no picture has a material")
    exact = logits.astype(np.float64)
    cases = _cases(exact > 0, truth)
    more: dict[str, Any] = {}
    if intervals:
        resamples = Resamples(groups, seed)
        parts = [mean_of_known(_average_precisions(exact, truth, weights)) for weights in resamples.weights()]
        more = {**_intervals(resamples.sums(cases)), "map_interval": interval(np.concatenate(parts))}
    return LabelMeasures(
        pictures=len(logits),
        **_values(cases.sum(axis=0, keepdims=True)),
        map=float(np.nanmean(_average_precisions(exact, truth))),
        loss=float(np.logaddexp(0, np.where(truth, -exact, exact)).mean()),
        **more,
    )


def measure_pairs(
    scores: npt.NDArray[np.floating[Any]],
    match: npt.NDArray[Any],
    groups: npt.ArrayLike,
    seed: int = 0,
    *,
    intervals: bool = True,
) -> PairMeasures:
    """Measure scores in [0, 1] `[P]` against `match [P]`, bool or 0.0 and 1.0.

    At the threshold 0.5 `accuracy`, `precision`, `recall` and `f1`, each 0 without a case; `loss` is the mean
    binary cross entropy of scores kept 1e-7 away from 0 and 1.
    """
    _check(scores)
    true = match > 0.5
    cases = _cases(scores[:, None] > 0.5, true[:, None])
    clipped = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    return PairMeasures(
        pairs=len(scores),
        **_values(cases.sum(axis=0, keepdims=True)),
        loss=float(-np.log(np.where(true, clipped, 1 - clipped)).mean()),
        **(_intervals(Resamples(groups, seed).sums(cases)) if intervals else {}),
    )


def _cases(predicted: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> Floats:
    """How many cells `[N, C]` each entry has, and how many are right, hits, predicted and true: `[N, 5]`."""
    counted = [np.ones_like(true), predicted == true, predicted & true, predicted, true]
    return np.stack([cells.sum(axis=1) for cells in counted], axis=1).astype(np.float64)


def _rates(sums: Floats) -> dict[str, Floats]:
    """The four measures of summed cases `[R, 5]`, each `[R]`; 0 without a case."""
    cells, right, hits, predicted, true = sums.T
    return {
        "accuracy": right / cells,
        "precision": hits / np.maximum(1, predicted),
        "recall": hits / np.maximum(1, true),
        "f1": 2 * hits / np.maximum(1, predicted + true),
    }


def _values(sums: Floats) -> dict[str, Any]:
    return {name: float(values[0]) for name, values in _rates(sums).items()}


def _intervals(sums: Floats) -> dict[str, Any]:
    return {f"{name}_interval": interval(values) for name, values in _rates(sums).items()}


def _average_precisions(logits: Floats, truth: npt.NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """The average precision by `weights [R, N]` and material, `[R, 17]`; NaN where no drawn picture holds it."""
    found = np.full((1 if weights is None else len(weights), logits.shape[1]), np.nan)
    for material in np.flatnonzero(truth.any(axis=0)):
        found[:, material] = average_precision(logits[:, material], truth[:, material], weights)
    return found


def _check(numbers: npt.NDArray[np.floating[Any]]) -> None:
    if not len(numbers):
        raise NoDataError("there is nothing to measure: no entry")
    if not np.isfinite(numbers).all():
        raise TrainingError("a network's output is not finite: its weights are broken")
