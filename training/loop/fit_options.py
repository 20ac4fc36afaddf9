"""How a recipe is run, beside what it says: where, with which seed, in which precision.

The command line offers what stands here before anything is trained, so that this file imports no torch at its top.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from training.data.dataset import Validation

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]
"""What the networks compute in; weights stay float32. `auto` is bf16 on CUDA GPUs that have it, fp32 elsewhere."""


@dataclass(frozen=True)
class FitOptions:
    """How a recipe is run; of these, seed, validation and steps change what is learned, the others only rounding.

    `precision` auto and `compile` None are bfloat16 and compiled on a CUDA GPU, neither elsewhere. `steps` caps the
    steps of an epoch, for trying out. `command` is kept with the run, so that its numbers can be traced.
    """

    device: "torch.device"
    seed: int = 0
    validation: Validation = "recording"
    precision: Precision = "auto"
    compile: bool | None = None
    steps: int | None = None
    command: str = ""

    @property
    def bf16(self) -> bool:
        """Whether the networks compute in bfloat16 (weights stay float32)."""
        import torch

        if self.precision == "auto":
            return self.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bf16"

    @property
    def compiles(self) -> bool:
        """Whether the networks are compiled; by default on CUDA GPUs that torch's compiler knows."""
        import torch

        if self.compile is not None:
            return self.compile
        return self.device.type == "cuda" and torch.cuda.get_device_capability(self.device) >= (7, 0)
