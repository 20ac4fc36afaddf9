"""The network of aiSFX and its spectrogram: features of a sound, learned on libraries of sound effects.

Ma and Lerch 2022, "Representation Learning for the Automatic Indexing of Sound Effects Libraries" (ISMIR); the
network is the nine-layer one of Kong et al. 2018 (arXiv 1808.00773). training/pretraining/aisfx_weights.py reads
the weights.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

FEATURES = 512
_CHANNELS = (64, 128, 256, FEATURES)
_RATE, _WINDOW, _HOP = 44_100, 2048, 1024
"""What the weights were trained with: samples a second, and the window and hop in samples."""
_BANDS = 96
_GAIN, _HIGHEST = 1e4, 9.457798957824707 * math.log(10.0)
"""A level is log(1 + gain * power), divided by the highest level in the training data (the package has log10)."""
_QUIETEST = 1e-6


class AisfxSpectrogram(nn.Module):
    """Clips float32 `[B, samples]` to log-mel levels `[B, 1, frames, 96]`, time before frequency.

    The mel bands go from 0 to 22,050 Hz, those above half the sample rate are empty. A clip's largest sample is
    scaled to 1, so that levels do not change with the recording's.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.length = round(_WINDOW * sample_rate / _RATE)
        self.hop = round(_HOP * sample_rate / _RATE)
        self.fft_size = 2 ** (self.length - 1).bit_length()
        # A longer window adds up more samples: as much power as at the rate of the training data.
        gain = (_WINDOW / self.length) ** 2
        self.register_buffer("window", torch.hann_window(self.length), persistent=False)
        self.register_buffer("filters", gain * _filters(sample_rate, self.fft_size), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Levels `[B, 1, frames, 96]`."""
        peak = clips.abs().amax(dim=1, keepdim=True).clamp_min(_QUIETEST)
        spectrum = torch.stft(
            clips / peak,
            n_fft=self.fft_size,
            hop_length=self.hop,
            win_length=self.length,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )  # [B, fft_size // 2 + 1, frames]
        squares = torch.view_as_real(spectrum).square()
        mel = self.filters @ (squares[..., 0] + squares[..., 1])
        levels = torch.log(1.0 + _GAIN * mel) / _HIGHEST
        return levels.transpose(1, 2)[:, None]


class AisfxNetwork(nn.Sequential):
    """Levels `[B, 1, frames, 96]` to features `[B, 512]`: the mean of the last feature map.

    Eight convolutions of 3 x 3, each with a bias that holds its batch normalisation; after the second, fourth and
    sixth the maximum of 2 x 2. The published embedding is the maximum over time of the map's mean over frequency;
    the mean over both told materials of unseen sources better.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 1
        for channels in _CHANNELS:
            if before > 1:
                layers.append(nn.MaxPool2d(2))
            for inputs in (before, channels):
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
            before = channels
        super().__init__(*layers, _Mean())

    def convolutions(self) -> list[nn.Conv2d]:
        """The eight convolutions, the first one first."""
        return [layer for layer in self if isinstance(layer, nn.Conv2d)]


class _Mean(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


def _filters(sample_rate: int, fft_size: int) -> Tensor:
    """Triangles `[96, fft_size // 2 + 1]` with the peaks equally spaced in mel (HTK), of sum 1 at 44,100 Hz."""
    edges = 700.0 * (10.0 ** (np.linspace(0.0, np.log10(1.0 + _RATE / 2 / 700.0), _BANDS + 2)) - 1.0)
    area = _triangles(edges, np.linspace(0.0, _RATE / 2, _WINDOW // 2 + 1)).sum(axis=1, keepdims=True)
    # The bins of another transform are denser or sparser, but each holds the power at its frequency.
    share = (sample_rate / fft_size) / (_RATE / _WINDOW)
    found = share * _triangles(edges, np.linspace(0.0, sample_rate / 2, fft_size // 2 + 1)) / area
    return torch.from_numpy(found.astype(np.float32))


def _triangles(edges: np.ndarray, bins: np.ndarray) -> np.ndarray:
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    found: np.ndarray = np.clip(np.minimum(rising, falling), 0.0, None)
    return found
