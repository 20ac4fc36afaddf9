"""What ImageNet's 1,000 classes say of the materials, by a table written by hand: imagenet_materials.toml.

The table gives each class a weight for its materials. The weighted mean of these classes' rows in the ImageNet head
is a linear classifier that needs no labelled picture, the prior of the classifier of pictures: it knows plastic
bags, teapots, fountains and doormats, of which there are few labelled pictures. For the prior, classes that the
table names for no material count for "nothing"; `nothing_classes` are fewer: nothing can be touched there.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights

from model.materials import MATERIALS
from training.pretraining.material_files import NOTHING


def class_names() -> list[str]:
    """The names of ImageNet's 1,000 classes in their order, as torchvision has them."""
    names: list[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return names


def material_classes() -> Tensor:
    """The table's weights of ImageNet's classes for each of the 17 materials, 0 to 1, `[17, 1000]`."""
    names = class_names()
    weights = torch.zeros(len(MATERIALS), len(names))
    for material in MATERIALS:
        for weight, classes in _table()[material.name].items():
            for name in classes:
                weights[material.id, names.index(name)] = float(weight)
    return weights


def material_knowledge() -> Tensor:
    """Weights of ImageNet's classes for each material and, last, for nothing: `[18, 1000]`, rows sum to 1."""
    weights = material_classes()
    knowledge = torch.cat([weights, (weights.sum(dim=0) == 0).float()[None]])
    assert len(knowledge) == NOTHING + 1
    return knowledge / knowledge.sum(dim=1, keepdim=True)


def nothing_classes() -> Tensor:
    """1 for each of ImageNet's classes that shows nothing to touch, 0 for the others, `[1000]`."""
    named = material_classes().sum(dim=0) > 0
    shown = torch.zeros(len(named))
    for kind, (first, last) in _table()["nothing"].items():
        for number in range(first, last + 1):
            shown[number] = float(kind == "animals" or not bool(named[number]))
    return shown


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = (files("training.pretraining") / "imagenet_materials.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
