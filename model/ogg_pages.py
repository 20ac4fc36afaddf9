"""Where the pages of an Ogg file end, and whether its last is whole."""

import zlib
from typing import BinaryIO

from model.errors import SoundError

_LARGEST = 65_307
_MOST_SIDE_BY_SIDE = 1000
# To a page's checksum the bits of each byte stand the other way round than to zlib's.
_BITS_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page_content(file: BinaryIO, at: int) -> tuple[int, int]:
    """Where the content of the page at `at` begins and ends, by its table of segments."""
    file.seek(at)
    head = file.read(27 + 255)
    segments = head[27 : 27 + head[26]] if len(head) > 27 else b""
    return at + 27 + len(segments), at + 27 + len(segments) + sum(segments)


def check_last_page(file: BinaryIO, start: int, end: int) -> None:
    """Raise SoundError where the last page from `start` to `end` is not whole: libsndfile would take what is there.

    A page is one of the streams that begin at `start`; junk that looks like one is none.
    """
    serials = _serials(file, start)
    tail = max(start, end - _LARGEST)
    file.seek(tail)
    data = file.read(end - tail)
    last = len(data)
    while (last := data.rfind(b"OggS\0", 0, last)) >= 0:
        if data[last + 14 : last + 18] not in serials:
            continue
        claimed = page_content(file, tail + last)[1]
        if claimed > end:
            raise SoundError(f"cut short: {end - start:,} of at least {claimed - start:,} bytes are there")
        if not _is_whole(data[last : claimed - tail]):
            raise SoundError("cut short or damaged: its last page is not whole")
        return


def _serials(file: BinaryIO, at: int) -> set[bytes]:
    """The serial numbers of the streams side by side at `at`, each of which begins with a page of its own."""
    serials = set()
    for _ in range(_MOST_SIDE_BY_SIDE):
        file.seek(at)
        head = file.read(18)
        if len(head) < 18 or head[:5] != b"OggS\0" or not head[5] & 2:
            break
        serials.add(head[14:])
        at = page_content(file, at)[1]
    return serials


def _is_whole(page: bytes) -> bool:
    checked = page[:22] + bytes(4) + page[26:]
    checksum = zlib.crc32(checked.translate(_BITS_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return checksum.to_bytes(4, "big").translate(_BITS_TURNED) == page[22:26]
