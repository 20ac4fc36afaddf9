"""Which pictures count as recognised: bounds on two scores, from held-out pictures and those of nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.materials import MATERIALS
from training.pretraining.left_out_groups import group_weight
from training.pretraining.space import CONSTANT, TOUCHABLE

MOST_NOTHING, LEAST_RECOGNISED = 0.25, 0.90
"""At most so many pictures of nothing are to be taken for a material, while so many photographs are recognised."""
_FITTED_RECOGNISED = 0.92
"""So many of the photographs that the bounds are fitted to: of sources that they are not fitted to it is fewer."""
_COUNT = len(MATERIALS)
_STEPS = np.linspace(0.0, 1.0, 21)

Scores = npt.NDArray[np.float64]
Embeddings = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recognition:
    """The least logits, over the constant, of something to touch and of the likeliest material."""

    touchable: float
    material: float

    def weights(self, embedding_size: int) -> Embeddings:
        """`recognition_weights [18, embedding_size]` of the heads."""
        rows = np.zeros((_COUNT + 1, embedding_size), np.float32)
        rows[np.arange(_COUNT), np.arange(_COUNT)] = 1.0
        rows[:_COUNT, CONSTANT] = -self.material
        rows[_COUNT, TOUCHABLE], rows[_COUNT, CONSTANT] = 1.0, -self.touchable
        return rows


def group_shares(group: npt.NDArray[np.str_]) -> Scores:
    """Weights `[N]`, sum 1: a group has its weight in the table of groups, within it every file the same."""
    names, which, counts = np.unique(group, return_inverse=True, return_counts=True)
    weights = np.array([group_weight(name) for name in names.tolist()])[which] / counts[which]
    shares: Scores = weights / weights.sum()
    return shares


def fit_recognition(pictures: Embeddings, share: Scores, nothing: Embeddings) -> Recognition:
    """Bounds that separate held-out `pictures [N, d]` from pictures of `nothing [M, d]`; `share [N]` sums to 1.

    Of the pairs of bounds by which `_FITTED_RECOGNISED` of the pictures are recognised, it is the one that takes
    the fewest pictures of nothing for a material. What resembles no picture that was fitted on has a small logit of
    every material; what resembles pictures of nothing has a small logit of something to touch.
    """
    seen, empty = _scores(pictures), _scores(nothing)
    best = (np.inf, -np.inf, -np.inf, -np.inf)
    for lost in _STEPS * (1.0 - _FITTED_RECOGNISED):
        touchable = _bound(seen[0], share, lost)
        kept = seen[0] >= touchable
        material = _bound(np.where(kept, seen[1], np.inf), share, 1.0 - _FITTED_RECOGNISED - share[~kept].sum())
        recognised = share[kept & (seen[1] >= material)].sum()
        taken = ((empty[0] >= touchable) & (empty[1] >= material)).mean() if len(nothing) else 0.0
        best = min(best, (float(taken), -float(recognised), touchable, material))
    return Recognition(*best[2:])


def _scores(embeddings: Embeddings) -> tuple[Scores, Scores]:
    """The logits of something to touch and of the likeliest material, `[N]` each, over the constant."""
    values = embeddings.astype(np.float64)
    constant = values[:, CONSTANT]
    return values[:, TOUCHABLE] / constant, values[:, :_COUNT].max(axis=1) / constant


def _bound(scores: Scores, share: Scores, lost: float) -> float:
    """The greatest of `scores [N]` below which the weights `share [N]` add up to at most `lost`, slightly lowered.

    Lowered, because a service adds up in 32 bits what is fitted in 64.
    """
    order = np.argsort(scores, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(share[order])[:-1]])
    bound = scores[order[np.flatnonzero(below <= lost + 1e-12)[-1]]] if len(scores) else -1e3
    return float(bound - 1e-5 * max(1.0, abs(bound))) if np.isfinite(bound) else float(bound)
