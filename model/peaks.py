"""The peaks of a sound, from its beginning to its end, for a picture of its waveform."""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from model.sound import Samples
from model.stretches import FileFacts, Stretches

PEAKS_VERSION = 1
"""Changes with the numbers that are given for the same sound."""

LOOKED_AT = 60.0
"""Seconds of a sound that are decoded; of a longer one, as much of each part."""

_BLOCK = 262_144

Peaks = npt.NDArray[np.float32]


def peaks_of(file: BinaryIO, size: int, facts: FileFacts, count: int, hits: Sequence[float] = ()) -> Peaks:
    """The largest sample of any channel in each of `count` equal parts, `[count]`: 1 is full scale, and the most.

    Of a sound longer than 60 s only a stretch of each part is looked at, so that all are 60 s together: from the
    first of `hits` (seconds, rising) in the part on, or else from its beginning. Raises SoundError as `Stretches`
    does, and OSError.
    """
    stretches = Stretches(file, size, facts, facts.seconds)
    try:
        edges = np.arange(count + 1) * stretches.frames // count
        most = max(1, round(LOOKED_AT * stretches.rate / count))
        struck = np.asarray(hits) * stretches.rate
        peaks = np.zeros(count, np.float32)
        for part, (start, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
            inside = struck[(struck >= start) & (struck < stop)]
            begin = min(int(inside[0]), stop - most) if len(inside) and stop - start > most else start
            if stop > begin:
                peaks[part] = _largest(stretches, begin, min(most, stop - begin))
            elif part:
                peaks[part] = peaks[part - 1]  # more parts than samples
    finally:
        stretches.close()
    return np.minimum(peaks, 1.0)


def _largest(stretches: Stretches, start: int, count: int) -> float:
    largest = 0.0
    for at in range(start, start + count, _BLOCK):
        block: Samples = stretches.read(at, min(_BLOCK, start + count - at))
        largest = max(largest, float(np.abs(block).max(initial=0.0)))
    return largest
