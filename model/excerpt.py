"""A short excerpt of a sound around one hit, as FLAC that every browser plays."""

import io
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from model.errors import SoundError
from model.playable import mono_or_stereo, played_rate
from model.sound import Samples
from model.stretches import FileFacts, Stretches

EXCERPT_VERSION = 1
"""Changes with the bytes that are written for the same sound."""

BEFORE = 0.01
"""Seconds that an excerpt begins before its hit, where the sound has as much."""
LONGEST = 2.0
MOST_BYTES = 200_000
"""Of an excerpt that would be larger, as loud noise in stereo is, less is taken."""

_FADE_IN = 0.005
_FADE_OUT = 0.05


def flac_excerpt(file: BinaryIO, size: int, facts: FileFacts, hit: float, end: float) -> bytes:
    """The sound from 10 ms before `hit` to `end`, both in seconds, but at most 2 s of it, in 16 bits a sample.

    Mono and stereo stay as they are, of more channels it is the mean; a rate above 48 kHz becomes 48 kHz. It fades
    out at its end, and in before its hit. What is louder than full scale is made softer. The same file and
    libraries give the same bytes. Raises SoundError as `Stretches` does, and OSError.
    """
    start = max(0.0, hit - BEFORE)
    seconds = min(LONGEST, end - start)
    stretches = Stretches(file, size, facts, start + seconds)
    try:
        rate = stretches.rate
        samples = stretches.read(round(start * rate), max(1, round(seconds * rate)))
    finally:
        stretches.close()
    if not len(samples):
        raise SoundError(f"it ends before {start:g} s")
    samples = mono_or_stereo(samples) / np.float32(max(1.0, facts.peak))
    if (played := played_rate(rate)) != rate:
        samples = soxr.resample(samples, rate, played, "HQ")
    while len(written := _flac(_faded(samples, played, fade_in=start > 0), played)) > MOST_BYTES:
        samples = samples[: int(0.95 * len(samples) * MOST_BYTES / len(written))]
    return written


def _faded(samples: Samples, rate: int, *, fade_in: bool) -> Samples:
    faded = samples.copy()
    length = len(faded)
    rising = min(round(_FADE_IN * rate), length // 4) if fade_in else 0
    falling = min(round(_FADE_OUT * rate), length // 2)
    faded[:rising] *= np.linspace(0, 1, rising, endpoint=False, dtype=np.float32)[:, None]
    faded[length - falling :] *= np.linspace(1, 0, falling, dtype=np.float32)[:, None]
    return faded


def _flac(samples: Samples, rate: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1.0, 1.0), rate, "PCM_16", format="FLAC", compression_level=0.5)
    return out.getvalue()
