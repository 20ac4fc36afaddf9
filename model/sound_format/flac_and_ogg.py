"""How many samples a FLAC stream really has, told by the headers of its last frames."""

import itertools
import re
import zlib
from typing import BinaryIO

from model.errors import SoundError

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
# Of what looks like a header, chance makes some sixty.
_MOST_TRIES = 100_000
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)


def _crc8_table() -> bytes:
    table = bytearray(256)
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
        table[value] = crc
    return bytes(table)


_CRC8 = _crc8_table()


def total_samples(tail: bytes) -> int | None:
    """Samples of each channel in a stream that ends with `tail`, None where no frame tells.

    A header counts where it goes on from another, so that neither chance nor what stands behind the stream is taken
    for one. The last frame itself may be cut: its decoder will say so.
    """
    end = None
    sizes: dict[tuple[bool, int], int] = {}
    for found in itertools.islice(_SYNC.finditer(tail), _MOST_TRIES):
        header = _header(tail[found.start() : found.start() + 16])
        if header is None:
            continue
        variable, number, size = header
        before = sizes.get((variable, number))
        if before is not None:
            # Frames carry the number of their first sample, or their own where all but the last have one size.
            end = (number if variable else number * before) + size
        elif number == 0 and end is None:
            end = size
        sizes[variable, number + (size if variable else 1)] = size
    return end


def _header(data: bytes) -> tuple[bool, int, int] | None:
    """Of the frame header that begins `data`: whether it is numbered by samples, its number, the frame's size."""
    if len(data) < 6 or data[3] & 1:
        return None
    code, rate_code = data[2] >> 4, data[2] & 15
    ones = 8 - (data[4] ^ 0xFF).bit_length()  # the number is coded as in UTF-8, to 7 bytes
    if code == 0 or rate_code == 15 or ones in (1, 8):
        return None
    at = 4 + max(1, ones)
    number = data[4] & (0x7F >> ones)
    for byte in data[5:at]:
        number = number << 6 | byte & 0x3F
    if code in (6, 7):
        size = int.from_bytes(data[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        size = _BLOCK_SIZES[code]
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc = 0
    for byte in data[: at + 1]:
        crc = _CRC8[crc ^ byte]
    return (data[1] == 0xF9, number, size) if at < len(data) and crc == 0 else None


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
