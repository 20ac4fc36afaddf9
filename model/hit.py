"""The main hit in a sound: when it is, the clip around it that the sound tower takes, and how loud it is.

All hits of a recording are in `hits`.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from model.levels import STEADY, Levels
from model.sound import Samples

# A rise counts from this share of the largest rise on.
_PROMINENT = 0.5


def find_hit(samples: Samples, sample_rate: int) -> float:
    """Time of the hit in mono `samples [n]`, in seconds: the first prominent rise in level; 0.0 without a rise.

    The level is the RMS of frames of 5 ms. A rise is prominent when it reaches half of the largest rise. Before the
    file begins, the level is taken to be the 10 % quantile of all levels: so a file cut at the hit begins with a
    rise, and one that begins in noise or hum does not. A level below 2.2 times this quantile is never a rise.
    """
    return main_hit(Levels.of(samples, sample_rate)) / sample_rate


def main_hit(levels: Levels) -> int:
    """The sample at which the hit of `find_hit` is."""
    if len(levels.rms) < 2:
        return 0
    rises = np.where(levels.rms > STEADY * levels.quiet, np.diff(levels.rms, prepend=levels.quiet), 0.0)
    largest = float(rises.max())
    if largest <= 0.0:
        return 0
    return int(np.argmax(rises >= _PROMINENT * largest)) * levels.step


def cut_clip(samples: Samples, sample_rate: int, hit: float, before: float, after: float) -> Samples:
    """The samples from `hit - before` to `hit + after` seconds, with silence where the sound has none.

    Always `clip_samples(sample_rate, before, after)` long.
    """
    length = clip_samples(sample_rate, before, after)
    clip = np.zeros(length, np.float32)
    start = round((hit - before) * sample_rate)
    source = samples[max(0, start) : max(0, start + length)]
    offset = max(0, -start)
    clip[offset : offset + len(source)] = source
    return clip


def clip_samples(sample_rate: int, before: float, after: float) -> int:
    """Length in samples of a clip from `before` seconds before the hit to `after` seconds after it."""
    return round((before + after) * sample_rate)


QUIETEST = -100.0
"""The lowest loudness that is given, in LUFS: that of silence."""

# The window of momentary loudness (EBU Tech 3341).
_WINDOW_SECONDS = 0.4

# The two filters of ITU-R BS.1770-5, annex 1, from its tables for 48 kHz: numerator and denominator.
_RATE = 48_000
_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_OFFSET = -0.691


def loudness_of_hit(samples: Samples, sample_rate: int, hit: float) -> float:
    """Momentary loudness of the 0.4 s of mono `samples [n]` after `hit` (in seconds), in LUFS to two decimals.

    K-weighted after ITU-R BS.1770-5; its filters are applied to the spectrum. Where the sound ends earlier, the
    rest counts as silence, as it does to the ear. At least -100.
    """
    length = round(_WINDOW_SECONDS * sample_rate)
    start = max(0, round(hit * sample_rate))
    weighted = _power(samples[start : start + length], length) * _weights(length, sample_rate)
    # `rfft` gives half of the two-sided spectrum; its first bin, and the last of an even length, stand once only.
    twice = 2 * weighted.sum() - weighted[0] - (weighted[-1] if length % 2 == 0 else 0.0)
    power = float(twice) / length**2
    return max(QUIETEST, round(_OFFSET + 10 * math.log10(power), 2)) if power > 0 else QUIETEST


def brightness(clip: Samples, sample_rate: int) -> float:
    """The spectral centroid of a clip `[n]` in Hz: the mean frequency, weighted by power; 0.0 for silence."""
    power = _power(clip, len(clip))
    total = float(power.sum())
    # Not `@`: BLAS would wake threads for it, which fight with those of other sounds.
    centre = float(np.einsum("f,f->", power, _frequencies(len(clip), sample_rate)))
    return round(centre / total, 1) if total > 0 else 0.0


def _power(samples: Samples, length: int) -> npt.NDArray[np.float64]:
    """The power spectrum of `samples [n]`, cut or filled with silence to `length`."""
    spectrum = np.fft.rfft(samples.astype(np.float64), length)
    power: npt.NDArray[np.float64] = spectrum.real**2 + spectrum.imag**2
    return power


@cache
def _weights(length: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """The filters' power gain at the frequencies of a spectrum; above 24 kHz the gain at 24 kHz."""
    frequencies = _frequencies(length, sample_rate)
    delay = np.exp(-2j * np.pi * np.minimum(frequencies, _RATE / 2) / _RATE)
    gain = np.ones(len(frequencies))
    for numerator, denominator in _FILTERS:
        gain *= np.abs(np.polyval(numerator[::-1], delay) / np.polyval(denominator[::-1], delay)) ** 2
    return gain


@cache
def _frequencies(length: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """Those of a spectrum, in Hz. A bundle's clips are all of one length and rate: a few are kept."""
    return np.fft.rfftfreq(length, 1 / sample_rate).astype(np.float64)
