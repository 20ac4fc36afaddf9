"""Everyday objects in a picture, by the last layer of the ImageNet network: the tower's output `objects`.

The probability of an object is the sum of those of its classes among ImageNet's 1,000 (model/objects.toml). Classes
that show no object (animals, plants, scenes) take their share too, so that a picture of none leaves all objects
unlikely. A class may show several objects, so that probabilities need not add up to 1.
"""

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from model.bundle import ObjectSpec
from model.objects import imagenet_classes
from training.pretraining.pretraining_data import PretrainingData

TEMPERATURE = 1.2
"""Divides the logits of ImageNet's classes: how far they are to be believed, see docs/pretraining.md."""
SHOWN = 0.1
"""From this probability on a picture counts as showing an object."""


def class_names() -> list[str]:
    """The names of ImageNet's 1,000 classes in their order, as torchvision has them."""
    names: list[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return names


class ObjectHead(nn.Module):
    """Pooled features `[B, F]` to probabilities `[B, O]` of the objects."""

    sums: Tensor

    def __init__(self, rows: Tensor, bias: Tensor, temperature: float = TEMPERATURE) -> None:
        """`rows [1000, F]` and `bias [1000]` are the last layer of a network trained on ImageNet."""
        super().__init__()
        names = class_names()
        objects = imagenet_classes()
        shown = sorted({names.index(name) for classes in objects.values() for name in classes})
        # The classes of objects first, so that the rest is cut off before the sum.
        order = torch.tensor([*shown, *sorted(set(range(len(names))) - set(shown))])
        # A convolution, because those are quantised; in float it would take a tenth of the tower's time.
        self.classes = nn.Conv2d(rows.shape[1], len(names), 1)
        assert self.classes.bias is not None
        with torch.no_grad():
            self.classes.weight.copy_(rows[order, :, None, None] / temperature)
            self.classes.bias.copy_(bias[order] / temperature)
        rows_of = {names[number]: row for row, number in enumerate(shown)}
        sums = torch.zeros(len(shown), len(objects))
        for column, classes in enumerate(objects.values()):
            sums[[rows_of[name] for name in classes], column] = 1.0
        self.register_buffer("sums", sums)

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities `[B, O]`."""
        chances = torch.softmax(self.classes(features[:, :, None, None]).flatten(1), dim=1)
        return chances[:, : len(self.sums)] @ self.sums


def object_head(data: PretrainingData) -> ObjectHead:
    """The head of the network that the features of `data` come from."""
    return ObjectHead(data.imagenet_rows, data.imagenet_bias)


def object_spec() -> ObjectSpec:
    """What the bundle says of the output."""
    return ObjectSpec(names=tuple(imagenet_classes()), shown=SHOWN)
