"""The optimiser of a recipe, the learning rate over its steps, and the moving average of the weights."""

import copy
import math

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.systems.recipe import Recipe
from training.systems.systems import System

BASE_RATE = "base_rate"


def build_optimizer(recipe: Recipe, system: System, device: torch.device) -> torch.optim.Optimizer:
    """SGD or AdamW over all parameters.

    Layers that begin with ImageNet's weights learn at `backbone_rate` times the recipe's rate.

    Fused, so that a step is one pass over the weights: a network as large as VGG is slowed down by more.
    """
    backbone = {id(parameter) for parameter in system.backbone()}
    rates: dict[float, list[torch.nn.Parameter]] = {}
    for parameter in system.parameters():
        rate = recipe.learning_rate * (recipe.backbone_rate if id(parameter) in backbone else 1.0)
        rates.setdefault(rate, []).append(parameter)
    groups = [{"params": parameters, "lr": rate, BASE_RATE: rate} for rate, parameters in rates.items()]
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)
    return torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, done: float) -> float:
    """Set the learning rate for the step at `done` in [0, 1) of the run; returns the factor on the recipe's rate.

    It depends on `done` alone, so that a checkpoint need not hold it.
    """
    factor = 1.0
    if recipe.schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * done))
    if done < recipe.warm_up:
        factor *= done / recipe.warm_up
    for group in optimizer.param_groups:
        group["lr"] = group[BASE_RATE] * factor
    return factor


class WeightAverage:
    """A copy of a system whose weights follow it: `average <- decay average + (1 - decay) weights` at each step.

    Parameters and persistent floating-point buffers (statistics of batch normalisation) are averaged in one fused
    operation; torch's AveragedModel also goes through counters and constants, one by one, and reads its own counter
    from the device. The first update copies.
    """

    def __init__(self, system: System, decay: float) -> None:
        self.system = copy.deepcopy(system).requires_grad_(False)
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        names = [name for name, value in system.state_dict().items() if value.is_floating_point()]
        self._mine = _picked(self.system, names)
        self._theirs = _picked(system, names)
        self._begun = False

    @torch.no_grad()
    def update(self) -> None:
        """Follow the system by one step."""
        if self._begun:
            self._update(self._mine, self._theirs, None)
        else:
            torch._foreach_copy_(self._mine, self._theirs)
            self._begun = True

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from the average of a checkpoint."""
        self.system.load_weights(state)
        self._begun = True


def _picked(system: System, names: list[str]) -> list[Tensor]:
    """The tensors themselves, not copies: training changes them in place and never replaces them."""
    state = system.state_dict(keep_vars=True)
    return [state[name].detach() for name in names]
