"""Where a sound is recorded: distance, reverberation and background noise."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, oaconvolve

from training.synthesis.modal import Signal
from training.synthesis.sounds import Samples

OUTDOORS = frozenset({"dirt", "grass", "gravel", "leaf", "rock", "water"})

_FIRST_REFLECTION = 0.004
_FULL_SCALE = 0.98


@dataclass(frozen=True)
class Room:
    """One place and microphone.

    `seed`: which reflections; `rt60`: seconds until they are 60 dB down; `wet`: their level in dB against the
    direct sound; `distance`: low-pass of the way through the air in Hz; `noise`: background in dBFS (RMS);
    `rumble`: 0 (white noise) to 1 (wind and traffic).
    """

    seed: int
    rt60: float
    wet: float
    distance: float
    noise: float
    rumble: float


def draw_room(rng: np.random.Generator, outdoors: bool) -> Room:
    """Draw a place: outdoors it is drier and noisier than indoors."""
    return Room(
        seed=int(rng.integers(2**31)),
        rt60=rng.uniform(0.1, 0.25) if outdoors else rng.uniform(0.15, 0.5),
        wet=rng.uniform(-32.0, -24.0) if outdoors else rng.uniform(-24.0, -14.0),
        distance=rng.uniform(9_000.0, 18_000.0),
        noise=rng.uniform(-66.0, -52.0) if outdoors else rng.uniform(-75.0, -60.0),
        rumble=rng.uniform(0.5, 1.0) if outdoors else rng.uniform(0.0, 0.8),
    )


def record(samples: Samples, room: Room, rng: np.random.Generator, sample_rate: int) -> Samples:
    """What the microphone of `room` makes of dry `samples [n]`, float32 `[n]`.

    `rng` draws the background noise. Only what would clip is turned down.
    """
    dry = samples.astype(np.float64)
    if room.distance < 0.4 * sample_rate:
        fade = float(np.exp(-2.0 * np.pi * room.distance / sample_rate))
        dry = lfilter([1.0 - fade], [1.0, -fade], dry)
    heard = dry + oaconvolve(dry, _reflections(room, sample_rate))[: len(dry)]
    heard += 10.0 ** (room.noise / 20.0) * _background(room, rng, len(dry))
    peak = float(np.abs(heard).max(initial=0.0))
    return (heard * min(1.0, _FULL_SCALE / max(peak, _FULL_SCALE))).astype(np.float32)


def _reflections(room: Room, sample_rate: int) -> Signal:
    """Impulse response of the room without the direct sound, of energy `room.wet`."""
    samples = max(2, round(room.rt60 * sample_rate))
    time = np.arange(samples) / sample_rate
    response = np.random.default_rng(room.seed).standard_normal(samples) * 10.0 ** (-3.0 * time / room.rt60)
    response[: round(_FIRST_REFLECTION * sample_rate)] = 0.0
    response = lfilter([0.5], [1.0, -0.5], response)  # walls swallow the highest frequencies first
    scaled: Signal = response * (10.0 ** (room.wet / 20.0) / np.sqrt(np.sum(response * response)))
    return scaled


def _background(room: Room, rng: np.random.Generator, samples: int) -> Signal:
    """Noise of unit RMS, `[samples]`."""
    white = rng.standard_normal(samples)
    low = lfilter([0.1], [1.0, -0.99], white)
    noise: Signal = (1.0 - room.rumble) * white + room.rumble * 3.0 * low
    return noise / max(float(np.sqrt(np.mean(noise * noise))), 1e-12)
