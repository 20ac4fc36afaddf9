"""TT_AGG: the image tower, the sound tower, and the score of a pair (paper, 3.4.2)."""

from torch import Tensor, nn
from torch.nn.functional import normalize

from model.torch_towers.networks import ImagenetNormalise, PooledNetwork
from model.torch_towers.spectrogram import LogMel


class ImageTower(nn.Module):
    """Pictures uint8 `[B, size, size, 3]` to unit vectors `[B, 128]`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.normalise = ImagenetNormalise()
        self.network = network

    @property
    def has_cells(self) -> bool:
        """Whether the network's head is pooling and one linear layer, so that cells can be given."""
        return isinstance(self.network, PooledNetwork)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed pictures uint8 `[B, size, size, 3]` to L2-normalised `[B, 128]`."""
        return normalize(self.network(self.normalise(pictures)), dim=1)

    def with_cells(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding `[B, 128]` and, before normalisation, the cells `[B, rows, columns, 128]`."""
        assert isinstance(self.network, PooledNetwork)
        projected, cells = self.network.with_cells(self.normalise(pictures))
        return normalize(projected, dim=1), cells


class SoundTower(nn.Module):
    """Clips float32 `[B, samples]` to unit vectors `[B, 128]`, the log-mel spectrogram included.

    `log_mel` gives the network's pictures `[B, 3, size, size]` of clips.
    """

    def __init__(self, network: nn.Module, log_mel: LogMel) -> None:
        super().__init__()
        self.log_mel = log_mel
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        """Embed clips `[B, samples]` to L2-normalised `[B, 128]`."""
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
        """Score in [0, 1] of each pair: pictures uint8 `[B, size, size, 3]` with clips `[B, samples]`."""
        return pair_score(self.image(pictures), self.sound(clips))


def pair_score(images: Tensor, sounds: Tensor) -> Tensor:
    """The dot product of unit vectors `[B, 128]` scaled from [-1, 1] to [0, 1] (paper, 3.4.2): `[B]`."""
    return ((images * sounds).sum(dim=1) + 1.0) / 2.0
