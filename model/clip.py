"""Finding the hit in a sound and cutting the window around it that the sound tower takes."""

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


_FRAME_SECONDS = 0.005
_PROMINENT = 0.5
_QUIET = 0.1
# The level of hum of 50 Hz swings by 2.1 in frames of 5 ms, that of noise of 2 kHz by 1.9.
_STEADY = 2.2


def find_hit(samples: Samples, sample_rate: int) -> float:
    """Seconds at which the sound is struck: its first prominent rise in level, 0.0 where there is no rise.

    The level is taken in frames of 5 ms; a rise counts as prominent when it reaches half of the largest. Before the
    file there was the level that its quiet tenth keeps under: a file that is cut at the hit begins with a rise, one
    that begins in noise or hum does not. What is less than 2.2 times as loud as that is steady, and no rise.
    """
    frame = max(1, round(_FRAME_SECONDS * sample_rate))
    frames = len(samples) // frame
    if frames < 2:
        return 0.0
    levels = np.sqrt(np.mean(np.square(samples[: frames * frame].reshape(frames, frame)), axis=1))
    quiet = np.quantile(levels, _QUIET)
    rises = np.where(levels > _STEADY * quiet, np.diff(levels, prepend=quiet), 0.0)
    largest = float(rises.max())
    if largest <= 0.0:
        return 0.0
    first = int(np.argmax(rises >= _PROMINENT * largest))
    return first * frame / sample_rate


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
