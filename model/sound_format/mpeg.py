"""The frames of MPEG audio (MP3), without tags and junk, and with a first frame that has their number.

Without an Info frame, libsndfile's decoder (libmpg123) guesses the length from the file's size and stops there; it
also gives up at tags and junk. So it gets only frames, and an Info frame before them.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from model.errors import SoundError

_RATES = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
"""Sample rates by the version bits: MPEG 2.5, reserved, 2, 1."""

_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates 1 to 14 in kbit/s, by whether it is MPEG 1 and by layer."""

_MOST_BYTES_A_SECOND = 56_000
# How far after tags and zeros MPEG audio may begin: as far as pictures in tags reach.
_MOST_JUNK = 1 << 24

_HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]")
# So many frames must follow each other before bytes that look like a header count as one.
_CHAIN = 4
# The number in an Info frame may include itself, and the last frame may be cut.
_MISCOUNT = 1
_TAGS = (b"TAG", b"ID3", b"APE", b"LYR", bytes(3))
_MOST_TRIES = 100_000
_WHOLE = 0.95
# Samples of the decoder's own delay, which it cuts off the start where there is an Info frame.
_DECODER_DELAY = 529
# The decoder searches a frame for "Info" only if it has so many bytes after its side information.
_INFO_BYTES = 160


def mpeg_frames(file: BinaryIO, start: int, end: int, max_seconds: float) -> bytes:
    """The frames of the MPEG audio from `start` to `end`, `max_seconds` of them at most; b"" where it is none."""
    file.seek(start)
    found = _first_frame(file.read(min(end - start, _MOST_JUNK)))
    if found is None:
        return b""
    file.seek(start + found)
    data = file.read(min(end - start - found, int((max_seconds + 2) * _MOST_BYTES_A_SECOND)))
    return _frames_alone(data, end - start - found - len(data), max_seconds)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame's header: `rate` in Hz, `size` in bytes, `samples` of each channel."""

    layer: int
    version_1: bool
    rate: int
    mono: bool
    protected: bool
    size: int
    samples: int

    @property
    def kind(self) -> tuple[int, int, bool]:
        """What all frames of one stream share."""
        return self.layer, self.rate, self.mono

    @property
    def side(self) -> int:
        """Bytes of a layer III frame between its header (and checksum) and its data."""
        return (17 if self.mono else 32) if self.version_1 else (9 if self.mono else 17)


def _frame(data: bytes, at: int) -> _Frame | None:
    """The frame whose header is at `at`, None where there is none."""
    return _frame_of(data[at : at + 4])


@lru_cache(2**12)  # a file has a few headers, again and again
def _frame_of(header: bytes) -> _Frame | None:
    if not _HEADER.match(header) or len(header) < 4:
        return None
    version, rate_index = (header[1] >> 3) & 3, (header[2] >> 2) & 3
    if rate_index == 3:
        return None
    version_1 = version == 3
    layer, rate = 4 - ((header[1] >> 1) & 3), _RATES[version][rate_index]
    bits = 1000 * _KBITS[version_1, layer][(header[2] >> 4) - 1]
    padding = (header[2] >> 1) & 1
    samples = 384 if layer == 1 else 1152 if layer == 2 or version_1 else 576
    size = (12 * bits // rate + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    return _Frame(layer, version_1, rate, header[3] >> 6 == 3, not header[1] & 1, size, samples)


def _chain(data: bytes, at: int, least: int) -> bool:
    """Whether frames of one kind follow each other from `at`: four, or at least `least` before a tag or the end."""
    kind = None
    for number in range(_CHAIN):
        frame = _frame(data, at)
        if frame is None or (kind is not None and frame.kind != kind):
            return number >= least and data[at : at + 3] in _TAGS
        kind = frame.kind
        at += frame.size
        if at >= len(data):
            return number >= least or (number + 1 >= least and at == len(data))
    return True


def _next_chain(data: bytes, at: int, least: int, tries: Iterator[int]) -> int | None:
    """Where frames begin in `data` from `at` on, or None. `tries` counts the candidates over a whole file."""
    for found in _HEADER.finditer(data, at):
        if _chain(data, found.start(), least):
            return found.start()
        if next(tries) > _MOST_TRIES:
            raise SoundError("too much of it looks like MPEG audio and is none")
    return None


def _first_frame(data: bytes) -> int | None:
    """Where MPEG audio begins in `data`, or None. After junk, four frames must follow each other."""
    return 0 if _chain(data, 0, least=1) else _next_chain(data, 0, _CHAIN - 1, itertools.count())


def _frames_alone(data: bytes, left_out: int, max_seconds: float) -> bytes:
    """The frames in `data`, which begins with one; in layer III with an Info frame before them.

    Whatever is between and after the frames is left out, and so is a first frame without sound whose number the
    decoder does not understand. What comes after `max_seconds` is not examined, but counted as if it were frames of
    the same size, together with the `left_out` bytes of the file that `data` does not have. Raises SoundError where
    there are fewer frames than the file declares, and where they are not all of one kind.
    """
    first = _frame(data, 0)
    assert first is not None
    runs, count = _runs(data, first, int((max_seconds + 1) * first.rate / first.samples))
    pieces = [data[start:end] for start, end in runs]
    if first.layer != 3:
        return b"".join(pieces)
    at = 4 + first.side
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    has_vbri, is_info = data[36:40] == b"VBRI", data[at : at + 4] in (b"Xing", b"Info")
    has_info = is_info and flags & 1
    declared = int.from_bytes(data[at + 8 : at + 12], "big") if has_info else 0
    if has_vbri:
        declared = int.from_bytes(data[50:54], "big")
    if count * first.samples > max_seconds * first.rate:
        read = runs[-1][1]
        count += count * (len(data) - read + left_out) // read
    elif count < _WHOLE * declared:
        raise SoundError(f"cut short: {count:,} of {declared:,} frames are there")
    if not has_info:
        if has_vbri or is_info:
            pieces[0], count = pieces[0][first.size :], count - 1
        begin = next(filter(None, pieces), b"")
        return b"".join([*_leading_frames(begin, first, count), *pieces]) if begin else b""
    if count - 1 > declared + _MISCOUNT:  # several files joined, or a number that was never filled in
        pieces[0] = pieces[0][: at + 8] + (count - 1).to_bytes(4, "big") + pieces[0][at + 12 :]
    if flags & 2:  # the number of bytes stands next; the decoder warns on stderr where it is another one
        size = sum(map(len, pieces)).to_bytes(4, "big")
        pieces[0] = pieces[0][: at + 12] + size + pieces[0][at + 16 :]
    return b"".join(pieces)


def _runs(data: bytes, first: _Frame, most: int) -> tuple[list[tuple[int, int]], int]:
    """Start and end of each run of frames like `first`, and the number of whole frames, counted to about `most`."""
    runs, count, start, at = [], 0, 0, 0
    tries = itertools.count()
    while True:
        frame = _frame(data, at)
        if frame is not None and frame.kind == first.kind and at + frame.size <= len(data) and count <= most:
            count += 1
            at += frame.size
            continue
        runs.append((start, at))
        following = _next_chain(data, at, 2, tries) if count <= most else None
        if following is None:
            return runs, count
        start = at = following
        other = _frame(data, at)
        assert other is not None
        if other.kind != first.kind:
            seconds = count * first.samples / first.rate
            raise SoundError(
                f"joined from unlike parts: {_described(first)} to {seconds:.1f} s, {_described(other)} from there"
            )


def _described(frame: _Frame) -> str:
    return f"{frame.rate:,} Hz {'mono' if frame.mono else 'stereo'}"


def _leading_frames(data: bytes, first: _Frame, count: int) -> list[bytes]:
    """Frames to put before `count` frames that have no Info frame: an Info frame, and a silent one.

    With an Info frame the decoder cuts its own delay off the start. So that no sample is lost, a silent frame comes
    first, and the Info frame declares the rest of that frame as the encoder's delay.
    """
    side = data[4 + 2 * first.protected : 6 + 2 * first.protected]
    # In a piece cut out of a file, the first frame may need data of the frame before it; then a silent frame there
    # would give it wrong data.
    starts_fresh = side[0] == 0 and (side[1] < 128 or not first.version_1)
    info_header = next(
        header
        for header in (_header(data, bits) for bits in range(1, 15))
        if len(_filled(header)) >= 4 + first.side + _INFO_BYTES
    )
    delay = first.samples - _DECODER_DELAY if starts_fresh else 0
    padding = _DECODER_DELAY if starts_fresh else 0
    info = b"Info" + (1).to_bytes(4, "big") + (count + starts_fresh).to_bytes(4, "big") + b"LAME3.100" + bytes(12)
    info += (delay << 12 | padding).to_bytes(3, "big")
    return [
        _filled(info_header + bytes(first.side) + info),
        *([_filled(_header(data, 1))] if starts_fresh else []),
    ]


def _header(data: bytes, bits: int) -> bytes:
    """The header of the frame at the start of `data`, with bit rate number `bits`, without checksum and padding."""
    return bytes([data[0], data[1] | 1, bits << 4 | data[2] & 0x0C, data[3]])


def _filled(start: bytes) -> bytes:
    """The frame that begins with `start`, filled up with zeros."""
    frame = _frame(start, 0)
    assert frame is not None
    return start.ljust(frame.size, b"\0")
