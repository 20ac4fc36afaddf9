"""From which probability on a picture counts as recognised, and how many pictures of nothing then do."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.pretraining.left_out_groups import group_weight

MOST_NOTHING, LEAST_RECOGNISED = 0.25, 0.90
"""At most so many pictures of nothing are to be taken for a material, while so many photographs are recognised."""

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recognition:
    """The threshold on the largest probability, and whether it keeps both bounds on the pictures it comes from."""

    threshold: float
    within_bounds: bool


def group_shares(group: npt.NDArray[np.str_]) -> Probabilities:
    """Weights `[N]`, sum 1: a group has its weight in the table of groups, within it every file the same."""
    names, which, counts = np.unique(group, return_inverse=True, return_counts=True)
    weights = np.array([group_weight(name) for name in names.tolist()])[which] / counts[which]
    shares: Probabilities = weights / weights.sum()
    return shares


def recognition_threshold(probable: Probabilities, share: Probabilities, nothing: Probabilities) -> Recognition:
    """The threshold on the largest probability that separates pictures of materials from pictures of nothing.

    `probable [N]` and `nothing [M]` are the largest probabilities of held-out pictures of both kinds, `share [N]`
    the weights, of sum 1, of the former. Of the thresholds that keep both bounds above, or of all where none does,
    it is the one with the highest mean of the two accuracies (balanced accuracy); it has 2 decimals.
    """
    thresholds = np.round(np.arange(0.05, 0.96, 0.01), 2)
    recognised = np.array([share[probable >= t].sum() for t in thresholds])
    taken = np.array([(nothing >= t).mean() if len(nothing) else 0.0 for t in thresholds])
    within = (taken <= MOST_NOTHING) & (recognised >= LEAST_RECOGNISED)
    balance = recognised - taken
    best = int(np.argmax(np.where(within, balance, balance - 2.0)))
    return Recognition(float(thresholds[best]), bool(within[best]))
