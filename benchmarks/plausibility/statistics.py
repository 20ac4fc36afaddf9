"""What can be heard of a short sound, in numbers: brightness, decay, pitch, onset, background, length."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from model.hit import find_hit
from model.sound import Samples

Signal = npt.NDArray[np.float64]

STATISTICS: Mapping[str, str] = {
    "centroid": "Hz",
    "decay of 88 to 354 Hz": "ms",
    "decay of 354 to 1414 Hz": "ms",
    "decay of 1414 to 11314 Hz": "ms",
    "decay by 40 dB": "ms",
    "tonality": "share",
    "onset": "ms",
    "floor": "dB",
    "duration": "s",
}
"""The name of each number of `sound_statistics`, and its unit."""

_BANDS = ((88.0, 354.0), (354.0, 1414.0), (1414.0, 11314.0))
_BEFORE, _LENGTH = 0.02, 0.7
_SPECTRUM, _STRONGEST = 8192, 20
_FRAME = 0.005


def sound_statistics(samples: Samples, sample_rate: int) -> dict[str, float]:
    """The numbers of `STATISTICS` for mono `samples [n]`; NaN where a sound is silent.

    The centroid is the mean frequency, weighted by power, of 0.7 s around the hit. The decay of a band is the time
    from its loudest moment until 20 dB less; that by 40 dB is of all bands together, in levels of 5 ms. Tonality is
    the share of power in the 20 strongest of 4,097 bins of the 8,192 samples after the hit (Hann window). The onset
    is the time of the first sample of a tenth of the peak. The floor is the 10 % quantile of the levels of 5 ms,
    below the highest. Where a sound ends before it has decayed, the rest of its length counts.
    """
    whole = samples.astype(np.float64)
    peak = float(np.abs(whole).max(initial=0.0))
    frame = max(1, round(_FRAME * sample_rate))
    if peak == 0.0 or len(whole) < 2 * frame:
        return dict.fromkeys(STATISTICS, float("nan"))
    hit = round(find_hit(samples, sample_rate) * sample_rate)
    start = max(0, hit - round(_BEFORE * sample_rate))
    around = whole[start : start + round(_LENGTH * sample_rate)]
    power = np.square(np.abs(np.fft.rfft(around)))
    frequency = np.fft.rfftfreq(len(around), 1.0 / sample_rate)
    levels = np.sqrt(np.square(whole[: len(whole) // frame * frame].reshape(-1, frame)).mean(axis=1))
    decays = [_decay(_band_power(around, *band, sample_rate), 20.0) / sample_rate for band in _BANDS]
    struck = np.zeros(_SPECTRUM)
    after = whole[hit : hit + _SPECTRUM]
    struck[: len(after)] = after
    bins = np.sort(np.square(np.abs(np.fft.rfft(struck * np.hanning(_SPECTRUM)))))
    values = (
        float((power * frequency).sum() / power.sum()),
        *(1000.0 * decay for decay in decays),
        1000.0 * _decay(np.square(levels), 40.0) * frame / sample_rate,
        float(bins[-_STRONGEST:].sum() / max(bins.sum(), 1e-30)),
        1000.0 * float(np.argmax(np.abs(whole) >= 0.1 * peak)) / sample_rate,
        20.0 * float(np.log10(max(float(np.quantile(levels, 0.1)) / float(levels.max()), 1e-6))),
        len(whole) / sample_rate,
    )
    return dict(zip(STATISTICS, values, strict=True))


def _band_power(signal: Signal, lowest: float, highest: float, sample_rate: int) -> Signal:
    """Power `[n]` of the band, smoothed over a period of its lowest frequency, at least 5 ms."""
    padded = len(signal) + sample_rate // 4
    spectrum = np.fft.rfft(signal, padded)
    frequency = np.fft.rfftfreq(padded, 1.0 / sample_rate)
    spectrum[(frequency < lowest) | (frequency >= highest)] = 0.0
    band = np.square(np.fft.irfft(spectrum, padded)[: len(signal)])
    width = round(max(_FRAME, 1.0 / lowest) * sample_rate)
    smoothed: Signal = np.maximum(fftconvolve(band, np.full(width, 1.0 / width), mode="same"), 0.0)
    return smoothed


def _decay(power: Signal, decibels: float) -> int:
    """Number of values from the largest of `power [n]` to the first after it that is so much less."""
    loudest = int(power.argmax())
    quiet = np.flatnonzero(power[loudest:] < power[loudest] * 10.0 ** (-decibels / 10.0))
    return int(quiet[0]) if len(quiet) else len(power) - loudest
