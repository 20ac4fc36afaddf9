"""The dense part of a touch: what has no pitch, because its modes lie too close together or its grains are many.

Where the modes of a body overlap, only the energy in each band and its decay can be heard (statistical energy
analysis; Lyon and DeJong 1995). So noise is split into octaves, and each octave gets its energy and its decay.
Where the matter is loose the noise comes in grains, as in `granular`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import lfilter

from training.synthesis.modal import Signal
from training.synthesis.scratch import slow_noise

OCTAVES = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
_TAIL_LONGER = 4.0
_LN_20_DB = float(np.log(10.0))
_INAUDIBLE_FADES = 2.2  # the tail is 50 dB below its start then, and it starts 10 to 20 dB down


_WANDER_HERTZ = 30.0


@dataclass(frozen=True)
class Dense:
    """The dense part of the sounds of one object.

    `colour`: energy of each of `OCTAVES` in dB; `resonances`: what each third of an octave has more, in dB; `fade`,
    `rise`: seconds in which each octave falls by 20 dB, and comes within 1/e of its level; `shape`: 1 for a body
    that rings down, more where the matter goes on moving for a while and then settles; `wander`: dB by which the
    level changes at random meanwhile; `tail`: level in dB of a part that fades four times as slowly (surroundings
    that vibrate too); `grit`: grains a second, 0 for smooth noise; `grain`: seconds in which a grain decays to 1/e;
    `uneven`: natural logarithm by which grains differ.
    """

    colour: tuple[float, ...]
    resonances: tuple[float, ...]
    fade: tuple[float, ...]
    rise: tuple[float, ...]
    shape: float
    wander: float
    tail: float
    grit: float
    grain: float
    uneven: float


def burst(dense: Dense, harder: float, rng: np.random.Generator, sample_rate: int, samples: int) -> Signal:
    """The dense part of one blow at time 0, float64 `[samples]`.

    A blow that is `harder` (0: a middling one) is brighter, by so many dB an octave.
    """
    lasting = _INAUDIBLE_FADES * _TAIL_LONGER * max(dense.fade) + 5.0 * max(dense.rise)
    sound = np.zeros(samples)
    if samples < 2:
        return sound
    heard = min(samples, next_fast_len(max(2, round(lasting * sample_rate)), real=True))
    time = np.arange(heard) / sample_rate
    tail = 10.0 ** (dense.tail / 20.0)
    levels = [
        _level(time, rise, fade, tail, dense.shape) for rise, fade in zip(dense.rise, dense.fade, strict=True)
    ]
    sound[:heard] = _coloured(dense, harder, levels, rng, sample_rate)
    return sound


def _level(time: Signal, rise: float, fade: float, tail: float, shape: float) -> Signal:
    slow = np.exp(time * (-_LN_20_DB / (_TAIL_LONGER * fade)))
    if shape == 1.0:
        # The fast part is the slow one to the power of _TAIL_LONGER.
        level: Signal = np.square(np.square(slow)) + tail * slow
    else:
        level = np.exp(-_LN_20_DB * (time / fade) ** shape) + tail * slow
    first = slice(0, int(np.searchsorted(time, 10.0 * rise)))
    level[first] *= 1.0 - np.exp(-(time[first] + time[1]) / rise)
    return level


def rub(dense: Dense, force: Signal, rng: np.random.Generator, sample_rate: int) -> Signal:
    """The dense part of a stroke with the force `force [n]`, float64 `[n]`; somewhat brighter."""
    return _coloured(dense, 0.5, [force] * len(OCTAVES), rng, sample_rate)


def _coloured(
    dense: Dense, brighter: float, levels: list[Signal], rng: np.random.Generator, sample_rate: int
) -> Signal:
    samples = len(levels[0])
    spectrum = np.fft.rfft(_grit(dense, rng, sample_rate, samples))
    octave = np.log2(np.maximum(np.fft.rfftfreq(samples, 1.0 / sample_rate), 20.0) / OCTAVES[0])
    octave = np.clip(octave, 0.0, len(OCTAVES) - 1.0)
    thirds = np.arange(len(dense.resonances)) / 3.0
    spectrum *= 10.0 ** (np.interp(octave, thirds, dense.resonances) / 20.0)
    colour = np.array(dense.colour) + brighter * (np.arange(len(OCTAVES)) - 4.0)
    moving = 10.0 ** (dense.wander / 20.0 * slow_noise(rng, sample_rate, samples, _WANDER_HERTZ))
    sound = np.zeros(samples)
    for number, (level, decibels) in enumerate(zip(levels, colour, strict=True)):
        first, last = np.searchsorted(octave, (number - 1.0, number + 1.0))
        # cos^2 in the logarithm of the frequency: neighbours add up to 1.
        weight = np.cos(0.5 * np.pi * (octave[first:last] - number)) ** 2
        if number == len(OCTAVES) - 1:
            last = len(octave)
            weight = np.cos(0.5 * np.pi * (octave[first:last] - number)) ** 2
        band = np.zeros(len(spectrum), complex)
        band[first:last] = spectrum[first:last] * weight
        heard = np.fft.irfft(band, samples) * level * moving
        energy = float(np.sqrt(np.sum(heard * heard)))
        if energy > 0.0:
            sound += heard * (10.0 ** (decibels / 20.0) / energy)
    return sound


def _grit(dense: Dense, rng: np.random.Generator, sample_rate: int, samples: int) -> Signal:
    """White noise `[samples]`, smooth or in grains."""
    noise = rng.standard_normal(samples)
    if dense.grit <= 0.0:
        return noise
    count = max(1, int(rng.poisson(dense.grit * samples / sample_rate)))
    place = rng.integers(0, samples, count)
    strength = np.exp(dense.uneven * rng.standard_normal(count))
    fade = float(np.exp(-1.0 / (dense.grain * sample_rate)))
    grains: Signal = lfilter([1.0], [1.0, -fade], np.bincount(place, strength, samples)) * noise
    return grains
