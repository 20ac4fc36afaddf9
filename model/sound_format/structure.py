"""What of a sound file its decoder is given: whole streams with true lengths, without what stands around them.

A length in a header is what a program knew when it wrote it, and a decoder that believes it leaves out what is
there, or refuses it. Lengths are compared here with the bytes there are and set right in what the decoder reads.
"""

import io
import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

from model.errors import SoundError
from model.sound_format.flac_and_ogg import check_last_page, page_content, total_samples
from model.sound_format.mpeg import MOST_BYTES_A_SECOND, first_frame, frames_alone

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


ByteOrder = Literal["little", "big"]

_BLOCK = 1 << 20
# Tags and chunks that are looked at; more are no sound's.
_MOST_PARTS = 10_000
_MOST_STREAMS = 1000
# How far behind tags and zeros MPEG audio may begin: as far as the pictures of tags reach.
_MOST_JUNK = 1 << 24
_MOST_CHUNK = 1 << 16
# Two frames of the largest kind.
_FLAC_TAIL = 1 << 22
_FLAC_HEAD = 42
_FLAC_TOTAL = (1 << 36) - 1
_FLAC_BEGIN = re.compile(rb"fLaC[\0\x80]\0\0\x22")
_OGG_BEGIN = re.compile(rb"OggS\0[\x02\x03\x06\x07]")
_LONGEST_BEGIN = 8
# Layer III as the format of a WAV.
_WAV_MP3 = 0x55
# As programs name chunks; a byte that makes up for an odd length begins none, for it is zero.
_CHUNK_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{2}[A-Za-z0-9_ ]")
# 2**31 and 2**32 stand for "not known", as does what a program came to from there by adding and subtracting.
_ABOUT = 1 << 16


class Stretch(io.RawIOBase):
    """The bytes `head`, then those from `start` to `end` of `file`: a stream of its own for a decoder.

    A decoder in C cannot be told of an OSError: it finds the end of the stream, and `error` is what it was.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, head: bytes = b"") -> None:
        self._file, self._start, self._head = file, start, head
        self._length = len(head) + max(0, end - start)
        self._at = 0
        self.error: OSError | None = None

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` as far as there are bytes; how many."""
        target = memoryview(buffer)
        want = max(0, min(len(target), self._length - self._at))
        data = self._head[self._at : self._at + want]
        try:
            if len(data) < want:
                self._file.seek(self._start + self._at + len(data) - len(self._head))
                data += self._file.read(want - len(data))
        except OSError as error:
            self.error = error
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset` from the start, from here or from the end."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        """Where reading goes on."""
        return self._at

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return self._at >= self._length


def sound_streams(file: BinaryIO, size: int, max_seconds: float) -> Iterator[Stretch]:
    """The streams of which a file of `size` bytes consists, one after another, each as its decoder should read it.

    Most files are one; chained Ogg and joined FLAC files are several. Of MPEG audio no more is looked at than lasts
    `max_seconds`. Raises SoundError for what was cut short or holds no sound; OSError.
    """
    start = _behind_tags(file, size)
    file.seek(start)
    magic = file.read(12)
    if magic[:4] in (b"RIFF", b"RIFX") and magic[8:] == b"WAVE":
        yield _wav(file, start, size, max_seconds)
    elif _FLAC_BEGIN.match(magic):
        if _flac_seconds(file, start) > max_seconds:  # as its decoder will say, so that it need not be read
            yield Stretch(file, start, size)
            return
        for begin, end in _chained(file, start, size, _FLAC_BEGIN):
            yield _flac(file, begin, end)
    elif magic[:4] == b"OggS":
        for begin, end in _chained(file, start, size, _OGG_BEGIN):
            check_last_page(file, begin, end)
            yield Stretch(file, begin, end)
    else:
        frames = _mpeg_in(file, start, size, max_seconds)
        yield Stretch(file, 0, 0, frames) if frames else Stretch(file, start, size)


def _mpeg_in(file: BinaryIO, start: int, end: int, max_seconds: float) -> bytes:
    """The frames of the MPEG audio from `start` to `end`, as far as a sound may be long; none where it is none."""
    file.seek(start)
    found = first_frame(file.read(min(end - start, _MOST_JUNK)))
    if found is None:
        return b""
    file.seek(start + found)
    data = file.read(min(end - start - found, int((max_seconds + 2) * MOST_BYTES_A_SECOND)))
    return frames_alone(data, end - start - found - len(data), max_seconds)


def _behind_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 tags and zeros at the beginning end; 0 where nothing stands behind them."""
    at = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            length = (head[6] & 127) << 21 | (head[7] & 127) << 14 | (head[8] & 127) << 7 | head[9] & 127
            at += 10 + length + (10 if head[5] & 0x10 else 0)
        elif head[:1] == b"\0":
            file.seek(at)
            block = file.read(_BLOCK)
            at += len(block) - len(block.lstrip(b"\0"))
        else:
            return at if at < size else 0
    return 0


def _wav(file: BinaryIO, start: int, size: int, max_seconds: float) -> Stretch:
    """The data of the WAV at `start` with its true length, and of the other chunks those that a decoder needs.

    MP3 in it is as `_mpeg_in` gives it. Raises SoundError where the data's length says that some is missing, and
    where more data follow. The length of the whole file is not believed: many programs get it wrong, and what else
    stands behind the data does not matter.
    """
    file.seek(start)
    head = file.read(12)
    order: ByteOrder = "little" if head[:4] == b"RIFF" else "big"
    claimed = int.from_bytes(head[4:8], order)
    kept, frame, mp3 = b"", 1, False
    for at, name, length in _chunks(file, start + 12, order):
        if name == b"data":
            behind = _next_data(file, at, size, order)
            if behind and length:
                raise SoundError(f"has two data chunks: more sound stands behind {length:,} bytes of it")
            at_sound, told = behind or (at, length)
            # By the length of the whole file nothing is missing, or this is that length in the wrong place.
            whole = bool({claimed, told} & {size - start, size - start - 8})
            data = min(_data_length(file, at_sound, size, told, frame, order, whole), 0xFFFFFFFF - len(kept) - 20)
            frames = _mpeg_in(file, at_sound, at_sound + data, max_seconds) if mp3 else b""
            start, end = at_sound + (data if frames else 0), at_sound + data
            data = len(frames) or data
            riff = (12 + len(kept) + data).to_bytes(4, order)
            head = head[:4] + riff + head[8:] + kept + b"data" + data.to_bytes(4, order) + frames
            return Stretch(file, start, end, head)
        if name in (b"fmt ", b"fact") and length <= _MOST_CHUNK:
            file.seek(at)
            chunk = file.read(length)
            kept += name + length.to_bytes(4, order) + chunk + bytes(length % 2)
            if name == b"fmt ":
                channels, bits = int.from_bytes(chunk[2:4], order), int.from_bytes(chunk[14:16], order)
                frame = max(1, channels * bits // 8)
                mp3 = int.from_bytes(chunk[:2], order) == _WAV_MP3
    if claimed + 8 > size - start and not _unknown(claimed):
        raise SoundError(f"cut short: {size:,} of {claimed + 8:,} bytes are there, and no sound among them")
    return Stretch(file, start, size)


def _data_length(file: BinaryIO, at: int, size: int, told: int, frame: int, order: ByteOrder, whole: bool) -> int:
    """The bytes of sound from `at` on where the header tells `told`, in frames of `frame` bytes."""
    there = size - at
    if told > there:
        if not (whole or _unknown(told) or told - there < frame):
            raise SoundError(f"cut short: {there:,} of {told:,} bytes of sound are there")
        return there
    return there if _unknown(told) or (told == 0 and not _ends_in_chunks(file, at, size, order)) else told


def _unknown(length: int) -> bool:
    return abs(length - 2**31) <= _ABOUT or length >= 2**32 - _ABOUT


def _ends_in_chunks(file: BinaryIO, at: int, size: int, order: ByteOrder) -> bool:
    """Whether what follows up to the end of the file are whole chunks."""
    for start, name, length in _chunks(file, at, order):
        if not name.decode("latin-1").isprintable() or start + length > size:
            return False
        at = start + length
    return at >= size - 1


def _next_data(file: BinaryIO, at: int, size: int, order: ByteOrder) -> tuple[int, int] | None:
    """Where the content of the next `data` among the whole chunks behind the one at `at` begins, and its length.

    None where there is none that has sound. Raises SoundError where a WAV file follows.
    """
    found = None
    for start, name, length in itertools.islice(_chunks(file, at - 8, order), 1, None):
        if name == b"data":
            found = start, length
            if length:
                return found
        elif name in (b"RIFF", b"RIFX"):
            raise SoundError("joined from several WAV files, of which only the first could be read")
        elif not name.decode("latin-1").isprintable() or start + length > size:
            return found  # an empty one has what follows it as its sound
    return None


def _chunks(file: BinaryIO, at: int, order: ByteOrder) -> Iterator[tuple[int, bytes, int]]:
    """Where the content of each chunk from `at` on begins, the chunk's name, and the length it claims."""
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], order)
        yield at + 8, head[:4], length
        at += 8 + length
        if length % 2:  # a byte makes up for it, which some programs leave out
            file.seek(at)
            following = file.read(5)
            at += not _CHUNK_NAME.match(following) or following[1:] in (b"data", b"fmt ", b"fact", b"LIST")


def _flac_seconds(file: BinaryIO, start: int) -> float:
    """How long the header of the FLAC stream says that it is, 0 where it does not say."""
    file.seek(start + 18)
    told = int.from_bytes(file.read(8), "big")
    return (told & _FLAC_TOTAL) / max(1, told >> 44)


def _flac(file: BinaryIO, start: int, end: int) -> Stretch:
    """The FLAC stream with the number of samples that its last frame tells where its header has none or too few."""
    file.seek(start)
    head = file.read(_FLAC_HEAD)
    told = int.from_bytes(head[18:26], "big")
    tail = max(start, end - _FLAC_TAIL)
    file.seek(tail)
    there = total_samples(file.read(end - tail)) or 0
    if there > told & _FLAC_TOTAL:
        head = head[:18] + (told & ~_FLAC_TOTAL | there).to_bytes(8, "big") + head[26:]
    elif there == 0 and (tail == start or told & _FLAC_TOTAL == 0):
        raise SoundError("cut short: no frame of its sound is there at its end")
    return Stretch(file, start + len(head), end, head)


def _chained(file: BinaryIO, start: int, size: int, begin: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Start and end of each of the streams that begin like `begin` and follow each other from `start` on."""
    stream = latest = at = start
    kept, streams = b"", 1
    while at < size:
        file.seek(at)
        block = kept + file.read(_BLOCK)
        for found in begin.finditer(block):
            here = at - len(kept) + found.start()
            # Where several streams run side by side, each begins with a page of its own before all else.
            if here > latest and not (begin is _OGG_BEGIN and here == page_content(file, latest)[1]):
                yield stream, here
                stream = here
                streams += 1
                if streams > _MOST_STREAMS:
                    raise SoundError(f"joined from more than {_MOST_STREAMS:,} parts")
            latest = here
        if len(block) == len(kept):
            break
        at += len(block) - len(kept)
        kept = block[-_LONGEST_BEGIN + 1 :]
    yield stream, size
