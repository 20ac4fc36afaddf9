"""The losses that TT_AGG can be fitted with; all have one signature.

A loss takes `images` and `sounds`, unit vectors `[B, 128]` of the B pairs of a batch, and `belongs` bool `[B, B]`:
whether the material of sound j is in picture i. Row i of images and sounds is one drawn pair.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from model.errors import TrainingError
from model.two_tower import pair_score

_EDGE = 1e-7


class PairLoss(nn.Module):
    """The paper's: binary cross entropy of the drawn pairs' cosine scaled to [0, 1] (paper, 3.4.2).

    Scores are kept 1e-7 away from 0 and 1, where float32 rounding can put a cosine. Unlike torch's own
    function, which refuses them, scores that are no numbers give a loss that is none, so that the training
    loop can say what to do about it, on a GPU too.
    """

    def forward(self, images: Tensor, sounds: Tensor, belongs: Tensor) -> Tensor:
        """Mean over the B drawn pairs."""
        match = belongs.diagonal().float()
        scores = pair_score(images, sounds).clamp(_EDGE, 1.0 - _EDGE)
        return -(match * scores.log() + (1.0 - match) * (1.0 - scores).log()).mean()


class SigmoidLoss(nn.Module):
    """Every picture of the batch against every sound, each cell judged alone, with a learned scale and bias.

    The sigmoid loss of SigLIP (Zhai et al. 2023) with several positives a row: the paper's cross entropy on
    all B x B pairs instead of B, and with a scale, without which a cosine cannot say that it is certain. The
    bias begins where a fifth of the cells are positive, about as many as in Greatest Hits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(math.log(0.2 / 0.8)))

    def forward(self, images: Tensor, sounds: Tensor, belongs: Tensor) -> Tensor:
        """Mean over the B x B cells."""
        logits = self.log_scale.exp() * (images @ sounds.T) + self.bias
        return binary_cross_entropy_with_logits(logits, belongs.float())


LOSSES: dict[str, type[nn.Module]] = {"pair": PairLoss, "sigmoid": SigmoidLoss}


def build_loss(name: str) -> nn.Module:
    """A loss by the name that recipes use. Raises TrainingError for one that is not there."""
    if name not in LOSSES:
        raise TrainingError(f"no loss named {name!r}; there are {', '.join(LOSSES)}")
    return LOSSES[name]()
