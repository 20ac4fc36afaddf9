"""The losses that TT_AGG can be fitted with; all have one signature.

A loss takes `images [P, 128]` and `sounds [B, 128]`, unit vectors of a batch's pictures and clips, and a `Relation`
that says of each of the P x B cells whether the clip's material is in the picture, and whether the cell counts.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from model.errors import TrainingError

_EDGE = 1e-7
_NOTHING = -1e4


class Relation(NamedTuple):
    """What a batch knows of its P pictures and B clips."""

    positive: Tensor  # bool [P, B] the clip's material is in the picture
    known: Tensor  # bool [P, B] the cell counts: positive or negative for certain, and to be compared
    log_q: Tensor  # float [B] logarithm of how often the clip is drawn, times the recipe's share; 0 = no correction


class PairLoss(nn.Module):
    """The paper's: binary cross entropy of the known cells' cosine scaled to [0, 1] (paper, 3.4.2).

    Scores are kept 1e-7 away from 0 and 1, where float32 rounding can put a cosine. Unlike torch's own
    function, which refuses them, scores that are no numbers give a loss that is none, so that the training
    loop can say what to do about it, on a GPU too.
    """

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Mean over the known cells."""
        scores = ((images @ sounds.T + 1.0) / 2.0).clamp(_EDGE, 1.0 - _EDGE)
        cells = -torch.where(relation.positive, scores.log(), (1.0 - scores).log())
        return _mean(cells, relation.known)


class SigmoidLoss(nn.Module):
    """Each known cell judged alone, with a learned scale and bias.

    The sigmoid loss of SigLIP (Zhai et al. 2023) with several positives a row: the paper's cross entropy with a
    scale, without which a cosine cannot say that it is certain. The bias begins where a fifth of the cells are
    positive, about as many as in Greatest Hits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(math.log(0.2 / 0.8)))

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Mean over the known cells."""
        logits = self.log_scale.exp() * (images @ sounds.T) + self.bias
        cells = binary_cross_entropy_with_logits(logits, relation.positive.to(logits.dtype), reduction="none")
        return _mean(cells, relation.known)


class SoftmaxLoss(nn.Module):
    """Each positive against all negatives of its row and of its column, with a learned temperature.

    The multi-positive contrastive loss ("out" of Khosla et al. 2020, between two modalities). Other positives
    stand neither above nor below the fraction bar, so that sounds of one material do not push each other away,
    and cells that are not known for certain are left out: no false negatives. `log_q` is taken from the scores
    of a row's sounds (Yi et al. 2019, Section 3: s - log p), so that sounds that are drawn often are not pushed
    down for it; pictures are drawn evenly and need none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Mean over rows and columns that have a positive."""
        logits = self.log_scale.exp() * (images @ sounds.T)
        positive, negative = relation.positive & relation.known, ~relation.positive & relation.known
        rows = _contrast(logits - relation.log_q, positive, negative)
        columns = _contrast(logits.T, positive.T, negative.T)
        return (rows + columns) / 2.0


LOSSES: dict[str, type[nn.Module]] = {"pair": PairLoss, "sigmoid": SigmoidLoss, "softmax": SoftmaxLoss}


def build_loss(name: str) -> nn.Module:
    """A loss by the name that recipes use. Raises TrainingError for one that is not there."""
    if name not in LOSSES:
        raise TrainingError(f"no loss named {name!r}; there are {', '.join(LOSSES)}")
    return LOSSES[name]()


def _mean(cells: Tensor, known: Tensor) -> Tensor:
    # Not cells[known]: its size depends on the data, for which a GPU would have to wait.
    return (cells * known).sum() / known.sum().clamp_min(1)


def _contrast(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over rows with a positive of the mean over their positives of -log(e^s / (e^s + sum of negatives))."""
    # Finite where there is nothing: a row without negatives would have a gradient that is no number.
    against = torch.where(negative, logits, _NOTHING).logsumexp(dim=1, keepdim=True)  # [rows, 1]
    cells = torch.logaddexp(logits, against) - logits
    count = positive.sum(dim=1)
    per_row = (cells * positive).sum(dim=1) / count.clamp_min(1)
    return _mean(per_row, count > 0)
