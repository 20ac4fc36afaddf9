"""Sounds as they are recorded: in a place, with a microphone, and cut to a file."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, oaconvolve

from training.synthesis.modal import Signal
from training.synthesis.sounds import Samples

OUTDOORS = frozenset({"dirt", "grass", "gravel", "leaf", "rock", "water"})
"""Materials that are recorded outdoors."""

_FIRST_REFLECTION = 0.004
_FULL_SCALE = 0.98
_FRAME = 0.01


@dataclass(frozen=True)
class Acoustics:
    """The acoustics of a place, with a microphone.

    `seed`: of the reflections; `rt60`: their reverberation time in seconds (60 dB); `wet`: their level in dB
    against the direct sound; `distance`: low-pass of the air between object and microphone, in Hz; `noise`:
    background in dBFS (RMS); `rumble`: its colour, from 0 (white noise) to 1 (wind and traffic).
    """

    seed: int
    rt60: float
    wet: float
    distance: float
    noise: float
    rumble: float


def draw_acoustics(rng: np.random.Generator, outdoors: bool) -> Acoustics:
    """Draw the acoustics of a place; outdoors it has less reverberation and more noise than indoors."""
    return Acoustics(
        seed=int(rng.integers(2**31)),
        rt60=rng.uniform(0.1, 0.25) if outdoors else rng.uniform(0.15, 0.5),
        wet=rng.uniform(-32.0, -24.0) if outdoors else rng.uniform(-24.0, -14.0),
        distance=rng.uniform(9_000.0, 18_000.0),
        noise=rng.uniform(-76.0, -54.0) if outdoors else rng.uniform(-90.0, -64.0),
        rumble=rng.uniform(0.5, 1.0) if outdoors else rng.uniform(0.0, 0.9),
    )


def record(samples: Samples, acoustics: Acoustics, rng: np.random.Generator, sample_rate: int) -> Samples:
    """Dry `samples [n]` as recorded in a place: with reverberation and background noise, float32 `[n]`.

    `rng` draws the background noise. A sound that would clip is scaled down, others keep their level.
    """
    dry = samples.astype(np.float64)
    if acoustics.distance < 0.4 * sample_rate:
        fade = float(np.exp(-2.0 * np.pi * acoustics.distance / sample_rate))
        dry = lfilter([1.0 - fade], [1.0, -fade], dry)
    heard = dry + oaconvolve(dry, _reflections(acoustics, sample_rate))[: len(dry)]
    heard += 10.0 ** (acoustics.noise / 20.0) * _background(acoustics, rng, len(dry))
    peak = float(np.abs(heard).max(initial=0.0))
    return (heard * min(1.0, _FULL_SCALE / max(peak, _FULL_SCALE))).astype(np.float32)


def _reflections(acoustics: Acoustics, sample_rate: int) -> Signal:
    """Impulse response of the place without the direct sound; its energy is `acoustics.wet` dB."""
    samples = max(2, round(acoustics.rt60 * sample_rate))
    time = np.arange(samples) / sample_rate
    decay = 10.0 ** (-3.0 * time / acoustics.rt60)
    response = np.random.default_rng(acoustics.seed).standard_normal(samples) * decay
    response[: round(_FIRST_REFLECTION * sample_rate)] = 0.0
    response = lfilter([0.5], [1.0, -0.5], response)  # walls absorb high frequencies most
    scaled: Signal = response * (10.0 ** (acoustics.wet / 20.0) / np.sqrt(np.sum(response * response)))
    return scaled


def _background(acoustics: Acoustics, rng: np.random.Generator, samples: int) -> Signal:
    """Background noise `[samples]` with RMS 1."""
    white = rng.standard_normal(samples)
    low = lfilter([0.1], [1.0, -0.99], white)
    noise: Signal = (1.0 - acoustics.rumble) * white + acoustics.rumble * 3.0 * low
    return noise / max(float(np.sqrt(np.mean(noise * noise))), 1e-12)


@dataclass(frozen=True)
class Cut:
    """How a sound is cut to a file.

    `before`: seconds before the touch; `quiet`: dB below the peak at which it has ended; `after`: seconds that are
    kept then; `fade`: seconds of the fade at the end.
    """

    before: float
    quiet: float
    after: float
    fade: float


def draw_cut(rng: np.random.Generator) -> Cut:
    """Draw how somebody cuts a sound for a library."""
    return Cut(
        before=rng.uniform(0.010, 0.019),
        quiet=rng.uniform(30.0, 46.0),
        after=float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))),
        fade=float(np.exp(rng.uniform(np.log(0.01), np.log(0.08)))),
    )


def cut(samples: Samples, dry: Samples, how: Cut, sample_rate: int) -> Samples:
    """The part of `samples [n]` from their start until `dry [n]` has ended, float32 `[m]`, faded out."""
    frame = max(1, round(_FRAME * sample_rate))
    frames = np.square(dry[: len(dry) // frame * frame].astype(np.float64)).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(frames >= frames.max(initial=0.0) * 10.0 ** (-how.quiet / 10.0))
    end = (int(loud[-1]) + 1 if len(loud) else 0) * frame + round(how.after * sample_rate)
    kept = samples[:end].copy()
    fade = min(len(kept), round(how.fade * sample_rate))
    if fade:
        kept[-fade:] *= (0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1.0) / fade)).astype(np.float32)
    return kept
