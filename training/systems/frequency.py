"""How often a clip is drawn, estimated while training: what `SoftmaxLoss` subtracts as `log_q` (Yi et al. 2019)."""

import torch
from torch import Tensor, nn


class StreamingFrequency(nn.Module):
    """The probability of an id per step, from the moving average of the steps between its appearances.

    `gap[id] <- (1 - rate) gap[id] + rate (step - last[id])` at each appearance, and the probability is 1 / gap.
    The ids are the dataset's own (a sound's row, or a material): a table of its size needs no hashing. Gaps begin
    at 100 steps, as in the paper's simulation; an id drawn at every step comes to a gap of 1.
    """

    def __init__(self, ids: int, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(ids))
        self.register_buffer("gap", torch.full((ids,), 100.0))
        self.step: Tensor
        self.last: Tensor
        self.gap: Tensor

    @torch.no_grad()
    def forward(self, ids: Tensor) -> Tensor:
        """Count the appearance of `ids` int64 [B] in a new step; returns the log probability of each, [B].

        An id that appears several times in the batch counts once, as it is in the batch or not.
        """
        self.step += 1
        now = self.step.float()
        gap = (1.0 - self.rate) * self.gap[ids] + self.rate * (now - self.last[ids])
        # Equal ids write equal values, so the order does not matter.
        self.gap[ids] = gap
        self.last[ids] = now.expand_as(gap)
        return -gap.log()


class StreamingShare(nn.Module):
    """The share of each of few ids among what is drawn, as a moving average over batches.

    For ids of which a batch holds many, materials, a gap between appearances says nothing: it is always one step.
    Shares begin equal.
    """

    def __init__(self, ids: int, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("share", torch.full((ids,), 1.0 / ids))
        self.share: Tensor

    @torch.no_grad()
    def forward(self, ids: Tensor) -> Tensor:
        """Count `ids` int64 [B]; returns the log share of each, [B]."""
        ones = torch.ones(len(ids), device=ids.device)
        counted = torch.zeros_like(self.share).index_add_(0, ids, ones) / len(ids)
        self.share.lerp_(counted, self.rate)
        return self.share[ids].log()
