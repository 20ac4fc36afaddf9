"""A sound that browsers do not play, as FLAC that they do."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from model.errors import SoundError
from model.sound import Samples, SoundBlocks, SoundLimits

PLAYED_MEDIA_TYPE = "audio/flac"
PLAYED_SUFFIX = ".flac"
VERSION = 1
"""Changes with the bytes that are written for the same sound."""

_MOST_RATE = 48_000
_LEAST_RATE = 8_000
# What libsndfile calls encodings of more than 16 bits a sample.
_FINE = ("24", "32", "FLOAT", "DOUBLE", "ALAC_20")


def write_playable(
    file: BinaryIO, size: int, target: Path, peak: float, limits: SoundLimits = SoundLimits()
) -> None:
    """Write the sound in `file`, of `size` bytes, to `target` as FLAC.

    Mono and stereo stay as they are, of more channels it is the mean; a rate above 48 kHz becomes 48 kHz, one below
    8 kHz becomes 8 kHz. 16 bits a sample, or 24 where the file has more. `peak` is the largest sample, relative to
    full scale: what is louder than full scale is made softer, and not clipped. The same file and libraries give the
    same bytes. Raises SoundError as `decode_sound` does, and OSError.
    """
    blocks = _Played(target, peak, limits)
    try:
        blocks.read(file, size)
        blocks.finish()
    except soundfile.LibsndfileError as error:
        raise OSError(f"the copy to play cannot be written: {error.error_string}") from error
    finally:
        blocks.close()


def played_rate(rate: int) -> int:
    """The rate, in Hz, that a sound of this `rate` is played at."""
    return min(_MOST_RATE, max(_LEAST_RATE, rate))


def mono_or_stereo(samples: Samples) -> Samples:
    """One or two channels of `samples [n, channels]` as they are, of more the mean `[n, 1]`."""
    if samples.shape[1] <= 2:
        return samples
    mean: Samples = samples.mean(axis=1, keepdims=True, dtype=np.float32)
    return mean


class _Played(SoundBlocks):
    def __init__(self, target: Path, peak: float, limits: SoundLimits) -> None:
        super().__init__(limits)
        self._target, self._gain = target, 1.0 / max(1.0, peak)
        self._out: soundfile.SoundFile | None = None
        self._resampler: soxr.ResampleStream | None = None

    def begin(self) -> None:
        rate = played_rate(self.rate)
        channels = self.channels if self.channels <= 2 else 1
        if rate != self.rate:
            self._resampler = soxr.ResampleStream(self.rate, rate, channels, "float32", "HQ")
        fine = any(part in self.encoding for part in _FINE) and "ADPCM" not in self.encoding
        self._out = soundfile.SoundFile(
            self._target, "w", rate, channels, "PCM_24" if fine else "PCM_16", format="FLAC", compression_level=0.2
        )

    def take(self, block: Samples) -> None:
        mixed = mono_or_stereo(block)
        self._write(mixed if self._resampler is None else self._resampler.resample_chunk(mixed))

    def finish(self) -> None:
        if self._out is None:
            raise SoundError("the file has no sound")
        if self._resampler is not None:
            channels = self._out.channels
            self._write(self._resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True))

    def close(self) -> None:
        if self._out is not None:
            self._out.close()

    def _write(self, samples: Samples) -> None:
        assert self._out is not None  # made by `begin`
        self._out.write(np.clip(samples * np.float32(self._gain), -1.0, 1.0))
