"""How a recipe is run, beside what it says: where, with which seed, in which precision."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from model.errors import TrainingError
from training.results import Precision, Validation


@dataclass(frozen=True)
class FitOptions:
    """How a recipe is run; of these, seed, validation and steps change what is learned, the others only rounding.

    `precision` auto and `compile` None are bfloat16 and compiled on a CUDA GPU, neither elsewhere. `steps` caps the
    steps of an epoch, for trying out. `command` is kept with the run, so that its numbers can be traced.
    """

    device: torch.device
    seed: int = 0
    validation: Validation = "recording"
    precision: Precision = "auto"
    compile: bool | None = None
    steps: int | None = None
    command: str = ""

    @property
    def bf16(self) -> bool:
        """Whether the networks compute in bfloat16 (weights stay float32)."""
        if self.precision == "auto":
            return self.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bf16"

    @property
    def compiles(self) -> bool:
        """Whether the networks are compiled; by default on CUDA GPUs that torch's compiler knows."""
        if self.compile is not None:
            return self.compile
        return self.device.type == "cuda" and torch.cuda.get_device_capability(self.device) >= (7, 0)


def may_compile(options: FitOptions, network: nn.Module, say: Callable[[str], None]) -> bool:
    """Whether to compile the `network`: as the options say, but not with synchronised batch normalisation.

    torch cannot compile that inside DistributedDataParallel. Raises TrainingError where it was asked for.
    """
    together = any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())
    if together and options.compile:
        raise TrainingError(
            "several GPUs normalise a batch together, which torch.compile cannot do: leave out --compile, or train "
            "on one GPU"
        )
    if together and options.compiles:
        say("not compiled: several GPUs normalise a batch together, which torch.compile cannot do")
    return options.compiles and not together
