"""How loud a sound is from moment to moment, in which its hits are found."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from model.sound import Samples

FRAME_SECONDS = 0.005

STEADY = 2.2
"""A level below this multiple of the background is no rise.

In frames of 5 ms the level of a steady 50 Hz hum varies by a factor of 2.1, that of 2 kHz noise by 1.9.
"""

_QUIET = 0.1


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of a sound: the root mean square (`rms [frames]`) of frames of 5 ms, `step` samples each.

    A rest shorter than a frame has no level. `quiet` is the level of the background: the 10 % quantile of all, 0.0
    where there is none.
    """

    rms: npt.NDArray[np.floating]
    step: int
    quiet: float

    @classmethod
    def of(cls, samples: Samples, sample_rate: int) -> Self:
        """The levels of mono `samples [n]`."""
        step = max(1, round(FRAME_SECONDS * sample_rate))
        frames = len(samples) // step
        rms = np.sqrt(np.mean(np.square(samples[: frames * step].reshape(frames, step)), axis=1))
        return cls(rms, step, float(np.quantile(rms, _QUIET)) if frames else 0.0)
