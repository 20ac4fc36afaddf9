"""The mel filterbank: triangles that gather the bins of a power spectrum into mel bands."""

import numpy as np
import numpy.typing as npt


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
