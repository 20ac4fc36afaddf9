"""The streams of a sound file, each as its decoder should read it: whole, with its true length, without tags.

The length in a header is what the program knew when it wrote it. A decoder that trusts it leaves out sound that is
there, or refuses the file. So lengths are compared with the bytes of the file, and corrected in what the decoder
reads. Here the format is recognised; what is special to it is in the file named after it.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from model.sound_format.aiff_caf_au import aiff_stream, au_stream, caf_stream
from model.sound_format.flac_and_ogg import (
    FLAC_BEGIN,
    OGG_BEGIN,
    chained_streams,
    check_last_page,
    flac_seconds,
    flac_stream,
)
from model.sound_format.flac_in_ogg import flac_of_pages, is_flac_in_ogg
from model.sound_format.mpeg import mpeg_frames
from model.sound_format.wav import wav_stream
from model.sound_format.wave64 import W64_BEGIN, w64_stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 20
_MOST_TAGS = 10_000
# Where the length of the data stands in RF64 and BW64.
_DS64_DATA = 28


class SoundStream(io.RawIOBase):
    """A file object for a decoder: the bytes `head`, then those of `file` from `start` to `end`.

    `container` is the file's format (model/sound_format/formats.py) where the decoder gets it as another one.
    `regular` says that a reader which goes by the first bytes and the header of the file plays it, as browsers do.
    Python cannot raise an OSError through a decoder in C: the decoder finds the end of the stream, and `error`
    keeps the OSError.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int,
        head: bytes = b"",
        *,
        container: str | None = None,
        regular: bool = True,
    ) -> None:
        self._file, self._start, self._head = file, start, head
        self._length = len(head) + max(0, end - start)
        self._at = 0
        self.container, self.regular = container, regular
        self.error: OSError | None = None

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` as far as there are bytes and return their number."""
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
        """Go to `offset` from the start, the current position or the end."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        """The current position."""
        return self._at

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._at >= self._length


def sound_streams(file: BinaryIO, size: int, max_seconds: float) -> Iterator[SoundStream]:
    """The streams in a file of `size` bytes, one after another, each as its decoder should read it.

    Most files have one; chained Ogg and joined FLAC files have several. Of MPEG audio at most `max_seconds` are
    examined. Raises SoundError for a file that is cut short or holds no sound; OSError.
    """
    start = _behind_tags(file, size)
    file.seek(0)
    # MP3 may begin anywhere, but browsers find it behind zeros, tags and little junk alone.
    zeros_first = file.read(1) == b"\0"
    file.seek(start)
    magic = file.read(16)
    chunked = _chunked(file, start, size, magic, max_seconds)
    if chunked is not None:
        chunked.regular = chunked.regular and not zeros_first
        yield chunked
    elif FLAC_BEGIN.match(magic):
        if flac_seconds(file, start) > max_seconds:  # too long: refused by its header, without reading on
            yield SoundStream(file, start, size)
            return
        for begin, end in chained_streams(file, start, size, FLAC_BEGIN):
            place, stop, head = flac_stream(file, begin, end)
            file.seek(begin)
            regular = begin == start and not zeros_first and file.read(len(head)) == head
            yield SoundStream(file, place, stop, head, regular=regular)
    elif magic[:4] == b"OggS":
        for begin, end in chained_streams(file, start, size, OGG_BEGIN):
            check_last_page(file, begin, end)
            regular = begin == start and not zeros_first
            if is_flac_in_ogg(file, begin):
                flac, length = flac_of_pages(file, begin, end)
                yield SoundStream(flac, *flac_stream(flac, 0, length), container="OGG", regular=regular)
            else:
                yield SoundStream(file, begin, end, regular=regular)
    else:
        frames = mpeg_frames(file, start, size, max_seconds)
        regular = magic[:1] in (b"\xff", b"\0")
        yield SoundStream(file, 0, 0, frames, regular=regular) if frames else SoundStream(file, start, size)


def only_stream(file: BinaryIO, size: int) -> SoundStream | None:
    """The one stream of a FLAC or Ogg file of `size` bytes that browsers play, without reading all of it.

    None for a file of another kind: `sound_streams` has what is in it.
    """
    start = _behind_tags(file, size)
    file.seek(start)
    magic = file.read(16)
    if FLAC_BEGIN.match(magic) or (OGG_BEGIN.match(magic) and not is_flac_in_ogg(file, start)):
        return SoundStream(file, start, size)
    return None


def _chunked(file: BinaryIO, start: int, size: int, magic: bytes, max_seconds: float) -> SoundStream | None:
    """The one stream of a file of chunks that begins with `magic`, None where it is no such file."""
    name, form = magic[:4], magic[8:12]
    if name in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form == b"WAVE":
        begin, end, head = wav_stream(file, start, size, max_seconds)
        if name in (b"RIFF", b"RIFX"):
            return SoundStream(file, begin, end, head)
        file.seek(start + _DS64_DATA)
        filled_in = int.from_bytes(file.read(8), "little") == end - begin
        return SoundStream(file, begin, end, head, container=name.decode(), regular=filled_in)
    if magic == W64_BEGIN:
        return SoundStream(file, *w64_stream(file, start, size), container="W64")
    if name == b"FORM" and form in (b"AIFF", b"AIFC"):
        return SoundStream(file, *aiff_stream(file, start, size))
    of_name = {b"caff": caf_stream, b".snd": au_stream, b"dns.": au_stream}.get(name)
    return None if of_name is None else SoundStream(file, *of_name(file, start, size))


def _behind_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 tags and zeros at the beginning end; 0 where nothing comes after them."""
    at = 0
    for _ in range(_MOST_TAGS):
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
