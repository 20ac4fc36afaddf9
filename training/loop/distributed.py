"""One training run in several processes: torchrun starts them, each computes its part of a batch.

All judge the whole batch, and their gradients add up to those of one process.
"""

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
class World:
    """The processes of a run, and which of them this one is; one alone where nothing else is said."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and prints for all."""
        return self.rank == 0

    def scatter(self, rows: npt.NDArray[Row]) -> npt.NDArray[Row]:
        """This process's part of `rows`. All parts are equally long: the last row is repeated where they run out.

        Repeated rows count for no loss, but for the statistics of batch normalisation.
        """
        if self.size == 1:
            return rows
        length = -(-len(rows) // self.size)
        padded = np.concatenate([rows, np.repeat(rows[-1:], length * self.size - len(rows), axis=0)])
        return padded[self.rank * length : (self.rank + 1) * length]

    def gather(self, part: Tensor, length: int) -> Tensor:
        """The outputs of all processes in the order of the rows, `[length, ...]`; gradients flow back to each."""
        if self.size == 1:
            return part
        gathered: Tensor = _Gather.apply(part, self)
        return gathered[:length]

    def broadcast(self, value: T) -> T:
        """What the leading process has as `value`, on every process."""
        if self.size == 1:
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
    def forward(ctx: Any, part: Tensor, world: World) -> Tensor:
        ctx.world, ctx.length = world, len(part)
        part = part.contiguous()
        parts = [torch.empty_like(part) for _ in range(world.size)]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        start = ctx.world.rank * ctx.length
        return gradients[0][start : start + ctx.length] * ctx.world.size, None


def is_leading() -> bool:
    """Whether this process, started by torchrun or alone, is the one that prints for all."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """The processes of this run and this process's device: a group if torchrun has started it, else it is alone.

    NCCL connects GPUs, gloo anything else.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield World(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
