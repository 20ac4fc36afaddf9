"""Sounds of loose matter: many small collisions (grains), and bubbles for water.

Grains follow Cook's PhISEM: collisions come at random, each raises a level that decays within milliseconds and
multiplies noise, which goes through a resonance. The energy of the collisions decays after a hit or follows a
stroke. The constants in `material_sounds` start from STK's `Shakers` (tuned at 22,050 Hz), converted to seconds and
hertz. Bubbles are Minnaert's with van den Doel's rising pitch ("Physically based models for liquid sounds", 2005).
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from training.synthesis.modal import Signal

_VOICES = (0.78, 1.0, 1.27)
_AMPLITUDE_SPREAD = 0.6  # natural log: single grains differ by about 5 dB
_PINCH_OFF = 0.001  # seconds in which a bubble closes and starts to ring
_MINNAERT = 3.0  # Hz m: a bubble of radius r rings at 3 / r


@dataclass(frozen=True)
class Grains:
    """One kind of small collision.

    `rate`: collisions a second; `grain`: seconds in which one decays to 1/e; `settle`: seconds in which the energy
    of a hit decays to 1/e; `rise`: seconds in which it builds up; `hertz`, `bandwidth`: the resonance, in Hz;
    `level`: dB against the body.
    """

    rate: float
    grain: float
    settle: float
    rise: float
    hertz: float
    bandwidth: float
    level: float


@dataclass(frozen=True)
class Bubbles:
    """Bubbles with radii between `smallest` and `largest` (metres): `count` after a hit, or per second of stirring.

    `spread`: mean delay after a hit, in seconds; `level`: dB against the body.
    """

    count: float
    smallest: float
    largest: float
    spread: float
    level: float


def hit_energy(grains: Grains, sample_rate: int, samples: int) -> Signal:
    """The energy of grains after a hit at time 0, `[samples]`, at most 1."""
    time = np.arange(samples) / sample_rate
    energy: Signal = np.exp(-time / grains.settle)
    if grains.rise > 0.0:
        energy *= 1.0 - np.exp(-(time + 1.0 / sample_rate) / grains.rise)
    return energy


def crackle(grains: Grains, energy: Signal, rng: np.random.Generator, sample_rate: int) -> Signal:
    """The sound of grains with the energy `energy [n]`, float64 `[n]`, not normalised."""
    samples = len(energy)
    sound = np.zeros(samples)
    fade = float(np.exp(-1.0 / (grains.grain * sample_rate)))
    per_voice = grains.rate * samples / sample_rate / len(_VOICES)
    for ratio in _VOICES:
        count = int(rng.poisson(per_voice))
        if count == 0:
            continue
        place = rng.integers(0, samples, count)
        strength = np.exp(_AMPLITUDE_SPREAD * rng.standard_normal(count)) * energy[place]
        level = lfilter([1.0], [1.0, -fade], np.bincount(place, strength, samples))
        hertz = min(grains.hertz * ratio * (1.0 + 0.04 * rng.standard_normal()), 0.45 * sample_rate)
        sound += _resonance(level * rng.standard_normal(samples), hertz, grains.bandwidth, sample_rate)
    return sound


def bubble_cloud(
    bubbles: Bubbles,
    onsets: Signal,
    rng: np.random.Generator,
    sample_rate: int,
    samples: int,
    settle: float = np.inf,
) -> Signal:
    """One bubble at each of `onsets` (seconds), as float64 `[samples]`; small bubbles are quieter.

    `settle`: seconds in which their strength decays to 1/e after a hit.
    """
    sound = np.zeros(samples)
    count = len(onsets)
    radius = np.exp(rng.uniform(np.log(bubbles.smallest), np.log(bubbles.largest), count))
    strength = np.exp(0.5 * rng.standard_normal(count)) * radius / bubbles.largest * np.exp(-onsets / settle)
    climb = rng.uniform(0.0, 0.08, count)
    for onset, r, amplitude, rise in zip(onsets, radius, strength, climb, strict=True):
        start = int(onset * sample_rate)
        fall = 0.13 / r + 0.0072 * r**-1.5
        length = min(samples - start, int(7.0 / fall * sample_rate))
        if length < 2:
            continue
        time = np.arange(length) / sample_rate
        hertz = min(_MINNAERT / r, 0.3 * sample_rate)
        phase = 2.0 * np.pi * hertz * time * (1.0 + 0.5 * rise * fall * time)
        sound[start : start + length] += (
            amplitude * np.exp(-fall * time) * np.sin(phase) * np.minimum(time / _PINCH_OFF, 1.0)
        )
    return sound


def _resonance(signal: Signal, hertz: float, bandwidth: float, sample_rate: int) -> Signal:
    """Two-pole resonance with zeros at 0 Hz and half the sample rate, unit gain at its centre."""
    radius = float(np.exp(-np.pi * min(bandwidth, 0.3 * sample_rate) / sample_rate))
    poles = [1.0, -2.0 * radius * float(np.cos(2.0 * np.pi * hertz / sample_rate)), radius * radius]
    gain = (1.0 - radius * radius) / 2.0
    filtered: Signal = lfilter([gain, 0.0, -gain], poles, signal)
    return filtered
