"""The loss that TT_AGG is fitted with."""

from torch import Tensor

_EDGE = 1e-7


def pair_loss(scores: Tensor, match: Tensor) -> Tensor:
    """Mean binary cross entropy of scores in [0, 1] `[P]` against `match` 0.0 or 1.0 `[P]` (paper, 3.4.2).

    Scores are kept 1e-7 away from 0 and 1, where float32 rounding can put a cosine. Unlike torch's own
    function, which refuses them, scores that are no numbers give a loss that is none, so that the training
    loop can say what to do about it, on a GPU too.
    """
    kept = scores.clamp(_EDGE, 1.0 - _EDGE)
    return -(match * kept.log() + (1.0 - match) * (1.0 - kept).log()).mean()
