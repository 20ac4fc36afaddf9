"""All hits of a recording: when each is, and until when it is to be played.

A recording can hold one hit, a session of many, or footsteps. The numbers below were chosen on sequences with known
hits and on sounds without any (docs/library.md has the table).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.hit import main_hit
from model.levels import FRAME_SECONDS, STEADY, Levels
from model.sound import Samples

MOST_HITS = 32
"""Of a recording with more, the loudest are taken."""

LEAST_DISTANCE = 0.3
"""Seconds between two hits: half of the 0.6 s that a clip has after its hit are then its own.

Of 38,905 gaps between labelled events of Greatest Hits, 2 % are shorter.
"""

_LEAD_SECONDS = 0.05

# A hit is at least twice as loud (RMS of 5 ms) as anything in the 150 ms that end 10 ms before it: a ringing or
# beating tone, noise and hum are not.
_RISE = 2.0
_BEFORE_FRAMES = 30
_ATTACK_FRAMES = 2
# In these 15 ms it rises by 60 % of the loudest of the 100 ms that begin with it: a swell or a syllable does not.
_SUDDEN = 0.6
_AFTER_FRAMES = 20
# It rises by a fifth (-14 dB) of the largest rise: the repeated echoes of a hit do not, nor does what is far away.
_PROMINENT = 0.2

# A hit has decayed where the 100 ms that follow are below 1 % (-40 dB) of its peak, or as quiet as the background.
_DECAYED = 0.01
_LEAST_SPAN = 0.3

_Numbers = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Hits:
    """The hits of a sound: `times` in seconds, which rise, and the `main` one of them.

    `ends`: for each the second until which it is to be played. That is where it has decayed, but not after the next
    hit begins or the sound ends, and not before 0.3 s.
    """

    main: float
    times: tuple[float, ...]
    ends: tuple[float, ...]


def find_hits(samples: Samples, sample_rate: int) -> Hits:
    """The hits in mono `samples [n]`: at least one, at most 32.

    The main hit, as `find_hit` gives it, is always among them. Two hits are at least 0.3 s apart; of two that are
    closer, the main one or else the louder counts.
    """
    levels = Levels.of(samples, sample_rate)
    peaks = _running_max(levels.rms, _AFTER_FRAMES)
    main = main_hit(levels) / sample_rate
    times = _times(levels, peaks, main, sample_rate)
    return Hits(main, times, _ends(levels, peaks, times, len(samples), sample_rate))


def _times(levels: Levels, peaks: _Numbers, main: float, sample_rate: int) -> tuple[float, ...]:
    rms, quiet = levels.rms, levels.quiet
    if len(rms) * FRAME_SECONDS < LEAST_DISTANCE:
        return (main,)
    led = np.concatenate([np.full(_BEFORE_FRAMES + _ATTACK_FRAMES, quiet, rms.dtype), rms])
    before = _running_max(led, _BEFORE_FRAMES)[: len(rms)]
    rises = rms - before
    is_hit = (
        (rms >= _RISE * before)
        & (rms > STEADY * quiet)
        & (rises >= _SUDDEN * peaks)
        & (rises >= _PROMINENT * rises.max())
    )
    first = np.flatnonzero(is_hit & ~np.concatenate([[False], is_hit[:-1]]))
    hits = [main]
    for frame in first[np.argsort(-peaks[first], kind="stable")].tolist():
        hit = frame * levels.step / sample_rate
        if len(hits) < MOST_HITS and all(abs(hit - other) >= LEAST_DISTANCE for other in hits):
            hits.append(hit)
    return tuple(sorted(hits))


def _ends(
    levels: Levels, peaks: _Numbers, hits: tuple[float, ...], samples: int, sample_rate: int
) -> tuple[float, ...]:
    seconds = samples / sample_rate
    background = STEADY * levels.quiet
    ends = []
    for hit, following in zip(hits, [*(one - _LEAD_SECONDS for one in hits[1:]), seconds], strict=True):
        start = round(hit * sample_rate / levels.step)
        rest = peaks[start:]
        # Where the whole file is loud, the background is no measure of its decay.
        floor = max(_DECAYED * rest[0], min(background, rest[0] / 4)) if len(rest) else 0.0
        decayed = np.flatnonzero(rest <= floor)
        end = (start + int(decayed[0])) * levels.step / sample_rate if len(decayed) else seconds
        ends.append(round(max(min(end, following), min(hit + _LEAST_SPAN, following)), 3))
    return tuple(ends)


def play_span(hit: float, end: float) -> tuple[float, float]:
    """Start and end in seconds of what to play of a hit that is to be played until `end`: from 50 ms before it."""
    return max(0.0, hit - _LEAD_SECONDS), end


def _running_max(levels: _Numbers, length: int) -> _Numbers:
    """At each place the largest of `length` levels from it on, fewer at the end."""
    largest, covered = levels.copy(), 1
    while covered < length:
        further = min(covered, length - covered)
        shifted: _Numbers = largest[further:].copy()
        np.maximum(largest[: len(shifted)], shifted, out=largest[: len(shifted)])
        covered += further
    return largest
