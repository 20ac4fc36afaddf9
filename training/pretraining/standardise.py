"""Standardising the features of sounds, whose blocks have very different scales, before they are classified."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

_LEAST_SHARE = 1e-3
_LEAST = 1e-6
_MOST = 6.0
_LENGTH = 3.0


class Standardise(nn.Module):
    """Features `[B, F]` to features `[B, F]` of length 3.

    Each feature is scaled to mean 0 and standard deviation 1 over the fitted recordings and clipped at 6; each
    block has the same weight, whatever its number of features. The fixed length keeps recordings that are far from
    all others from being classified with too much confidence.
    """

    mean: Tensor
    deviation: Tensor
    share: Tensor

    def __init__(self, features: Tensor, blocks: tuple[int, ...]) -> None:
        """`features [N, F]` of the recordings; `blocks` sum to F."""
        super().__init__()
        deviations = torch.split(features.std(dim=0, correction=0), list(blocks))
        least = [_LEAST_SHARE * block.mean() + _LEAST for block in deviations]
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("deviation", torch.cat([d + add for d, add in zip(deviations, least, strict=True)]))
        self.register_buffer("share", torch.cat([torch.full((size,), size**-0.5) for size in blocks]))

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features `[B, F]`."""
        standard = ((features - self.mean) / self.deviation).clamp(-_MOST, _MOST) * self.share
        return _LENGTH * normalize(standard, dim=1)
