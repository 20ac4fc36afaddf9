"""The log-mel spectrogram as a module, so that it travels inside the exported sound tower."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def mel_filterbank(sample_rate: int, fft_size: int, bands: int, low: float, high: float) -> npt.NDArray[np.float32]:
    """Filters `[bands, fft_size // 2 + 1]` with centres equally spaced in mel from `low` to `high` Hz.

    Mel after O'Shaughnessy (2595 log10(1 + f/700)); each triangle has unit area over frequency, so that noise
    of equal density gives an equal level in every band.
    """
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    bins = np.linspace(0.0, sample_rate / 2, fft_size // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.clip(np.minimum(rising, falling), 0.0, None)
    area = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * area[:, None]).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hertz: npt.NDArray[np.float64] = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return hertz


class LogMel(nn.Module):
    """Clips `[B, samples]` to square log-mel pictures `[B, 3, size, size]` (paper, 3.1 and 3.3.1).

    Power spectrogram (Hann window of 32 ms) -> mel bands -> dB below the clip's own maximum, floored at
    -80 dB -> scaled to [-1, 1] -> resized to `size` -> the same plane three times, so that a picture network
    takes it. Being relative to the clip's maximum, it does not change with the recording's level.
    The bands end at `highest_hertz`, or half the sample rate. Rows are frequencies (row 0 the lowest),
    columns are time.
    """

    FLOOR_DB = 80.0

    def __init__(
        self,
        sample_rate: int,
        samples: int,
        size: int,
        bands: int = 128,
        low: float = 40.0,
        highest_hertz: float | None = None,
    ) -> None:
        super().__init__()
        window = round(0.032 * sample_rate)
        self.fft_size = 2 ** (window - 1).bit_length()
        # About one frame per column of the square picture; fewer where the clip is too short for that.
        self.hop = max(1, samples // size)
        self.size = size
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        nyquist = sample_rate / 2
        filters = mel_filterbank(sample_rate, self.fft_size, bands, low, min(highest_hertz or nyquist, nyquist))
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self.window: Tensor
        self.filters: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """Log-mel pictures `[B, 3, size, size]` in [-1, 1] of float32 clips `[B, samples]`."""
        return self.plane(self.mel(clips)).expand(-1, 3, -1, -1)

    def mel(self, clips: Tensor) -> Tensor:
        """Power in mel bands `[B, bands, frames]` of float32 clips `[B, samples]`."""
        spectrum = torch.stft(
            clips,
            n_fft=self.fft_size,
            hop_length=self.hop,
            win_length=len(self.window),
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )  # [B, fft_size // 2 + 1, frames]
        squares = torch.view_as_real(spectrum).square()
        # Not sum(-1): over two numbers at a time it takes a CPU longer than the Fourier transforms.
        power = squares[..., 0] + squares[..., 1]
        return self.filters @ power

    def plane(self, mel: Tensor) -> Tensor:
        """One plane `[B, 1, size, size]` in [-1, 1] of power in mel bands `[B, bands, frames]`."""
        peak = mel.amax(dim=(1, 2), keepdim=True).clamp_min(1e-10)
        decibels = 10.0 * torch.log10((mel / peak).clamp_min(10.0 ** (-self.FLOOR_DB / 10)))  # [-80, 0]
        scaled = (2.0 / self.FLOOR_DB) * decibels + 1.0
        return interpolate(scaled[:, None], size=(self.size, self.size), mode="bilinear", align_corners=False)
