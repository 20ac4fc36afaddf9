"""The embedding space of the pretrained bundle: 17 of its 128 dimensions are the materials.

A picture's vector, before normalisation, is its centred logits of the 17 materials and of nothing, a constant, and
the logit of showing something to touch: where no logit stands out, the vector points to the constant. A sound's
vector is its probabilities of the 17 materials, and further dimensions that bring it to length 1; there pictures
are 0, and sounds of one material differ. So for a picture the cosine orders sounds by the mean of the picture's
logits weighted by the sound's probabilities. The picture's vector is linear in the pooled features, so that a
picture has cells, but for what imagenet_head.py adds, the same for the picture and all its cells.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from model.materials import MATERIALS
from model.torch_towers.networks import EMBEDDING_SIZE
from training.pretraining.fit_heads import PictureClassifier, SoundClassifier, lower_bound
from training.pretraining.products import principal_directions, square_root

COUNT = len(MATERIALS)
CONSTANT = COUNT + 1
"""The dimension of the picture's constant; the dimension before it is that of nothing."""
TOUCHABLE = CONSTANT + 1
"""The dimension of the picture's logit of showing something to touch."""
CONSTANT_LENGTH = 6.0
"""The constant: about half the length of a clear picture's logits."""
SHARPNESS = 2.0
"""Factor on a sound's logits before the softmax (an inverse temperature)."""
REST = EMBEDDING_SIZE - TOUCHABLE - 1


def picture_projection(classifier: PictureClassifier) -> nn.Linear:
    """The layer from pooled features `[B, 1280]` to the picture's vector `[B, 128]` before normalisation."""
    material, touchable = classifier.material, classifier.touchable
    layer = nn.Linear(material.weight.shape[1], EMBEDDING_SIZE)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[: COUNT + 1] = material.weight - material.weight.mean(dim=0)
        layer.bias[: COUNT + 1] = material.bias - material.bias.mean()
        layer.weight[TOUCHABLE], layer.bias[TOUCHABLE] = touchable.weight[0], touchable.bias[0]
        layer.bias[CONSTANT] = CONSTANT_LENGTH
    return layer


class SoundProjection(nn.Module):
    """From features `[B, F]` of a network for sounds to the sound's unit vector `[B, 128]`."""

    def __init__(self, classifier: SoundClassifier, features: Tensor) -> None:
        """The principal directions of `features [N, F]` of sounds become the further dimensions."""
        super().__init__()
        self.standardise = classifier.standardise
        self.heads, self.penalty = len(classifier.weight), classifier.penalty
        self.classifier = nn.Linear(features.shape[1], self.heads * COUNT)
        self.rest = nn.Linear(features.shape[1], REST)
        standard = self.standardise(features)
        mean = standard.mean(dim=0)
        directions = principal_directions(standard - mean, REST)
        # The sign of an eigenvector is arbitrary; its largest coordinate is made positive.
        largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
        directions = directions * largest.sign()
        with torch.no_grad():
            self.classifier.weight.copy_(classifier.weight.flatten(0, 1))
            self.classifier.bias.copy_(classifier.bias.flatten())
            self.rest.weight.copy_(directions)
            self.rest.bias.copy_(-directions @ mean)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors `[B, 128]`."""
        standard = self.standardise(features)
        logits = lower_bound(self.classifier(standard), self.heads, self.penalty)
        chance = torch.softmax(SHARPNESS * logits, dim=1)
        length = square_root(1.0 - chance.square().sum(dim=1, keepdim=True))
        gap = torch.zeros_like(chance[:, : TOUCHABLE - COUNT + 1])
        return torch.cat([chance, gap, length * normalize(self.rest(standard), dim=1)], dim=1)
