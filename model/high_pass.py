"""The high-pass that every sound goes through."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

HIGH_PASS_HERTZ = 20.0
"""Lower frequencies are removed from every sound: they are not heard, and a hit has none of them.

The median of 2,191 recordings has 0.02 % of its power there and 0.4 % below 60 Hz; those with more have background
rumble.
"""

# Before the file begins, its signal is taken to be the mean of this many seconds: half a period at 20 Hz.
_LEAD_SECONDS = 0.5 / HIGH_PASS_HERTZ


class HighPass:
    """Removes low frequencies from a mono sound: -3 dB at 20 Hz, -12 dB at 5 Hz, nothing left at 0 Hz.

    A causal filter of one pole, so that nothing is heard before the hit. Its state begins at the mean of the first
    25 ms (at most the first block): so an offset is gone from the first sample on, and a file cut at the hit keeps
    its rise.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._slow: float | None = None

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Filter the next block `[n]` of the sound, n > 0, to `[n]`."""
        # The sum below divides by powers of the pole; over more samples at once they would underflow.
        length = min(len(samples), max(1, round(self._rate / HIGH_PASS_HERTZ)))
        pole, powers = _powers(self._rate, length)
        slow = self._slow
        if slow is None:
            slow = float(samples[: max(1, round(_LEAD_SECONDS * self._rate))].mean(dtype=np.float64))
        rows = -(-len(samples) // length)
        blocks = np.zeros((rows, length))
        blocks.ravel()[: len(samples)] = samples
        low = np.cumsum(blocks / powers, axis=1)
        low *= 1 - pole
        before = np.empty((rows, 1))
        for row, last in enumerate(low[:, -1].tolist()):
            before[row] = slow
            slow = (last + slow) * float(powers[-1])
        low += before
        low *= powers
        self._slow = float(low.ravel()[len(samples) - 1])
        blocks -= low
        return blocks.ravel()[: len(samples)].astype(samples.dtype)


@lru_cache(maxsize=16)
def _powers(sample_rate: int, length: int) -> tuple[float, npt.NDArray[np.float64]]:
    """The filter's pole and its first `length` powers."""
    pole = float(np.exp(-2 * np.pi * HIGH_PASS_HERTZ / sample_rate))
    return pole, pole ** np.arange(1, length + 1, dtype=np.float64)
