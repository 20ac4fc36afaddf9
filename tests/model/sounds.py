"""Sounds as files, for the tests of the file formats."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 22_050
Make = Callable[[], bytes]


def noise(seconds: float, level: float = 0.3, rate: int = RATE, channels: int = 1) -> npt.NDArray[np.float32]:
    samples = level * np.random.default_rng(0).standard_normal((round(seconds * rate), channels)).clip(-3, 3)
    return samples.astype(np.float32)


def encoded(kind: str, samples: npt.NDArray[np.float32], rate: int = RATE, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def id3(content: bytes) -> bytes:
    """An ID3v2 tag around `content`."""
    size = bytes(len(content) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + content


ID3V2_3 = id3(bytes(range(1, 100)))


def flac_in_ogg(flac: bytes, page: int = 4000) -> bytes:
    """A FLAC stream in Ogg, as its mapping wants it: pages with up to `page` bytes of its frames."""
    blocks, at = [], 4
    while True:
        length = 4 + int.from_bytes(flac[at + 1 : at + 4], "big")
        blocks.append(bytes([flac[at] & 0x7F]) + flac[at + 1 : at + length])
        at += length
        if flac[at - length] & 0x80:
            break
    head = b"\x7fFLAC\x01\0" + (1).to_bytes(2, "big") + b"fLaC" + blocks[0]
    comment = b"\x84\0\0\x08" + bytes(8)  # the last block of the head, and empty
    parts = [head, comment, *(flac[start : start + page] for start in range(at, len(flac), page))]
    return b"".join(
        _page(part, number, 2 if number == 0 else 4 if number == len(parts) - 1 else 0)
        for number, part in enumerate(parts)
    )


def _page(content: bytes, number: int, flags: int) -> bytes:
    """An Ogg page of one packet, or of a piece of one."""
    segments = bytes([255] * (len(content) // 255) + [len(content) % 255])
    head = b"OggS\0" + bytes([flags]) + bytes(8) + b"\x01\x02\x03\x04" + number.to_bytes(4, "little")
    page = head + bytes(4) + bytes([len(segments)]) + segments + content
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return page[:22] + crc.to_bytes(4, "little") + page[26:]
