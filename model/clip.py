"""Finding the hit in a sound and cutting the window around it that the sound tower takes."""

import numpy as np

from model.sound import Samples

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
