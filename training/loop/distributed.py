"""Sharing a batch among processes: torchrun starts them, each computes its part, the gradients are the whole's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

LONGEST_WAIT = timedelta(hours=2)
"""The leading process validates alone while the others wait: on much data longer than NCCL's ten minutes."""

T = TypeVar("T")
Row = TypeVar("Row", bound=np.generic)


@dataclass(frozen=True)
class Share:
    """Which of `count` processes this one is."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and speaks for all."""
        return self.rank == 0

    def part(self, rows: npt.NDArray[Row]) -> npt.NDArray[Row]:
        """This process's part of `rows`. All parts are equally long: the last row stands in where they run out.

        What stands in counts for no loss, but for the statistics of batch normalisation.
        """
        if self.count == 1:
            return rows
        size = -(-len(rows) // self.count)
        padded = np.concatenate([rows, np.repeat(rows[-1:], size * self.count - len(rows), axis=0)])
        return padded[self.rank * size : (self.rank + 1) * size]

    def gather(self, part: Tensor, length: int) -> Tensor:
        """The outputs of all processes in the order of the rows, `[length, ...]`; gradients flow back to each."""
        if self.count == 1:
            return part
        gathered: Tensor = _Gather.apply(part, self)
        return gathered[:length]

    def told(self, value: T) -> T:
        """What the leading process has here, on every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


class _Gather(torch.autograd.Function):
    """All parts, one after the other. Backward takes this process's own part of the gradient.

    Every process computes the same loss of the whole batch, hence the same gradient of all parts: nothing need be
    exchanged. DistributedDataParallel then averages the weights' gradients, of which each process has its part's
    alone; times the number of processes, the average is their sum.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, share: Share) -> Tensor:
        ctx.share, ctx.size = share, len(part)
        part = part.contiguous()
        parts = [torch.empty_like(part) for _ in range(share.count)]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        start = ctx.share.rank * ctx.size
        return gradients[0][start : start + ctx.size] * ctx.share.count, None


def is_leading() -> bool:
    """Whether torchrun has started this process as the one that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Share, torch.device]]:
    """This process's share and its device: of a group if torchrun has started it, else all of it.

    NCCL joins GPUs, gloo anything else.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Share(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Share(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
