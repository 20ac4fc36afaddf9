"""The space that both towers of the pretrained bundle embed into, in which 17 of 128 dimensions are the materials.

A picture's vector is, before it is normalised, its centred logits of the 17 materials and of nothing and a
constant: a picture in which nothing stands out points to the constant. A sound's is its probabilities of the 17
materials, filled up to length 1 by dimensions in which pictures are 0 and that tell sounds of one material apart.
So the cosine orders sounds for a picture by the mean of its logits under the sound's probabilities: what a sound
may be made of counts as far as it is in the picture. A head that is linear in the pooled features keeps the
picture's cells.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from model.materials import MATERIALS
from model.torch_towers.networks import EMBEDDING_SIZE
from training.pretraining.classifier import LinearClassifier
from training.pretraining.fit_heads import SoundClassifier

COUNT = len(MATERIALS)
CONSTANT = COUNT + 1
"""Dimension of the picture's constant; the one before it is nothing's."""
CONSTANT_LENGTH = 6.0
"""The constant: about half the length that a clear picture's logits have."""
SHARPNESS = 2.0
"""What a sound's logits are multiplied by before the softmax."""
REST = EMBEDDING_SIZE - CONSTANT - 1


def picture_projection(classifier: LinearClassifier) -> nn.Linear:
    """The layer from pooled features `[B, 1280]` to the picture's vector `[B, 128]`, not yet normalised."""
    layer = nn.Linear(classifier.weight.shape[1], EMBEDDING_SIZE)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[: COUNT + 1] = classifier.weight - classifier.weight.mean(dim=0)
        layer.bias[: COUNT + 1] = classifier.bias - classifier.bias.mean()
        layer.bias[CONSTANT] = CONSTANT_LENGTH
    return layer


class SoundProjection(nn.Module):
    """From features `[B, F]` of `SoundFeatures` to the sound's unit vector `[B, 128]`."""

    def __init__(self, classifier: SoundClassifier, features: Tensor) -> None:
        """`features [N, F]` of sounds: their principal directions become the dimensions that fill up."""
        super().__init__()
        self.standardise = classifier.standardise
        self.classifier = nn.Linear(features.shape[1], COUNT)
        self.rest = nn.Linear(features.shape[1], REST)
        standard = self.standardise(features)
        mean = standard.mean(dim=0)
        values, vectors = torch.linalg.eigh((standard - mean).T @ (standard - mean))
        directions = vectors[:, values.argsort(descending=True)[:REST]].T
        # The sign of an eigenvector is arbitrary: the largest coordinate counts as positive.
        largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
        directions = directions * largest.sign()
        with torch.no_grad():
            self.classifier.weight.copy_(classifier.linear.weight)
            self.classifier.bias.copy_(classifier.linear.bias)
            self.rest.weight.copy_(directions)
            self.rest.bias.copy_(-directions @ mean)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors `[B, 128]`."""
        standard = self.standardise(features)
        chance = torch.softmax(SHARPNESS * self.classifier(standard), dim=1)
        length = (1.0 - chance.square().sum(dim=1, keepdim=True)).clamp_min(0.0).sqrt()
        gap = torch.zeros_like(chance[:, :2])
        return torch.cat([chance, gap, length * normalize(self.rest(standard), dim=1)], dim=1)
