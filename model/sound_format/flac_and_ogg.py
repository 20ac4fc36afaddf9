"""FLAC and Ogg streams: their true lengths, and where one stream of a file ends and the next begins."""

import itertools
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from model.errors import SoundError

FLAC_BEGIN = re.compile(rb"fLaC[\0\x80]\0\0\x22")
"""The first bytes of a FLAC stream: its mark and the header of its STREAMINFO block."""
OGG_BEGIN = re.compile(rb"OggS\0[\x02\x03\x06\x07]")
"""The first bytes of an Ogg page that begins a stream."""
_LONGEST_BEGIN = 8
_BLOCK = 1 << 20
_MOST_STREAMS = 1000

# FLAC: bytes of the mark and STREAMINFO, and the bits of the total number of samples in bytes 18 to 25.
_FLAC_HEAD = 42
_FLAC_TOTAL = (1 << 36) - 1
_FLAC_BITS = (8, 16, 24)
# The last frame is searched in as many bytes as two frames of the largest kind have.
_FLAC_TAIL = 1 << 22
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
# In that many bytes chance makes about sixty that look like a frame header.
_MOST_TRIES = 100_000
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)


def flac_seconds(file: BinaryIO, start: int) -> float:
    """The length in seconds that the header of the FLAC stream at `start` declares, 0 where it declares none."""
    file.seek(start + 18)
    fields = int.from_bytes(file.read(8), "big")
    return (fields & _FLAC_TOTAL) / max(1, fields >> 44)


def flac_stream(file: BinaryIO, start: int, end: int) -> tuple[int, int, bytes]:
    """Start and end of a FLAC stream after its header, and the header with the true number of samples.

    Where the header has no number or too small a one, it is counted from the last frame. Raises SoundError where no
    frame is found, and for samples of 12, 20 or 32 bits.
    """
    file.seek(start)
    head = file.read(_FLAC_HEAD)
    fields = int.from_bytes(head[18:26], "big")
    bits = (fields >> 36 & 31) + 1
    if bits not in _FLAC_BITS:
        raise SoundError(
            f"FLAC with {bits} bits a sample, of which the decoder knows 8, 16 and 24; convert it to one of these"
        )
    tail = max(start, end - _FLAC_TAIL)
    file.seek(tail)
    counted = _total_samples(file.read(end - tail)) or 0
    if counted > fields & _FLAC_TOTAL:
        head = head[:18] + (fields & ~_FLAC_TOTAL | counted).to_bytes(8, "big") + head[26:]
    elif counted == 0 and (tail == start or fields & _FLAC_TOTAL == 0):
        raise SoundError("cut short: no frame of its sound is there at its end")
    return start + len(head), end, head


def _crc8_table() -> bytes:
    table = bytearray(256)
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
        table[value] = crc
    return bytes(table)


_CRC8 = _crc8_table()


def _total_samples(tail: bytes) -> int | None:
    """Samples of each channel in a stream that ends with `tail`, None where no frame is found.

    A frame header counts if it continues another one, so that neither chance nor bytes after the stream are taken
    for one. The last frame itself may be cut; its decoder will find that.
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
    """The frame header at the start of `data`: whether it is numbered by samples, its number, the frame's samples.

    None where it is no valid header.
    """
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


# Ogg: the bytes of the largest page, and how many streams may run side by side.
_LARGEST_PAGE = 65_307
_MOST_PARALLEL = 1000
# A page's checksum takes the bits of each byte in the opposite order of zlib's.
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page_content(file: BinaryIO, at: int) -> tuple[int, int]:
    """Start and end of the content of the page at `at`, by its table of segments."""
    file.seek(at)
    head = file.read(27 + 255)
    segments = head[27 : 27 + head[26]] if len(head) > 27 else b""
    return at + 27 + len(segments), at + 27 + len(segments) + sum(segments)


def check_last_page(file: BinaryIO, start: int, end: int) -> None:
    """Raise SoundError where the last page between `start` and `end` is not whole; libsndfile would accept it.

    Only pages of the streams that begin at `start` count, not junk that looks like a page.
    """
    serials = _serials(file, start)
    tail = max(start, end - _LARGEST_PAGE)
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
    """The serial numbers of the parallel streams that begin at `at`, each with a page of its own."""
    serials = set()
    for _ in range(_MOST_PARALLEL):
        file.seek(at)
        head = file.read(18)
        if len(head) < 18 or head[:5] != b"OggS\0" or not head[5] & 2:
            break
        serials.add(head[14:])
        at = page_content(file, at)[1]
    return serials


def _is_whole(page: bytes) -> bool:
    checked = page[:22] + bytes(4) + page[26:]
    checksum = zlib.crc32(checked.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return checksum.to_bytes(4, "big").translate(_BITS_REVERSED) == page[22:26]


def chained_streams(file: BinaryIO, start: int, size: int, begin: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Start and end of each of the streams that follow each other from `start` on and begin like `begin`."""
    stream = latest = at = start
    kept, streams = b"", 1
    while at < size:
        file.seek(at)
        block = kept + file.read(_BLOCK)
        for found in begin.finditer(block):
            here = at - len(kept) + found.start()
            # Where several streams run side by side, their first pages follow each other directly.
            if here > latest and not (begin is OGG_BEGIN and here == page_content(file, latest)[1]):
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
