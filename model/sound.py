"""Decoding a sound file to mono samples at a wanted rate."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from model.errors import SoundError
from model.sound_format.structure import Stretch, sound_streams

FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")

HIGH_PASS_HERTZ = 20.0
"""What is slower than this is taken out of every sound: below what is heard, and below what a hit has.

Of 2,191 recordings the median has 0.02 % of its power there and 0.4 % below 60 Hz; those with more have the rumble
of a room.
"""

# What is decoded at once: samples of all channels, and seconds, which resampling can make many of few.
_BLOCK = 262_144
_BLOCK_SECONDS = 4
# The level before the file begins is taken to be the mean of this much: half a period of what is taken out.
_LEAD_SECONDS = 0.5 / HIGH_PASS_HERTZ
# A decoder may leave out a frame or two that the file counts, but none of FLAC's.
_WHOLE = 0.95

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundLimits:
    """What a sound may be. `silence` is the peak, relative to full scale, under which it counts as silent.

    `min_rate` and `max_rate` are of the sample rate, in Hz: resampling from a rate without bound takes hours.
    """

    min_seconds: float = 0.01
    max_seconds: float = 600.0
    max_channels: int = 64
    min_rate: int = 1000
    max_rate: int = 1_000_000
    silence: float = 1e-4

    @property
    def max_samples(self) -> int:
        """Samples of all channels together: the longest sound may be stereo at 192 kHz."""
        return int(self.max_seconds * 2 * 192_000)


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

    Channels are averaged, what is slower than 20 Hz (an offset, rumble) is taken out, and resampling is soxr's HQ.
    A file is read to the end of what is there, whatever its header says. Raises SoundError for a file that is
    missing, empty, cut short, of another format, of unlike parts, too short, too long, of too many samples or too
    low a rate, silent (a constant is), or that holds NaN or infinity; MemoryError.
    """
    sound, mono_peak = _read(path, sample_rate, limits, _mean)
    if mono_peak < limits.silence and sound.file_channels > 1:
        # Channels in opposite phase cancel in the mean; one of them alone is the honest mono.
        sound, mono_peak = _read(path, sample_rate, limits, _first)
    if mono_peak < limits.silence:
        raise SoundError("the sound is silent")
    return sound


class HighPass:
    """Takes what is slower than 20 Hz out of a mono sound: -3 dB there, -12 dB at 5 Hz, nothing left at 0 Hz.

    One pole, forward in time, so that nothing is heard before its cause. It begins as if the sound's first 25 ms
    (of the first piece, where that is shorter) had gone on before it: an offset is gone from the first sample on,
    and a file that is cut at the hit keeps its rise.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._slow: float | None = None

    def __call__(self, samples: Samples) -> Samples:
        """The next piece `[n]` of the sound, n > 0, as `[n]` too."""
        pole = float(np.exp(-2 * np.pi * HIGH_PASS_HERTZ / self._rate))
        # The sum below has powers of the pole; over more samples at once they would leave a float's range.
        length = min(len(samples), max(1, round(self._rate / HIGH_PASS_HERTZ)))
        powers = pole ** np.arange(1, length + 1)
        passed = np.empty_like(samples)
        slow = self._slow
        if slow is None:
            slow = float(samples[: max(1, round(_LEAD_SECONDS * self._rate))].mean(dtype=np.float64))
        for start in range(0, len(samples), length):
            part = samples[start : start + length].astype(np.float64)
            fading = powers[: len(part)]
            low = fading * (slow + (1 - pole) * np.cumsum(part / fading))
            passed[start : start + length] = part - low
            slow = float(low[-1])
        self._slow = slow
        return passed


def _mean(block: Samples) -> Samples:
    mean: Samples = block.mean(axis=1, dtype=np.float32)
    return mean


def _first(block: Samples) -> Samples:
    return block[:, 0].copy()


def _read(
    path: Path, sample_rate: int, limits: SoundLimits, mono: Callable[[Samples], Samples]
) -> tuple[Sound, float]:
    """The sound, its channels brought together by `mono`, and the peak of that before it was resampled."""
    reading = _Reading(sample_rate, limits, mono)
    try:
        size = path.stat().st_size
        if size == 0:
            raise SoundError("the file is empty (0 bytes)")
        with path.open("rb") as handle:
            for stream in sound_streams(handle, size, limits.max_seconds):
                _decode(stream, reading)
    except OSError as error:
        raise SoundError(f"cannot be read: {error.strerror or error}") from error
    return reading.sound(), reading.mono_peak


def _decode(stream: Stretch, reading: "_Reading") -> None:
    try:
        with _Forward(stream) as file:
            reading.add(file)
    except (SoundError, MemoryError):
        if not stream.error:
            raise
    except Exception as error:  # what soundfile and soxr raise for a broken file has no base class of its own
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        if reason.startswith("File does not exist"):  # libsndfile has one reason for this and for what is no stream
            reason = "its decoder finds no sound in it"
        if "flac decoder lost sync" in reason and stream.at_end:
            raise SoundError("cut short or damaged: it ends before its last frame is whole") from error
        if not stream.error:
            raise SoundError(f"not a readable sound: {reason}") from error
    if stream.error:
        raise stream.error


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from its start to its end.

    soundfile would seek to where it is after each block, and across a hole in an Ogg file that is another place.
    """

    def seekable(self) -> bool:
        return False


def _told(file: soundfile.SoundFile) -> int:
    """The samples of each channel that the file says it has, 0 where it does not know."""
    return int(file.frames) if file.frames < 2**60 else 0


class _Reading:
    """What was read of a sound so far, resampled as it comes: whatever its rate, only the result lies in memory."""

    def __init__(self, sample_rate: int, limits: SoundLimits, mono: Callable[[Samples], Samples]) -> None:
        self._sample_rate, self._limits, self._mono = sample_rate, limits, mono
        self._samples = bytearray()
        self._high_pass: HighPass | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._read = self._rate = self._channels = 0
        self._format = ""
        self._peak = 0.0
        self.mono_peak = 0.0

    def add(self, file: soundfile.SoundFile) -> None:
        """Read `file` to its end: the sound, or the next of the streams that it is made of."""
        self._check(file)
        if not self._rate:
            self._rate, self._channels, self._format = int(file.samplerate), int(file.channels), str(file.format)
            self._high_pass = HighPass(self._rate)
            if self._rate != self._sample_rate:
                self._resampler = soxr.ResampleStream(self._rate, self._sample_rate, 1, "float32", "HQ")
        told, read = _told(file), 0
        limits = self._limits
        most = told or int(min(limits.max_seconds * self._rate, limits.max_samples / self._channels)) - self._read
        while read < most:
            wanted = min(_BLOCK // self._channels, _BLOCK_SECONDS * self._rate, most - read)
            block = file.read(wanted, dtype="float32", always_2d=True)
            if not len(block):
                break
            self._take(block)
            read += len(block)
        if read < (1 if file.format == "FLAC" else _WHOLE) * told:
            raise SoundError(f"cut short: {read:,} of {told:,} samples can be read")

    def sound(self) -> Sound:
        """What was read, which must be long enough."""
        least = max(2, int(self._limits.min_seconds * self._rate))
        if self._read < least:
            raise SoundError(
                f"{self._read} samples; a sound needs at least {least} ({self._limits.min_seconds:g} s)"
            )
        if self._resampler is not None:
            self._keep(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        return Sound(
            samples=np.frombuffer(self._samples, np.float32),
            sample_rate=self._sample_rate,
            seconds=self._read / self._rate,
            file_sample_rate=self._rate,
            file_channels=self._channels,
            file_format=self._format,
            peak=self._peak,
        )

    def _check(self, file: soundfile.SoundFile) -> None:
        limits = self._limits
        if file.format not in FORMATS:
            raise SoundError(f"{file.format} is not one of WAV, FLAC, Ogg and MP3")
        if file.channels > limits.max_channels:
            raise SoundError(f"{file.channels} channels; at most {limits.max_channels} are accepted")
        if file.samplerate < limits.min_rate:
            raise SoundError(f"{file.samplerate} Hz; at least {limits.min_rate:,} Hz are needed for a sound")
        if file.samplerate > limits.max_rate:
            raise SoundError(f"{file.samplerate:,} Hz; at most {limits.max_rate:,} Hz are accepted")
        if self._rate and (file.samplerate, file.channels) != (self._rate, self._channels):
            raise SoundError(
                f"joined from unlike parts: {self._rate:,} Hz with {self._channels} channels, "
                f"then {file.samplerate:,} Hz with {file.channels}"
            )
        frames = self._read + _told(file)
        if frames > limits.max_seconds * file.samplerate:
            raise SoundError(
                f"{frames / file.samplerate:,.0f} s long; at most {limits.max_seconds:,.0f} s "
                "are accepted (cut it into single sounds, or raise the limit)"
            )
        if frames * file.channels > limits.max_samples:
            raise SoundError(
                f"{frames * file.channels:,} samples in all channels; at most {limits.max_samples:,} are accepted"
            )

    def _take(self, block: Samples) -> None:
        if not np.isfinite(block).all():
            raise SoundError("the sound holds NaN or infinite samples")
        assert self._high_pass is not None  # `add` has made it
        mono = self._high_pass(self._mono(block))
        self._peak = max(self._peak, float(np.abs(block).max()))
        self.mono_peak = max(self.mono_peak, float(np.abs(mono).max()))
        self._read += len(block)
        self._keep(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def _keep(self, samples: Samples) -> None:
        self._samples += samples.astype(np.float32, copy=False).tobytes()
