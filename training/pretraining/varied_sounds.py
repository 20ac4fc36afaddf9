"""Recordings as another microphone might have heard them in another room: what a classifier must not lean on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import ClipSpec
from model.errors import SoundError
from model.hit import cut_clip, find_hit
from model.sound import Samples, decode_sound

Clips = npt.NDArray[np.float32]
Signal = npt.NDArray[np.floating]

_JITTER = 0.06
"""The hit moves by up to so many seconds."""
_OCTAVES = 0.12
"""Standard deviation of the change of speed and pitch."""
_TILT_DB, _POINTS = 5.0, 9
"""Standard deviation of the equaliser at each of its points, equally far apart in octaves from 20 Hz on."""
_HIGH_PASS_HERTZ = (0.0, 60.0, 120.0, 200.0)
_LOW_PASSED, _LOW_PASS_HERTZ = 0.4, (4_000.0, 18_000.0)
_IN_ROOM, _RT60 = 0.6, (0.08, 0.6)
_DIRECT_DB = (3.0, 18.0)
"""How far the room is below the direct sound."""
_FIRST_REFLECTION = (0.001, 0.02)
_NOISE_DB = (25.0, 75.0)
"""How far the noise's peak is below the sound's."""
_CLIPPED, _CLIP_AT = 0.15, (0.4, 0.9)


def read_varied_clips(paths: tuple[Path, ...], spec: ClipSpec, variants: int, seed: int) -> Iterator[Clips | None]:
    """`variants` clips float32 `[samples]` of each file in turn, each different; None for a file without sound."""
    for number, path in enumerate(paths):
        rng = np.random.default_rng((seed, number))
        try:
            samples = decode_sound(path, spec.sample_rate).samples
        except SoundError:
            yield from [None] * variants
            continue
        yield from (vary(samples, spec, rng) for _ in range(variants))


def vary(samples: Samples, spec: ClipSpec, rng: np.random.Generator) -> Clips:
    """The clip of `spec` around the hit in mono `samples [n]`, with its acoustics changed at random; its peak is 1.

    In this order: the hit's time, speed, equaliser with high and low pass, room (a decaying noise as impulse
    response), noise floor, and clipping.
    """
    rate = spec.sample_rate
    hit = find_hit(samples, rate) + rng.uniform(-_JITTER, _JITTER)
    speed = 2.0 ** rng.normal(0.0, _OCTAVES)
    clip = cut_clip(samples, rate, hit, speed * spec.before, speed * spec.after)
    places = np.linspace(0.0, len(clip) - 1.0, spec.samples)
    signal: Signal = np.interp(places, np.arange(len(clip)), clip)
    length = 2 ** (2 * len(signal) - 1).bit_length()
    spectrum = np.fft.rfft(signal, length)
    spectrum *= 10.0 ** (_equaliser(np.fft.rfftfreq(length, 1.0 / rate), rng) / 20.0)
    if rng.random() < _IN_ROOM:
        spectrum *= np.fft.rfft(_room(rate, rng), length)
    signal = _scaled(np.fft.irfft(spectrum, length)[: len(signal)])
    signal += 10.0 ** (-rng.uniform(*_NOISE_DB) / 20.0) * _noise(len(signal), rate, rng)
    if rng.random() < _CLIPPED:
        most = rng.uniform(*_CLIP_AT)
        signal = signal.clip(-most, most)
    return _scaled(signal).astype(np.float32)


def _equaliser(hertz: Signal, rng: np.random.Generator) -> Signal:
    """Decibels at each of the frequencies `hertz [n]`."""
    octaves = np.log2(np.maximum(hertz, 20.0) / 20.0)
    curve: Signal = np.interp(octaves, np.linspace(0.0, 10.2, _POINTS), rng.normal(0.0, _TILT_DB, _POINTS))
    lowest = rng.choice(_HIGH_PASS_HERTZ)
    if lowest:
        curve -= 24.0 * np.log2(np.maximum(lowest / np.maximum(hertz, 1.0), 1.0))
    if rng.random() < _LOW_PASSED:
        curve -= 36.0 * np.log2(np.maximum(hertz / rng.uniform(*_LOW_PASS_HERTZ), 1.0))
    return curve


def _room(rate: int, rng: np.random.Generator) -> Signal:
    """An impulse response: the direct sound, a gap, and noise that decays by 60 dB in a random time."""
    decay = rng.uniform(*_RT60)
    seconds = np.arange(round(min(decay, 0.5) * rate)) / rate
    response: Signal = rng.normal(size=len(seconds)) * 10.0 ** (-3.0 * seconds / decay)
    response[: round(rng.uniform(*_FIRST_REFLECTION) * rate)] = 0.0
    response *= 10.0 ** (-rng.uniform(*_DIRECT_DB) / 20.0) / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    return response


def _noise(samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Noise `[samples]`, between white and nearly pink, with the peak 1."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hertz = np.maximum(np.fft.rfftfreq(samples, 1.0 / rate), 40.0)
    return _scaled(np.fft.irfft(spectrum * hertz ** -rng.uniform(0.0, 0.8), samples))


def _scaled(signal: Signal) -> Signal:
    """`signal` with the peak 1; silence stays as it is."""
    return signal / max(float(np.abs(signal).max()), 1e-9)
