"""Chunks, of which most sound files consist, and how far to trust the lengths that they declare."""

from collections.abc import Iterator
from typing import BinaryIO, Literal

from model.errors import SoundError

ByteOrder = Literal["little", "big"]

MOST_COPIED = 1 << 16
"""Bytes of a chunk, or of a header, that are copied."""

_MOST_CHUNKS = 10_000
# 2**31, 2**32 and 2**63 stand for "not known", and so do lengths that programs computed from them.
_NEAR = 1 << 16


def is_unknown(length: int, bytes_of_length: int = 4) -> bool:
    """Whether a declared length says that it was not known when it was written."""
    top = 1 << 8 * bytes_of_length
    return length >= top - _NEAR or abs(length - top // 2) <= _NEAR


def chunks(
    file: BinaryIO, at: int, size: int, order: ByteOrder, bytes_of_length: int = 4
) -> Iterator[tuple[int, bytes, int]]:
    """For each chunk from `at` on: the start of its content, its name, and the length that it declares.

    With 4 bytes of length, a chunk of odd length is followed by a padding byte, as in AIFF; with 8 it is not, as in
    CAF.
    """
    for _ in range(_MOST_CHUNKS):
        if at >= size:
            return
        file.seek(at)
        head = file.read(4 + bytes_of_length)
        if len(head) < 4 + bytes_of_length:
            return
        length = int.from_bytes(head[4:], order)
        yield at + len(head), head[:4], length
        at += len(head) + length + (length % 2 if bytes_of_length == 4 else 0)


def data_end(at: int, size: int, declared: int, frame: int = 1) -> int:
    """Where the sound from `at` ends in a file of `size` bytes whose header declares `declared` bytes of sound.

    A length of 0, or that was not known, means the rest of the file. Raises SoundError where a frame of
    `frame` bytes or more is missing.
    """
    available = size - at
    if available < 0:
        raise SoundError("cut short: it ends before its sound begins")
    if declared == 0 or is_unknown(declared) or is_unknown(declared, 8):
        return size
    if declared - available >= frame:
        raise SoundError(f"cut short: {available:,} of {declared:,} bytes of sound are there")
    return at + min(declared, available)
