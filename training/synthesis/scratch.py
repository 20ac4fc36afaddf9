"""Sounds of a stick drawn over a surface: the surface's profile is read at the speed of the stroke.

After van den Doel, Kry and Pai, "FoleyAutomatic" (2001), with fractal profiles whose RMS heights are those of
tdw's measured scrape surfaces (1.13.0.0, BSD-2-Clause), a few microns.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from training.synthesis.modal import Signal

STEP = 20e-6
_POINTS = 2**15
_LONGEST_WAVE = 0.004


@dataclass(frozen=True)
class Surface:
    """A surface that a stick is drawn over.

    `seed`: of the profile; `roughness`: RMS height in metres; `slope`: the profile's power is 1/frequency^slope;
    `chatter`: from 0 (the stick glides) to 1 (it hops); `ridges`: their distance in metres, or 0; `squeak`: pitch
    of stick-slip in Hz at full speed, or 0; `hertz`: low-pass of the friction noise; `level`: dB of the friction
    against the grains that the stroke moves.
    """

    seed: int
    roughness: float
    slope: float
    chatter: float
    ridges: float
    squeak: float
    hertz: float
    level: float


def stroke_speed(rng: np.random.Generator, sample_rate: int, samples: int) -> Signal:
    """Speed of the stick in m/s, `[samples]`: one to four strokes of 0.2 to 0.6 s, each half a sine with jitter."""
    speed = np.zeros(samples)
    start = 0.0
    for _ in range(int(rng.integers(1, 5))):
        length = int(rng.uniform(0.2, 0.6) * sample_rate)
        first = int(start * sample_rate)
        if first >= samples:
            break
        # The stick is put down with some pressure, so a stroke reaches its speed within a few milliseconds.
        phase = (np.arange(length) + 0.07 * length) / (1.07 * length)
        stroke = rng.uniform(0.3, 1.0) * np.sin(np.pi * phase) ** 0.7
        last = min(samples, first + length)
        speed[first:last] += stroke[: last - first]
        start += length / sample_rate * rng.uniform(0.8, 1.15)
    return speed * (1.0 + 0.25 * slow_noise(rng, sample_rate, samples, 25.0))


def friction(surface: Surface, speed: Signal, rng: np.random.Generator, sample_rate: int) -> Signal:
    """Force along the stroke, float64 `[n]`, for `speed [n]`: the profile's slope times the speed."""
    profile = _profile(surface.seed, surface.slope, surface.ridges)
    place = rng.uniform(0.0, _POINTS) + np.cumsum(np.maximum(speed, 0.0)) / (sample_rate * STEP)
    force: Signal = np.interp(place % _POINTS, np.arange(_POINTS + 1), profile) * speed
    if surface.chatter > 0.0:
        hops = slow_noise(rng, sample_rate, len(speed), 90.0)
        force *= np.exp(1.6 * surface.chatter * hops)
    if surface.squeak > 0.0:
        turns = np.cumsum(surface.squeak * (0.75 + 0.25 * speed)) / sample_rate
        gate = np.clip(slow_noise(rng, sample_rate, len(speed), 6.0) + 0.2, 0.0, None)
        force += 0.7 * np.std(force) * gate * np.minimum(speed, 0.6) * _reed(turns)
    fade = float(np.exp(-2.0 * np.pi * min(surface.hertz, 0.4 * sample_rate) / sample_rate))
    smooth: Signal = lfilter([1.0 - fade], [1.0, -fade], force)
    return smooth


@lru_cache(maxsize=64)
def _profile(seed: int, slope: float, ridges: float) -> Signal:
    """The slope of one periodic profile, `[_POINTS + 1]`, with RMS 1; the last point repeats the first."""
    rng = np.random.default_rng(seed)
    waves = np.fft.rfftfreq(_POINTS, STEP)  # cycles per metre
    power = np.zeros(len(waves))
    rough = waves >= 1.0 / _LONGEST_WAVE
    power[rough] = waves[rough] ** (2.0 - slope)
    spectrum = np.sqrt(power) * np.exp(2j * np.pi * rng.random(len(waves)))
    profile = np.fft.irfft(spectrum, _POINTS)
    profile /= profile.std()
    if ridges > 0.0:
        count = max(1, round(_POINTS * STEP / ridges))
        edges = np.sort((np.arange(count) + 0.25 * rng.standard_normal(count)) * _POINTS / count)
        bumps = np.bincount(edges.astype(int) % _POINTS, np.exp(0.4 * rng.standard_normal(count)), _POINTS)
        steep = lfilter([1.0], [1.0, -0.9], bumps)
        profile += 1.5 * steep / steep.std()
    profile = np.append(profile, profile[0])
    profile.flags.writeable = False
    return profile


def slow_noise(rng: np.random.Generator, sample_rate: int, samples: int, hertz: float) -> Signal:
    """Noise `[samples]` of variance 1 that changes about `hertz` times a second."""
    knots = int(samples / sample_rate * hertz * 2.0) + 3
    at = np.arange(samples) * ((knots - 1.01) / max(samples, 1))
    wander: Signal = np.interp(at, np.arange(knots), rng.standard_normal(knots)) * 1.22
    return wander


def _reed(turns: Signal) -> Signal:
    """A stick-slip wave (slow rise, fast fall, smoothed), one period per turn."""
    angle = 2.0 * np.pi * turns
    return np.sin(angle) + 0.5 * np.sin(2.0 * angle) + 0.25 * np.sin(3.0 * angle)
