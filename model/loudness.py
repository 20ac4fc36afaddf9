"""How loud a struck sound is, so that sounds of different recordings can be played at one level."""

import math

import numpy as np
import numpy.typing as npt

from model.sound import Samples

SECONDS = 0.4
"""The window of momentary loudness (EBU Tech 3341)."""

QUIETEST = -100.0
"""What is quieter counts as this, in LUFS."""

# The two filters of ITU-R BS.1770-5, annex 1, as it tabulates them for 48 kHz: numerator and denominator.
_RATE = 48_000
_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_OFFSET = -0.691


def loudness_of_hit(samples: Samples, sample_rate: int, hit: float) -> float:
    """Momentary loudness in LUFS of the 0.4 s of mono `samples [n]` from the second `hit` on, to two decimals.

    K-weighted after ITU-R BS.1770-5, whose filters are applied to the spectrum; where the sound ends earlier,
    the rest counts as silence, as it does to the ear. At least -100.
    """
    length = round(SECONDS * sample_rate)
    start = max(0, round(hit * sample_rate))
    spectrum = np.abs(np.fft.rfft(samples[start : start + length].astype(np.float64), length)) ** 2
    weighted = spectrum * _weights(np.fft.rfftfreq(length, 1 / sample_rate))
    # Of the two-sided spectrum only half is here; the first and the last of an even length have no twin.
    twice = 2 * weighted.sum() - weighted[0] - (weighted[-1] if length % 2 == 0 else 0.0)
    power = float(twice) / length**2
    return max(QUIETEST, round(_OFFSET + 10 * math.log10(power), 2)) if power > 0 else QUIETEST


def _weights(frequencies: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The filters' gain of power at these frequencies in Hz; above 24 kHz that at 24 kHz."""
    delay = np.exp(-2j * np.pi * np.minimum(frequencies, _RATE / 2) / _RATE)
    gain = np.ones(len(frequencies))
    for numerator, denominator in _FILTERS:
        gain *= np.abs(np.polyval(numerator[::-1], delay) / np.polyval(denominator[::-1], delay)) ** 2
    return gain
