"""The losses that TT_AGG can be trained with.

A loss is a module whose `forward(images, sounds, relation)` gives a scalar:

    images    float32 `[P, 128]`, unit vectors of the batch's pictures
    sounds    float32 `[B, 128]`, unit vectors of its clips
    relation  `Relation`: for each of the P x B cells of a picture and a clip, whether the clip's material is in the
              picture, and whether the cell counts

To add a loss, write such a module and name it in `LOSSES` at the end of this file: recipes choose it by that name
(`loss = "..."`). tests/training/systems/test_losses.py compares every loss in `LOSSES` with its definition in plain
Python, for which it has a table `BY_HAND`. What a loss learns itself, a temperature for example, is a parameter of
the module. A loss must not make a GPU wait for the CPU: no value is read back, and no shape depends on the data
(`_mean` rather than `cells[known]`).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from model.errors import TrainingError
from model.torch_towers.two_tower import scaled_cosine

FIRST_SCALE = 10.0
"""What cosines are multiplied by before a learned scale has learned anything: the temperature is 0.1."""

_EDGE = 1e-7
"""What scores are kept away from 0 and 1: a cosine can be 1 up to rounding."""
_NOTHING = -1e4
"""A logit whose exponential is 0, and whose gradient is finite."""


class Relation(NamedTuple):
    """What a batch knows of its P pictures and B clips."""

    positive: Tensor  # bool [P, B] the clip's material is in the picture
    known: Tensor  # bool [P, B] the cell counts: it is positive or negative for certain, and is to be compared
    log_q: Tensor  # float32 [B] log of how often the clip is drawn, times the recipe's share; 0 = no correction


class PairLoss(nn.Module):
    """The paper's loss (3.4.2): binary cross entropy of cosines that are scaled to [0, 1].

    A cell's score is s = (cosine + 1) / 2; its loss is -log s where it is positive, -log (1 - s) where it is not.
    There is nothing to learn and nothing to set.

    Scores are kept 1e-7 away from 0 and 1, where float32 rounding can put a cosine. torch's own function raises for
    scores that are not numbers; this one returns a loss that is not a number, so that the training loop can say
    what to do about it, on a GPU too.
    """

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Mean over the known cells.

        Args:
            images: Unit vectors float32 `[P, 128]`.
            sounds: Unit vectors float32 `[B, 128]`.
            relation: `positive` and `known` are used, `log_q` is not.

        Returns:
            A scalar of 0 or more; 0 where no cell is known.
        """
        scores = scaled_cosine(images @ sounds.T).clamp(_EDGE, 1.0 - _EDGE)
        cells = -torch.where(relation.positive, scores.log(), (1.0 - scores).log())
        return _mean(cells, relation.known)


class SigmoidLoss(nn.Module):
    """Each known cell is judged alone, with a learned scale and bias.

    The sigmoid loss of SigLIP (Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training) with several
    positives a row: the paper's cross entropy with a scale, without which a cosine cannot say that it is certain.
    The bias begins where a fifth of the cells are positive, about as many as in Greatest Hits.

    Attributes:
        log_scale: Logarithm of what cosines are multiplied by, learned; begins at log 10.
        bias: Added to the scaled cosine, learned; begins at log (0.2 / 0.8).
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.bias = nn.Parameter(torch.tensor(math.log(0.2 / 0.8)))

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Mean over the known cells.

        Args:
            images: Unit vectors float32 `[P, 128]`.
            sounds: Unit vectors float32 `[B, 128]`.
            relation: `positive` and `known` are used, `log_q` is not.

        Returns:
            A scalar of 0 or more; 0 where no cell is known.
        """
        logits = self.log_scale.exp() * (images @ sounds.T) + self.bias
        cells = binary_cross_entropy_with_logits(logits, relation.positive.to(logits.dtype), reduction="none")
        return _mean(cells, relation.known)


class SoftmaxLoss(nn.Module):
    """Each positive against all negatives of its row and of its column, with a learned scale.

    The multi-positive contrastive loss (Khosla et al. 2020, Supervised Contrastive Learning, "out"), between
    pictures and sounds. Other positives stand neither above nor below the fraction bar, so that sounds of one
    material do not push each other away, and cells that are not known for certain are left out: no false negatives.

    `log_q` is subtracted from the scores of a row's sounds (Yi et al. 2019, Sampling-Bias-Corrected Neural
    Modeling, Section 3: s - log p), so that sounds that are drawn often are not pushed down for it. Pictures are
    drawn evenly and need no correction.

    Attributes:
        log_scale: Logarithm of what cosines are multiplied by (one over the temperature), learned; begins at log
            10.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    def forward(self, images: Tensor, sounds: Tensor, relation: Relation) -> Tensor:
        """Half the mean over rows that have a positive, and half that over columns.

        Args:
            images: Unit vectors float32 `[P, 128]`.
            sounds: Unit vectors float32 `[B, 128]`.
            relation: All three are used.

        Returns:
            A scalar of 0 or more; 0 where no cell is both positive and known.
        """
        logits = self.log_scale.exp() * (images @ sounds.T)
        positive, negative = relation.positive & relation.known, ~relation.positive & relation.known
        rows = _contrast(logits - relation.log_q, positive, negative)
        columns = _contrast(logits.T, positive.T, negative.T)
        return (rows + columns) / 2.0


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


LOSSES: dict[str, type[nn.Module]] = {"pair": PairLoss, "sigmoid": SigmoidLoss, "softmax": SoftmaxLoss}
"""Every loss, by the name that recipes use."""


def build_loss(name: str) -> nn.Module:
    """A new loss by the name that recipes use. Raises TrainingError for one that is not there."""
    if name not in LOSSES:
        raise TrainingError(f"no loss named {name!r}; there are {', '.join(LOSSES)}")
    return LOSSES[name]()
