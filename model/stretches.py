"""Stretches of a sound file, from the beginning to the end of it, without decoding what lies between.

What is asked for was indexed before, so that its length is known. Where that is what the file's only stream
declares, a time is a place, and its decoder goes there. Any other file (joined from several, an Ogg file with a
gap) is decoded from its beginning.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeVar

import numpy as np
import soundfile

from model.errors import SoundError, SoundTooLargeError
from model.sound import ForwardFile, Samples, declared_frames
from model.sound_format.streams import SoundStream, only_stream, sound_streams

T = TypeVar("T")

LONGEST_DECODED = 600.0
"""Seconds from the beginning of a file in which places cannot be found: later ones are not reached."""

_BLOCK = 262_144
# Of MPEG audio so many seconds more are examined than are asked for: its last frames may be needed by those before.
_SPARE_SECONDS = 2


@dataclass(frozen=True)
class FileFacts:
    """What is known of a sound file since it was indexed.

    Its length, its largest sample relative to full scale, libsndfile's name of its format, and whether browsers
    play it as it is, which only a file of one stream that begins with it can be.
    """

    seconds: float
    peak: float
    format: str
    playable: bool


class Stretches:
    """Reads a sound file of `size` bytes forward, `until` this second at most; close it when done.

    `rate` (Hz) and `channels` are those of the file. Raises SoundError where it cannot be decoded, and OSError;
    so does `read`. Raises SoundTooLargeError where more than `LONGEST_DECODED` would have to be decoded.
    """

    def __init__(self, file: BinaryIO, size: int, facts: FileFacts, until: float) -> None:
        self._facts = facts
        self._streams = _streams(file, size, facts, until)
        self._stream: SoundStream | None = None
        self._sound: ForwardFile | None = None
        self._at, self._seeks = 0, False
        self.frames = self.rate = self.channels = 0
        """`frames`: the samples of each channel of the whole file."""
        if not self._open_next():
            raise SoundError("the file has no sound")
        assert self._sound is not None
        self.rate, self.channels = int(self._sound.samplerate), int(self._sound.channels)
        self.frames = round(facts.seconds * self.rate)
        # Of an MP3 only the beginning may have been given to the decoder, which declares another length then.
        known = facts.format == "MP3" or declared_frames(self._sound) == self.frames
        self._seeks = known and self._sound.finds_places
        if not self._seeks and until > LONGEST_DECODED:
            self.close()
            raise SoundTooLargeError(
                f"all of it would have to be decoded until {until:,.0f} s; at most {LONGEST_DECODED:,.0f} s are"
            )

    def read(self, start: int, count: int) -> Samples:
        """Up to `count` samples `[n, channels]` from the sample `start` on, fewer only at the end.

        `start` may not lie before what was read.
        """
        if start < self._at:
            raise ValueError(f"sample {start} lies before {self._at}, where reading is")
        if start > self._at and self._seeks and self._sound is not None:
            self._decoded(partial(self._sound.seek, min(start, self.frames)))
            self._at = start
        while self._at < start and len(self._next(min(_BLOCK, start - self._at))):
            pass
        blocks = [np.zeros((0, self.channels), np.float32)]
        left = count
        while left > 0 and len(block := self._next(left)):
            blocks.append(block)
            left -= len(block)
        return np.concatenate(blocks)

    def close(self) -> None:
        """Close it; closing it again does nothing."""
        if self._sound is not None:
            self._sound.close()
            self._sound = None

    def _next(self, count: int) -> Samples:
        """Up to `count` of the next samples, of the next stream where this one has ended; none at the end."""
        while self._sound is not None:
            read = partial(self._sound.read, count, dtype="float32", always_2d=True)
            block: Samples = self._decoded(read)
            if len(block):
                self._at += len(block)
                return block
            self._sound.close()
            if not self._open_next():
                break
        return np.zeros((0, self.channels), np.float32)

    def _open_next(self) -> bool:
        self._sound = None
        self._stream = next(self._streams, None)
        if self._stream is not None:
            self._sound = self._decoded(partial(ForwardFile, self._stream))
        return self._sound is not None

    def _decoded(self, work: Callable[[], T]) -> T:
        """What `work` gives. The decoder's errors become SoundError, those of the file OSError."""
        try:
            found = work()
        except soundfile.LibsndfileError as error:
            if self._stream is not None and self._stream.error:
                raise self._stream.error from error
            raise SoundError(f"not a readable sound: {error.error_string}") from error
        if self._stream is not None and self._stream.error:
            raise self._stream.error
        return found


def _streams(file: BinaryIO, size: int, facts: FileFacts, until: float) -> Iterator[SoundStream]:
    if facts.playable and (only := only_stream(file, size)) is not None:
        return iter((only,))
    return sound_streams(file, size, until + _SPARE_SECONDS if facts.format == "MP3" else facts.seconds + 1)
