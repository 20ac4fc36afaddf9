"""A prior for the classifier of pictures: a hand-written table of the materials of ImageNet's classes.

imagenet_materials.toml gives each class a weight for its materials. The weighted mean of these classes' rows in the
ImageNet head is a linear classifier that needs no labelled picture: it knows plastic bags, teapots, fountains and
doormats, of which there are few labelled pictures. Classes that are not in the table (animals, food) count for
"nothing".
"""

import tomllib
from importlib.resources import files

import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights

from model.materials import MATERIALS
from training.pretraining.material_files import NOTHING


def material_knowledge() -> Tensor:
    """Weights of ImageNet's 1,000 classes for each material and, last, for nothing: `[18, 1000]`, rows sum to 1."""
    names: list[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    text = (files("training.pretraining") / "imagenet_materials.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    knowledge = torch.zeros(NOTHING + 1, len(names))
    for material in MATERIALS:
        for weight, classes in table[material.name].items():
            for name in classes:
                knowledge[material.id, names.index(name)] = float(weight)
    knowledge[NOTHING] = (knowledge.sum(dim=0) == 0).float()
    return knowledge / knowledge.sum(dim=1, keepdim=True)
