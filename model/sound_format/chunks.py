"""Chunks, of which most sound files consist, and how far to trust the lengths that they declare."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from model.errors import SoundError

ByteOrder = Literal["little", "big"]

MOST_COPIED = 1 << 16
"""Bytes of a chunk, or of a header, that are copied."""

IN_DS64 = 0xFFFFFFFF
"""The length that stands for "see `ds64`" in RF64 and BW64, whose chunk of this name has lengths of 64 bits."""

_MOST_CHUNKS = 10_000
# Programs name chunks like this; the padding byte after a chunk of odd length is zero, so it begins no name.
_CHUNK_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{2}[A-Za-z0-9_ ]")
# 2**31, 2**32 and 2**63 stand for "not known", and so do lengths that programs computed from them.
_NEAR = 1 << 16


def is_unknown(length: int, bytes_of_length: int = 4) -> bool:
    """Whether a declared length says that it was not known when it was written."""
    top = 1 << 8 * bytes_of_length
    return length >= top - _NEAR or abs(length - top // 2) <= _NEAR


@dataclass(frozen=True)
class Layout:
    """How chunks stand in a file: `name` bytes of name, of which the first 4 tell, `length` bytes of length in this
    order of bytes, which may count them (`counts_head`). The next chunk begins at a multiple of `step` behind the
    first one. `unpadded`: some programs leave out the byte that fills up to it.
    """

    order: ByteOrder
    name: int = 4
    length: int = 4
    counts_head: bool = False
    step: int = 2
    unpadded: bool = False


RIFF = Layout("little", unpadded=True)
"""WAV, RF64 and BW64."""
RIFX = Layout("big", unpadded=True)
AIFF = Layout("big")
CAF = Layout("big", length=8, step=1)
# A name is a GUID that begins with the name it has in WAV.
W64 = Layout("little", name=16, length=8, counts_head=True, step=8)


def chunks(file: BinaryIO, at: int, layout: Layout, *, past: int | None = None) -> Iterator[tuple[int, bytes, int]]:
    """For each chunk from `at` to `past`: the start of its content, its name, and the length that it declares.

    Where an RF64 declares that the length of its data stands in the chunk `ds64` before it, the next chunk is
    looked for behind that many bytes.
    """
    head_bytes = layout.name + layout.length
    long_data = None
    for _ in range(_MOST_CHUNKS):
        if past is not None and at >= past:
            return
        file.seek(at)
        head = file.read(head_bytes)
        if len(head) < head_bytes:
            return
        length = int.from_bytes(head[layout.name :], layout.order)
        if layout.counts_head:
            length = max(0, length - head_bytes)
        yield at + head_bytes, head[:4], length
        if head[:4] == b"ds64" and layout.unpadded:
            file.seek(at + head_bytes + 8)
            long_data = int.from_bytes(file.read(8), layout.order)
        if head[:4] == b"data" and length == IN_DS64 and long_data is not None:
            length = long_data
        at += head_bytes + length
        filling = -(head_bytes + length) % layout.step
        if filling and layout.unpadded:
            file.seek(at)
            following = file.read(5)
            filling = not _CHUNK_NAME.match(following) or following[1:] in (b"data", b"fmt ", b"fact", b"LIST")
        at += filling


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
