"""The paper's networks: the image tower, the sound tower, and TT_AGG of both, the score of a pair (3.3 and 3.4.2).

This is the one definition: training (`training.systems`), pretraining, evaluation and export all use these modules.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import normalize

from model.torch_towers.networks import ImagenetNormalise, PooledNetwork

Cosines = TypeVar("Cosines", Tensor, npt.NDArray[np.float32])


class ImageTower(nn.Module):
    """Pictures uint8 `[B, size, size, 3]` to unit vectors `[B, 128]`, ImageNet's normalisation included.

    Args:
        network: Standardised pictures `[B, 3, size, size]` to `[B, N]`: N is 128 where the tower embeds, or the
            number of classes where the network alone is trained to predict them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.normalise = ImagenetNormalise()
        self.network = network

    @property
    def has_cells(self) -> bool:
        """Whether the network's head is pooling and one linear layer, so that cells can be given."""
        return isinstance(self.network, PooledNetwork)

    def outputs(self, pictures: Tensor) -> Tensor:
        """The network's outputs `[B, N]` for pictures, uint8 or float in [0, 255], `[B, size, size, 3]`."""
        return self.network(self.normalise(pictures))  # type: ignore[no-any-return]

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed pictures uint8 `[B, size, size, 3]`: the network's outputs, L2-normalised, `[B, 128]`."""
        return normalize(self.outputs(pictures), dim=1)

    def with_cells(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding `[B, 128]` and the cells `[B, rows, columns, 128]`, which are not normalised."""
        assert isinstance(self.network, PooledNetwork)
        projected, cells = self.network.with_cells(self.normalise(pictures))
        return normalize(projected, dim=1), cells

    @property
    def has_objects(self) -> bool:
        """Whether the network also gives probabilities of everyday objects."""
        return getattr(self.network, "objects", None) is not None

    def with_objects(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of `with_cells` and the probabilities `[B, O]` of everyday objects, from one pass."""
        network: Any = self.network
        projected, cells, objects = network.with_objects(self.normalise(pictures))
        return normalize(projected, dim=1), cells, objects


class SoundTower(nn.Module):
    """Clips float32 `[B, samples]` to unit vectors `[B, 128]`, the log-mel spectrogram included.

    Args:
        network: Spectrograms `[B, C, rows, columns]` to `[B, N]`; N as for `ImageTower`.
        log_mel: Clips `[B, samples]` to these spectrograms. Training changes what lies between the two.
    """

    def __init__(self, network: nn.Module, log_mel: nn.Module) -> None:
        super().__init__()
        self.log_mel = log_mel
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        """Embed clips `[B, samples]` in [-1, 1]: the network's outputs, L2-normalised, `[B, 128]`."""
        return normalize(self.network(self.log_mel(clips)), dim=1)


class TwoTower(nn.Module):
    """TT_AGG (paper, 3.4.2, Figure 4): two towers whose scaled cosine is the likelihood that a pair belongs.

    The same kind of network serves both towers, each with weights of its own.
    """

    def __init__(self, image: ImageTower, sound: SoundTower) -> None:
        super().__init__()
        self.image = image
        self.sound = sound

    def forward(self, pictures: Tensor, clips: Tensor) -> Tensor:
        """The score `[B]` in [0, 1] of each pair: pictures uint8 `[B, size, size, 3]` with clips `[B, samples]`."""
        return pair_score(self.image(pictures), self.sound(clips))


def pair_score(images: Tensor, sounds: Tensor) -> Tensor:
    """The score `[B]` in [0, 1] of each pair of unit vectors `[B, 128]`, row by row (paper, 3.4.2)."""
    return scaled_cosine((images * sounds).sum(dim=1))


def scaled_cosine(cosines: Cosines) -> Cosines:
    """Cosines in [-1, 1], of any shape, as scores in [0, 1] (paper, 3.4.2)."""
    return (cosines + 1.0) / 2.0
