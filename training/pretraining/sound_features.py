"""Features of a sound: statistics of the early feature maps of a frozen picture network on three spectrograms."""

import torch
from torch import Tensor, nn

from model.errors import TrainingError
from model.torch_towers.efficientnet_lite import EFFICIENTNET_LITE
from model.torch_towers.networks import PooledNetwork

_STAGES = 4
"""Stages of EfficientNet-Lite that are used. The later ones detect objects; they classified sounds worse."""


class SoundFeatures(nn.Module):
    """Planes `[B, 3, size, size]` of `ClearedLogMel` to features `[B, F]`, in blocks of `blocks` features.

    The network sees each plane by itself. The blocks are statistics of feature maps: of the last used stage for
    each of the three planes, and of the stage before it for the third plane.
    """

    def __init__(self, name: str, network: PooledNetwork) -> None:
        """Raises TrainingError for a network that is no EfficientNet-Lite."""
        if name not in EFFICIENTNET_LITE:
            raise TrainingError(f"the sound network is {name}; it must be one of {', '.join(EFFICIENTNET_LITE)}")
        super().__init__()
        assert isinstance(network.features, nn.Sequential)
        scale, stages = network.features
        assert isinstance(stages, nn.Sequential)
        self.scale = scale
        self.early, self.last = stages[:_STAGES], stages[_STAGES]
        with torch.no_grad():
            self.blocks = tuple(block.shape[1] for block in self._blocks(torch.zeros(1, 3, 64, 64)))

    def forward(self, planes: Tensor) -> Tensor:
        """Features `[B, F]`."""
        return torch.cat(self._blocks(planes), dim=1)

    def _blocks(self, planes: Tensor) -> list[Tensor]:
        count = planes.shape[1]
        # [B, 3, s, s] -> [3B, 3, s, s], the plane's number first: a picture network wants three equal planes.
        alone = planes.transpose(0, 1).flatten(0, 1)[:, None].expand(-1, 3, -1, -1)
        early = self.early(self.scale(alone))
        last = self.last(early)
        of_last, of_early = (torch.unflatten(statistics(maps), 0, (count, -1)) for maps in (last, early))
        return [*of_last, of_early[count - 1]]


def statistics(maps: Tensor) -> Tensor:
    """Statistics `[B, 3C]` of feature maps `[B, C, frequencies, times]`.

    The mean, the mean over frequency of the standard deviation over time, and the standard deviation over frequency
    of the mean over time.
    """
    return torch.cat(
        [maps.mean(dim=(2, 3)), _deviation(maps, 3).mean(dim=2), _deviation(maps.mean(dim=3), 2)], dim=1
    )


def _deviation(values: Tensor, dim: int) -> Tensor:
    # Written out: the exporter to ONNX has no operator for it.
    away = values - values.mean(dim=dim, keepdim=True)
    return (away.square().sum(dim=dim) / (values.shape[dim] - 1)).sqrt()
