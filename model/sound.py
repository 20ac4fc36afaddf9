"""Decoding a sound file to mono samples at a wanted rate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from model.errors import SoundError

FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundLimits:
    """What a sound may be. `silence` is the peak, relative to full scale, under which it counts as silent."""

    min_seconds: float = 0.01
    max_seconds: float = 600.0
    max_channels: int = 64
    silence: float = 1e-4


@dataclass(frozen=True)
class Sound:
    """A decoded sound: mono float32 `samples [n]` at `sample_rate`, and what the file itself was."""

    samples: Samples
    sample_rate: int
    seconds: float
    file_sample_rate: int
    file_channels: int
    file_format: str
    peak: float


def decode_sound(path: Path, sample_rate: int, limits: SoundLimits = SoundLimits()) -> Sound:
    """Decode WAV, FLAC, Ogg or MP3 of any rate and channel count to mono float32 at `sample_rate`.

    Channels are averaged; resampling is soxr's HQ. Raises SoundError for a file that is missing, empty,
    truncated to nothing, of another format, too short, too long, silent, or that holds NaN or infinity.
    """
    samples, rate, channels, kind = _read(path, limits)
    if not np.isfinite(samples).all():
        raise SoundError("the sound holds NaN or infinite samples")
    mono = samples.mean(axis=1, dtype=np.float32)
    peak = float(np.abs(samples).max())
    if peak < limits.silence:
        raise SoundError("the sound is silent")
    if float(np.abs(mono).max()) < limits.silence:
        # Channels in opposite phase cancel in the mean; one of them alone is the honest mono.
        mono = np.ascontiguousarray(samples[:, 0])
    seconds = len(mono) / rate
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate).astype(np.float32, copy=False)
    return Sound(mono, sample_rate, seconds, rate, channels, kind, peak)


def _read(path: Path, limits: SoundLimits) -> tuple[Samples, int, int, str]:
    """Samples `[n, channels]`, rate, channels and format of the file."""
    try:
        if path.stat().st_size == 0:
            raise SoundError("the file is empty (0 bytes)")
        with path.open("rb") as handle, soundfile.SoundFile(handle) as file:
            if file.format not in FORMATS:
                raise SoundError(f"{file.format} is not one of WAV, FLAC, Ogg and MP3")
            if file.channels > limits.max_channels:
                raise SoundError(f"{file.channels} channels; at most {limits.max_channels} are accepted")
            most = int(limits.max_seconds * file.samplerate)
            if file.frames > most:
                raise SoundError(
                    f"{file.frames / file.samplerate:,.0f} s long; at most {limits.max_seconds:,.0f} s "
                    "are accepted (cut it into single sounds, or raise the limit)"
                )
            # Headers lie: what is read is bounded by the limit, not by the length they claim.
            samples = file.read(most, dtype="float32", always_2d=True)
            least = max(2, int(limits.min_seconds * file.samplerate))
            if len(samples) < least:
                raise SoundError(
                    f"{len(samples)} samples; a sound needs at least {least} ({limits.min_seconds:g} s)"
                )
            return samples, int(file.samplerate), int(file.channels), str(file.format)
    except OSError as error:
        raise SoundError(f"cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise SoundError(f"not a readable sound: {error.error_string}") from error
