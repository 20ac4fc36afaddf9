"""Standardising the features of sounds before they are classified."""

from torch import Tensor, nn

_LEAST_SHARE = 1e-3
_LEAST = 1e-6
_MOST = 6.0


class Standardise(nn.Module):
    """Features `[B, F]` with mean 0 and standard deviation 1 over the fitted recordings, clipped at 6."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Tensor) -> None:
        """`features [N, F]` of the recordings."""
        super().__init__()
        deviation = features.std(dim=0, correction=0)
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("deviation", deviation + _LEAST_SHARE * deviation.mean() + _LEAST)

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features `[B, F]`."""
        return ((features - self.mean) / self.deviation).clamp(-_MOST, _MOST)
