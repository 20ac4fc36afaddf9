"""From a sound file to mono samples at a wanted sample rate.

In the order of reading: the limits, the result, `decode_sound`, then the reading block by block, which `playable`
uses too. The hit in a sound, the clip around it and its loudness are in `hit`; file formats in `sound_format`.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from model.errors import SoundError, SoundFormatError, SoundTooLargeError
from model.high_pass import HighPass
from model.sound_format.formats import FORMATS, is_playable
from model.sound_format.streams import SoundStream, sound_streams

# A block that is decoded at once: samples of all channels together, and seconds (few samples at a low rate can
# become many by resampling).
_BLOCK = 262_144
_BLOCK_SECONDS = 4
# A file of so many bytes is read at once: its format is then recognised, and it is decoded, without the system.
_AT_ONCE = 2**20
# The decoder may leave out one or two of the frames that the file declares, except in FLAC.
_WHOLE = 0.95

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundLimits:
    """What is accepted as a sound.

    `silence` is the peak, relative to full scale, below which it counts as silent, `loudest` one that no recording
    has: files of floats may be scaled as 32-bit integers, and their squares must be numbers, too. `min_rate` and
    `max_rate` bound the sample rate in Hz: resampling from extreme rates takes hours.
    """

    min_seconds: float = 0.01
    max_seconds: float = 600.0
    max_channels: int = 64
    min_rate: int = 1000
    max_rate: int = 1_000_000
    silence: float = 1e-4
    loudest: float = 2.0**32

    @property
    def max_samples(self) -> int:
        """Most samples of all channels together: the longest sound in stereo at 192 kHz."""
        return int(self.max_seconds * 2 * 192_000)


@dataclass(frozen=True)
class Sound:
    """A decoded sound: mono float32 `samples [n]` at `sample_rate` Hz, and facts of the file.

    `seconds` is the length of the file, `peak` the largest sample of any channel, relative to full scale;
    `file_format` and `file_encoding` are libsndfile's names, such as WAV and PCM_16. `regular` is whether the file
    begins with its sound, in one stream, of the length that its header has.
    """

    samples: Samples
    sample_rate: int
    seconds: float
    file_sample_rate: int
    file_channels: int
    file_format: str
    file_encoding: str
    regular: bool
    peak: float

    @property
    def playable(self) -> bool:
        """Whether browsers play the file as it is."""
        return self.regular and is_playable(
            self.file_format, self.file_encoding, self.file_channels, self.file_sample_rate
        )


def decode_sound(source: Path | bytes, sample_rate: int, limits: SoundLimits = SoundLimits()) -> Sound:
    """Decode a file of any of the `FORMATS`, of any rate and channel count to mono float32 at `sample_rate`.

    `source` is the file's path or its bytes. Channels are averaged, frequencies below 20 Hz (an offset, rumble) are
    removed, and resampling is soxr's HQ. A file is read to its real end, whatever its header says. Raises
    SoundError for a file that is missing, empty, cut short, of another format, joined from different formats, too
    short, too long, of too many samples or too low or high a rate, silent (also if constant), that holds NaN or
    infinity, or samples beyond every scale; MemoryError.
    """
    sound, mono_peak = _read(source, sample_rate, limits, _mean)
    if mono_peak < limits.silence and sound.file_channels > 1:
        # Channels in opposite phase cancel in the mean; then the first channel is taken.
        sound, mono_peak = _read(source, sample_rate, limits, _first)
    if mono_peak < limits.silence:
        raise SoundError("the sound is silent")
    return sound


def _mean(block: Samples) -> Samples:
    # By columns: NumPy's mean over few numbers in a row takes 25 times as long.
    total = _first(block)
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total


def _first(block: Samples) -> Samples:
    return block[:, 0].copy()


def _read(
    source: Path | bytes, sample_rate: int, limits: SoundLimits, mono: Callable[[Samples], Samples]
) -> tuple[Sound, float]:
    """The sound, its channels mixed by `mono`, and the peak of the mix before resampling."""
    reading = _Reading(sample_rate, limits, mono)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size == 0:
            raise SoundError("the file is empty (0 bytes)")
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as handle:
            reading.read(io.BytesIO(handle.read(size)) if size <= _AT_ONCE else handle, size)
    except OSError as error:
        raise SoundError(f"cannot be read: {error.strerror or error}") from error
    return reading.sound(), reading.mono_peak


def _decode(stream: SoundStream, reading: "SoundBlocks") -> None:
    try:
        with ForwardFile(stream) as file:
            reading.add(file, stream)
    except (SoundError, MemoryError):
        if not stream.error:
            raise
    except Exception as error:  # soundfile and soxr raise errors without a common base class for a broken file
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        if reason.startswith("File does not exist"):  # libsndfile says this also of a file object without sound
            reason = "its decoder finds no sound in it"
        if "flac decoder lost sync" in reason and stream.at_end:
            raise SoundError("cut short or damaged: it ends before its last frame is whole") from error
        if not stream.error:
            kind = SoundFormatError if reason.startswith("Format not recognised") else SoundError
            raise kind(f"not a readable sound: {reason}") from error
    if stream.error:
        raise stream.error


class ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read forward only.

    soundfile would seek to its own position after each block; after a gap in an Ogg file that is a wrong one.
    """

    def seekable(self) -> bool:
        """Never, so that reading a block is all that it does."""
        return False

    @property
    def finds_places(self) -> bool:
        """Whether its decoder can go to a sample without decoding what lies before."""
        return bool(super().seekable())


def declared_frames(file: soundfile.SoundFile) -> int:
    """The samples of each channel that the file declares, 0 where it does not."""
    return int(file.frames) if file.frames < 2**60 else 0


def _seconds(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.3g}"


class SoundBlocks(ABC):
    """A sound file, read block by block; a subclass takes the blocks.

    From `begin` on, `rate` (Hz), `channels`, `format` and `encoding` are those of the file; `regular` is as in
    `Sound`.
    """

    def __init__(self, limits: SoundLimits) -> None:
        self._limits = limits
        self.frames = self.rate = self.channels = 0
        """`frames`: the samples of each channel that were read."""
        self.format = self.encoding = ""
        self.regular = True

    def read(self, file: BinaryIO, size: int) -> None:
        """Read the sound in a file of `size` bytes. Raises SoundError as `decode_sound` does, and OSError."""
        for stream in sound_streams(file, size, self._limits.max_seconds):
            _decode(stream, self)

    @abstractmethod
    def begin(self) -> None:
        """Called before the first block."""

    @abstractmethod
    def take(self, block: Samples) -> None:
        """Take the next block, float32 `[n, channels]`, of which no sample is NaN or infinite."""

    def add(self, file: soundfile.SoundFile, stream: SoundStream) -> None:
        """Read `file`, which decodes `stream`, to its end: the whole sound, or the next of its streams."""
        self.regular = self.regular and stream.regular
        self._check(file)
        if not self.rate:
            self.rate, self.channels = int(file.samplerate), int(file.channels)
            self.format, self.encoding = stream.container or str(file.format), str(file.subtype)
            self.begin()
        declared, read = declared_frames(file), 0
        limits = self._limits
        allowed = int(min(limits.max_seconds * self.rate, limits.max_samples / self.channels))
        most = declared or allowed - self.frames
        while read < most:
            wanted = min(_BLOCK // self.channels, _BLOCK_SECONDS * self.rate, most - read)
            block = file.read(wanted, dtype="float32", always_2d=True)
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise SoundError("the sound holds NaN or infinite samples")
            if (peak := float(np.abs(block).max())) > limits.loudest:
                raise SoundError(f"the sound holds samples of {peak:.0e} times full scale")
            self.take(block)
            self.frames += len(block)
            read += len(block)
        if read < (1 if file.format == "FLAC" else _WHOLE) * declared:
            raise SoundError(f"cut short: {read:,} of {declared:,} samples can be read")

    def _check(self, file: soundfile.SoundFile) -> None:
        limits = self._limits
        if file.format not in FORMATS:
            raise SoundFormatError(f"{file.format} is not one of {', '.join(FORMATS)}")
        if file.channels > limits.max_channels:
            raise SoundError(f"{file.channels} channels; at most {limits.max_channels} are accepted")
        if file.samplerate < limits.min_rate:
            raise SoundError(f"{file.samplerate} Hz; at least {limits.min_rate:,} Hz are needed for a sound")
        if file.samplerate > limits.max_rate:
            raise SoundError(f"{file.samplerate:,} Hz; at most {limits.max_rate:,} Hz are accepted")
        if self.rate and (file.samplerate, file.channels) != (self.rate, self.channels):
            raise SoundError(
                f"joined from unlike parts: {self.rate:,} Hz with {self.channels} channels, "
                f"then {file.samplerate:,} Hz with {file.channels}"
            )
        frames = self.frames + declared_frames(file)
        if frames > limits.max_seconds * file.samplerate:
            raise SoundTooLargeError(
                f"{_seconds(frames / file.samplerate)} s long; at most {_seconds(limits.max_seconds)} s "
                "are accepted (cut it into single sounds, or raise the limit)"
            )
        if frames * file.channels > limits.max_samples:
            raise SoundTooLargeError(
                f"{frames * file.channels:,} samples in all channels; at most {limits.max_samples:,} are accepted"
            )


class _Reading(SoundBlocks):
    """A sound in mono. Blocks are resampled at once: only the result is kept, whatever the rate."""

    def __init__(self, sample_rate: int, limits: SoundLimits, mono: Callable[[Samples], Samples]) -> None:
        super().__init__(limits)
        self._sample_rate, self._mono = sample_rate, mono
        self._samples = bytearray()
        self._high_pass: HighPass | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._held: Samples | None = None  # the last block: the resampler is told that it is, with it
        self._peak = 0.0
        self.mono_peak = 0.0

    def begin(self) -> None:
        self._high_pass = HighPass(self.rate)
        if self.rate != self._sample_rate:
            self._resampler = soxr.ResampleStream(self.rate, self._sample_rate, 1, "float32", "HQ")

    def take(self, block: Samples) -> None:
        assert self._high_pass is not None  # made by `begin`
        mono = self._high_pass(self._mono(block))
        self._peak = max(self._peak, float(np.abs(block).max()))
        self.mono_peak = max(self.mono_peak, float(np.abs(mono).max()))
        if self._resampler is None:
            self._keep(mono)
            return
        if self._held is not None:
            self._keep(self._resampler.resample_chunk(self._held))
        self._held = mono

    def sound(self) -> Sound:
        """The sound that was read. Raises SoundError where it is too short."""
        least = max(2, int(self._limits.min_seconds * self.rate))
        if self.frames < least:
            raise SoundError(
                f"{self.frames} samples; a sound needs at least {least} ({self._limits.min_seconds:g} s)"
            )
        if self._resampler is not None and self._held is not None:
            self._keep(self._resampler.resample_chunk(self._held, last=True))
        return Sound(
            samples=np.frombuffer(self._samples, np.float32),
            sample_rate=self._sample_rate,
            seconds=self.frames / self.rate,
            file_sample_rate=self.rate,
            file_channels=self.channels,
            file_format=self.format,
            file_encoding=self.encoding,
            regular=self.regular,
            peak=self._peak,
        )

    def _keep(self, samples: Samples) -> None:
        self._samples += samples.astype(np.float32, copy=False).tobytes()
