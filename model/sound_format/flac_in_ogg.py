"""FLAC inside Ogg, which libsndfile does not decode: as the FLAC stream that its packets make."""

import io
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, BinaryIO

from model.errors import SoundError
from model.sound_format.flac_and_ogg import page_content

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OGG_FLAC = b"\x7fFLAC"
"""The first bytes of the first packet."""

_MOST_PAGES = 1 << 20
_IN_OGG_ONLY = 9


def is_flac_in_ogg(file: BinaryIO, at: int) -> bool:
    """Whether the Ogg stream at `at` begins as FLAC."""
    file.seek(page_content(file, at)[0])
    return file.read(5) == OGG_FLAC


def flac_of_pages(file: BinaryIO, start: int, end: int) -> tuple[BinaryIO, int]:
    """The FLAC stream in the Ogg stream from `start` to `end`, as a file that begins with it, and its size.

    Raises SoundError where a page is missing or cut.
    """
    pages = _Pages(file, start, end)
    return io.BufferedReader(pages, 1 << 16), pages.size


class _Pages(io.RawIOBase):
    """What is inside the pages of an Ogg stream, behind the first bytes that FLAC has only in Ogg."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        # Of each page's content, its place in the file and its place in the whole.
        self._starts, self._places = array("q"), array("q")
        self.size, self._at = 0, 0
        file.seek(start + 14)
        serial, at = file.read(4), start
        while at < end:
            file.seek(at)
            head = file.read(18)
            begin, stop = page_content(file, at)
            if head[:5] != b"OggS\0" or stop > end:
                raise SoundError("cut short or damaged: a page of its Ogg is not whole")
            at = stop
            if head[14:] != serial:
                continue
            begin += 0 if self._starts else _IN_OGG_ONLY
            self._starts.append(begin)
            self._places.append(self.size)
            self.size += max(0, stop - begin)
            if len(self._starts) > _MOST_PAGES:
                raise SoundError(f"an Ogg of more than {_MOST_PAGES:,} pages")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        page = bisect_right(self._places, self._at) - 1
        following = self._places[page + 1] if page + 1 < len(self._places) else self.size
        target = memoryview(buffer)
        self._file.seek(self._starts[page] + self._at - self._places[page])
        block = self._file.read(max(0, min(len(target), following - self._at)))
        target[: len(block)] = block
        self._at += len(block)
        return len(block)
