"""Ways to break a file. The same number and seed always break it in the same way."""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST = 1_000_000


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """One of the files, broken in one to six ways; of PNG, checksums are made right again three times in four."""
    rng = np.random.default_rng(number)
    data = bytearray(seeds[int(rng.integers(len(seeds)))])
    for _ in range(rng.integers(1, 7)):
        if data:
            way = _WAYS[rng.integers(len(_WAYS))]
            way(data, rng, seeds)
    if data.startswith(b"\x89PNG\r\n\x1a\n") and rng.random() < 0.75:
        _mend_png(data)
    return bytes(data[:_MOST])


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Half the time among the first bytes, where the headers are."""
    return int(rng.integers(min(len(data), 200) if rng.random() < 0.5 else len(data)))


def _flip(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    data[_place(data, rng)] ^= 1 << rng.integers(8)


def _overwrite(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    at, length = _place(data, rng), int(rng.integers(1, 33))
    data[at : at + length] = rng.bytes(min(length, len(data) - at))


def _extreme(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    at, size = _place(data, rng), int(rng.choice((1, 2, 4)))
    value = int(_EXTREMES[rng.integers(len(_EXTREMES))]) & (256**size - 1)
    data[at : at + size] = value.to_bytes(size, "big" if rng.random() < 0.5 else "little")


def _cut(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 257))]


def _repeat(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    at, length = _place(data, rng), int(rng.integers(1, 513))
    data[at:at] = bytes(data[at : at + length]) * int(rng.integers(1, 65))


def _splice(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> None:
    other = seeds[int(rng.integers(len(seeds)))]
    start, at = int(rng.integers(len(other))), _place(data, rng)
    data[at : at + int(rng.integers(0, 513))] = other[start : start + int(rng.integers(1, 2049))]


_WAYS: tuple[Callable[[bytearray, np.random.Generator, Sequence[bytes]], None], ...] = (
    _flip,
    _flip,
    _overwrite,
    _extreme,
    _extreme,
    _cut,
    _remove,
    _repeat,
    _splice,
)


def _mend_png(data: bytearray) -> None:
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
