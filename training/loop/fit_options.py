"""How a recipe is run, beside what it says: where, with which seed, in which precision."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from model.errors import TrainingError
from training.loop.checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint
from training.measures.results import Precision, Validation
from training.systems.recipe import Recipe


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


def earlier(run: Path, recipe: Recipe, dataset_id: str, options: FitOptions) -> Checkpoint | None:
    """The checkpoint in `run`, None if there is none.

    Raises TrainingError if it is of another recipe, seed, validation, dataset, number of steps or precision: what
    a run reports must hold for all of its epochs. More epochs of a recipe whose learning rate is constant are
    the same run, going on.
    """
    if not (run / CHECKPOINT_FILE).exists():
        return None
    checkpoint = load_checkpoint(run)
    before, now = Recipe.model_validate(checkpoint.recipe).model_dump(), recipe.model_dump()
    epochs = (before.pop("epochs"), now.pop("epochs"))
    differing = [key for key in now if before[key] != now[key]]
    if differing:
        raise TrainingError(
            f"{run} holds a run of another recipe (it differs in {', '.join(differing)}); choose another folder"
        )
    for what, theirs, ours in (
        ("seed", checkpoint.seed, options.seed),
        ("way of holding out validation data", checkpoint.validation, options.validation),
        ("dataset", checkpoint.info["id"], dataset_id),
        ("number of steps an epoch", checkpoint.steps, options.steps),
    ):
        if theirs != ours:
            raise TrainingError(f"{run} holds a run with another {what}; choose another folder")
    precision = "bf16" if options.bf16 else "fp32"
    if checkpoint.precision != precision:
        raise TrainingError(
            f"{run} holds a run in {checkpoint.precision}, not {precision}; go on with --precision "
            f"{checkpoint.precision}, or choose another folder"
        )
    if epochs[0] != epochs[1] and (recipe.schedule != "constant" or recipe.warm_up):
        raise TrainingError(
            f"{run} was begun for {epochs[0]} epochs, over which its learning rate is scheduled, not for "
            f"{epochs[1]}; choose another folder"
        )
    if checkpoint.epoch > epochs[1]:
        raise TrainingError(f"{run} has {checkpoint.epoch} epochs behind it, more than the {epochs[1]} asked for")
    return checkpoint
