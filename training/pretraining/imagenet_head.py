"""The last layer of the ImageNet network: everyday objects in a picture, and what its classes say beside the heads.

The probability of an object is the sum of those of its classes among ImageNet's 1,000 (model/objects.toml). Classes
that show no object (animals, plants, scenes) take their share too, so that a picture of none leaves all objects
unlikely. A class may show several objects, so that probabilities need not add up to 1.

The heads are linear in the pooled features. That a picture shows one of 400 kinds of animals, or a thing that is
made of one material, is not: the sum of the probabilities of many classes tells it better than a mean of their
rows. So logarithms of such sums are added to the picture's vector (space.py), cells included.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from model.bundle import ObjectSpec
from model.materials import MATERIALS
from model.objects import imagenet_classes
from model.torch_towers.networks import EMBEDDING_SIZE
from training.pretraining.imagenet_prior import class_names, material_classes, nothing_classes
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.space import TOUCHABLE

TEMPERATURE = 1.2
"""Divides the logits of ImageNet's classes: how far they are to be believed, see docs/pretraining.md."""
SHOWN = 0.1
"""From this probability on a picture counts as showing an object."""
_LEAST_MATERIAL, _LEAST_NOTHING = 0.01, 0.001
"""Added to probabilities before their logarithm is taken."""


class ImagenetHead(nn.Module):
    """Pooled features `[B, F]` to probabilities of objects `[B, O]`, and what is added to pictures' vectors."""

    sums: Tensor

    def __init__(
        self, rows: Tensor, bias: Tensor, recipe: PretrainingRecipe, temperature: float = TEMPERATURE
    ) -> None:
        """`rows [1000, F]` and `bias [1000]` are the last layer of a network trained on ImageNet."""
        super().__init__()
        names, objects = class_names(), imagenet_classes()
        # A convolution, because those are quantised; in float it would take a tenth of the tower's time.
        self.classes = nn.Conv2d(rows.shape[1], len(names), 1)
        assert self.classes.bias is not None
        with torch.no_grad():
            self.classes.weight.copy_(rows[:, :, None, None] / temperature)
            self.classes.bias.copy_(bias / temperature)
        shown = torch.zeros(len(objects), len(names))
        for row, classes in enumerate(objects.values()):
            shown[row, [names.index(name) for name in classes]] = 1.0
        self.register_buffer("sums", torch.cat([shown, material_classes(), nothing_classes()[None]]).T.contiguous())
        self.objects = len(objects)
        self.of_materials, self.of_nothing = recipe.class_materials, recipe.class_nothing

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities `[B, O]`, and `[B, 128]` to add to the vectors before they are normalised.

        To the logit of each material is added `class_materials` times the logarithm of the sum of its classes'
        probabilities, less the mean of all materials. From the logit of something to touch is taken
        `class_nothing` times the log-odds of the classes that show nothing to touch, where these are likelier than
        not.
        """
        chances = torch.softmax(self.classes(features[:, :, None, None]).flatten(1), dim=1) @ self.sums
        ends = (self.objects, self.objects + len(MATERIALS))
        objects, materials, nothing = chances[:, : ends[0]], chances[:, ends[0] : ends[1]], chances[:, ends[1] :]
        likely = self.of_materials * (materials + _LEAST_MATERIAL).log()
        odds = (nothing + _LEAST_NOTHING).log() - ((1.0 - nothing).relu() + _LEAST_NOTHING).log()
        gap = torch.zeros_like(chances[:, : TOUCHABLE - len(MATERIALS)])
        added = torch.cat([likely - likely.mean(dim=1, keepdim=True), gap, -self.of_nothing * odds.relu()], dim=1)
        return objects, pad(added, (0, EMBEDDING_SIZE - added.shape[1]))


def object_spec() -> ObjectSpec:
    """What the bundle says of the output."""
    return ObjectSpec(names=tuple(imagenet_classes()), shown=SHOWN)
