"""Decoding a sound file to mono samples at a wanted rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from model.errors import SoundError

FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")

_BLOCK = 65_536
# An MP3 file's header may count a frame or two that its decoder leaves out.
_WHOLE = 0.95

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
    cut short, of another format, too short, too long, silent, or that holds NaN or infinity.
    """
    mono, first, rate, channels, kind, peak = _read(path, limits)
    if peak < limits.silence:
        raise SoundError("the sound is silent")
    if float(np.abs(mono).max()) < limits.silence:
        # Channels in opposite phase cancel in the mean; one of them alone is the honest mono.
        mono = first
    seconds = len(mono) / rate
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate).astype(np.float32, copy=False)
    return Sound(mono, sample_rate, seconds, rate, channels, kind, peak)


def _read(path: Path, limits: SoundLimits) -> tuple[Samples, Samples, int, int, str, float]:
    """Mean and first of the channels `[n]`, rate, channels, format and peak of the file."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise SoundError("the file is empty (0 bytes)")
        with path.open("rb") as handle:
            _check_whole(handle, size)
            with soundfile.SoundFile(handle) as file:
                _check_header(file, limits)
                mean, first, peak = _read_blocks(file, int(limits.max_seconds * file.samplerate))
                least = max(2, int(limits.min_seconds * file.samplerate))
                if len(mean) < least:
                    raise SoundError(
                        f"{len(mean)} samples; a sound needs at least {least} ({limits.min_seconds:g} s)"
                    )
                if len(mean) < _WHOLE * file.frames:
                    raise SoundError(f"cut short: {len(mean):,} of {file.frames:,} samples can be read")
                return mean, first, int(file.samplerate), int(file.channels), str(file.format), peak
    except OSError as error:
        raise SoundError(f"cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise SoundError(f"not a readable sound: {error.error_string}") from error


def _check_whole(handle: BinaryIO, size: int) -> None:
    """Raise SoundError for a WAV or Ogg file that was cut short: libsndfile would take what is there."""
    head = handle.read(12)
    claimed = 0
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        claimed = int.from_bytes(head[4:8], "little") + 8
        # 0 and the largest number are written by programs that could not know the length.
        claimed = 0 if claimed in (8, 0xFFFFFFFF + 8) else claimed - 1  # a last padding byte is often left out
    elif head[:4] == b"OggS":
        # The end of the last page, from its table of segments; a page has at most 65,307 bytes.
        start = max(0, size - 65_307)
        handle.seek(start)
        tail = handle.read()
        page = tail.rfind(b"OggS")
        segments = tail[page + 27 : page + 27 + tail[page + 26]] if 0 <= page < len(tail) - 27 else b""
        claimed = start + page + 27 + len(segments) + sum(segments)
    handle.seek(0)
    if size < claimed:
        raise SoundError(f"cut short: {size:,} of at least {claimed:,} bytes are there")


def _check_header(file: soundfile.SoundFile, limits: SoundLimits) -> None:
    if file.format not in FORMATS:
        raise SoundError(f"{file.format} is not one of WAV, FLAC, Ogg and MP3")
    if file.channels > limits.max_channels:
        raise SoundError(f"{file.channels} channels; at most {limits.max_channels} are accepted")
    if file.frames > limits.max_seconds * file.samplerate:
        raise SoundError(
            f"{file.frames / file.samplerate:,.0f} s long; at most {limits.max_seconds:,.0f} s "
            "are accepted (cut it into single sounds, or raise the limit)"
        )


def _read_blocks(file: soundfile.SoundFile, most: int) -> tuple[Samples, Samples, float]:
    """Mean and first of the channels and the peak, reading at most `most` samples, whatever the header says.

    Block by block, so that a file of many channels never lies in memory whole.
    """
    means, firsts, peak, read = [], [], 0.0, 0
    while read < most:
        block = file.read(min(_BLOCK, most - read), dtype="float32", always_2d=True)
        if not len(block):
            break
        if not np.isfinite(block).all():
            raise SoundError("the sound holds NaN or infinite samples")
        means.append(block.mean(axis=1, dtype=np.float32))
        firsts.append(block[:, 0].copy())
        peak = max(peak, float(np.abs(block).max()))
        read += len(block)
    nothing = np.zeros(0, np.float32)
    return np.concatenate([nothing, *means]), np.concatenate([nothing, *firsts]), peak
