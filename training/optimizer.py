"""The optimiser of a recipe, and the learning rate over its steps."""

import math

import torch

from training.recipe import Recipe
from training.systems import System

BASE_RATE = "base_rate"


def build_optimizer(recipe: Recipe, system: System, device: torch.device) -> torch.optim.Optimizer:
    """SGD or AdamW over all parameters; pretrained layers at `backbone_rate` of the learning rate.

    Fused: one pass over the weights, which is what a network as large as VGG waits for.
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

    It depends on nothing but `done`, so that a resumed run needs no memory of it.
    """
    factor = 1.0
    if recipe.schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * done))
    if done < recipe.warm_up:
        factor *= done / recipe.warm_up
    for group in optimizer.param_groups:
        group["lr"] = group[BASE_RATE] * factor
    return factor
