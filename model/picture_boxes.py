"""The boxes of an AVIF or HEIC (ISO/IEC 14496-12, 23008-12): how much its decoder would do, and no metadata.

Its decoder takes memory for as many pixels as the coded frames say, whatever the file says of its size, and decodes
every frame of an item, shown or not. So all of them are counted before. Boxes stay where they are, because others
name places in the file: what is left out gets a name that decoders pass over.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from model.jpeg_segments import check_count

MOST_BOXES = 4096
"""Boxes of a file, and items. A picture of 52 million pixels in tiles of 512 has some hundred."""
MOST_UNITS = 4096
"""Units (OBUs) of all coded items together; a frame has two or three."""
MOST_FRAMES = 8
"""How often all pixels may be gone over: a picture, its transparency and its layers."""

_KEPT = (b"ftyp", b"meta", b"mdat")
_COMPOSED = (b"grid", b"iden", b"iovl")
"""Items that are pictures made of others. All that is no picture gets another name: a decoder would read it whole,
and that of HEIC dies of names that are no UTF-8."""
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_SEQUENCE_SET = 33


_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


def brand_of(data: bytes) -> Literal["AVIF", "HEIF"] | None:
    """Whether one of the file's brands is AVIF's, or else one of those of HEIC, which iPhones write."""
    if data[4:8] != b"ftyp":
        return None
    listed = data[8:12] + data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    brands = {listed[at : at + 4] for at in range(0, len(listed), 4)}
    return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIC else None


def box_pixels(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """The file without metadata and animation, and the largest size that is in it, (0, 0) where there is none.

    Of a broken file what can be read: refusing it is the decoder's task. Raises PictureTooLargeError for more
    boxes, units and frames than a picture needs.
    """
    made = bytearray(data)
    # Of an animation, the picture that stands for it; another decoder would want its frames.
    brands = min(256, int.from_bytes(data[:4], "big"))
    made[:brands] = made[:brands].replace(b"avis", b"avif")
    found = _Found()
    for kind, start, end in _boxes(data, 0, len(data), found):
        if kind == b"meta":
            _read(data, start + 4, end, found, made)
        elif kind not in _KEPT:
            _leave_out(made, start, kind)
    # Decoders put the pieces of an item together, however often they are the same bytes.
    pieces = [piece for item in found.extents for piece in _pieces(data, item, found)]
    check_count("bytes in its items", sum(stop - start for start, stop in pieces), len(data))
    hevc = [found.hevc_size(item) for item in sorted(found.hevc)]
    sizes, work = found.sizes + hevc, sum(width * height for width, height in hevc)
    for item in sorted(found.coded):
        coded = _coded(data, item, found)
        sizes += coded
        work += sum(width * height for width, height in coded) * max(1, found.uses[item])
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    check_count("frames", -(-work // max(1, width * height)), MOST_FRAMES)
    return bytes(made), (width, height)


@dataclass
class _Found:
    boxes: int = 0
    units: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    coded: set[int] = field(default_factory=set)
    hevc: set[int] = field(default_factory=set)
    """Items of HEIC, each a frame."""
    hevc_sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The size that the frames have, by the number of the property that says it."""
    properties: dict[int, list[int]] = field(default_factory=dict)
    """The properties of an item, by their numbers."""
    uses: Counter[int] = field(default_factory=Counter)
    """How often an item is a tile of another."""
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Where the bytes of an item are: start and length, for each piece."""
    in_data_box: set[int] = field(default_factory=set)
    data_box: int = 0

    def count(self, parts: int = 1) -> None:
        """Count boxes, or parts of a box. Raises PictureTooLargeError where there are too many."""
        self.boxes += parts
        check_count("boxes", self.boxes, MOST_BOXES)

    def hevc_size(self, item: int) -> tuple[int, int]:
        """The largest size that the item's frame may have; of all, where nothing says which is its own."""
        own = [self.hevc_sizes[number] for number in self.properties.get(item, []) if number in self.hevc_sizes]
        sizes = own or list(self.hevc_sizes.values())
        return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _boxes(data: bytes, at: int, end: int, found: _Found) -> Iterator[tuple[bytes, int, int]]:
    """Each box: its name, where its content begins, and where it ends."""
    while at + 8 <= end:
        found.count()
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = end if size == 0 else min(end, at + size)
        if after < start:
            return
        yield kind, start, after
        at = after


def _leave_out(made: bytearray, start: int, kind: bytes) -> None:
    at = made.rfind(kind, max(0, start - 12), start)
    made[at : at + 4] = b"free"


def _read(data: bytes, start: int, end: int, found: _Found, made: bytearray) -> None:
    for kind, at, after in _boxes(data, start, end, found):
        if kind == b"iprp":
            _read_all_properties(data, at, after, found)
        elif kind == b"idat":
            found.data_box = at
        elif kind == b"iinf":
            _read_items(data, at, after, found, made)
        elif kind == b"iref":
            wide = 4 if data[at : at + 1] > b"\0" else 2
            for name, first, last in _boxes(data, at + 4, after, found):
                if name == b"dimg":
                    found.count((last - first) // wide)
                    found.uses.update(_numbers(data[first + wide + 2 : last], wide))
        elif kind == b"iloc":
            _read_places(_Reader(data[at:after]), found)


def _read_all_properties(data: bytes, start: int, end: int, found: _Found) -> None:
    for kind, at, after in _boxes(data, start, end, found):
        if kind == b"ipco":
            for number, (name, place, stop) in enumerate(_boxes(data, at, after, found), 1):
                if name == b"ispe" and stop - place >= 12:
                    found.sizes.append(struct.unpack_from(">II", data, place + 4))
                elif name == b"hvcC":
                    found.hevc_sizes[number] = _hevc_size(data[place:stop], found)
        elif kind == b"ipma":
            _read_properties(_Reader(data[at:after]), found)


def _read_items(data: bytes, start: int, end: int, found: _Found, made: bytearray) -> None:
    for name, at, after in _boxes(data, start + (8 if data[start : start + 1] > b"\0" else 6), end, found):
        wide = 4 if data[at : at + 1] >= b"\3" else 2
        place = at + 4 + wide + 2
        if name != b"infe" or place + 4 > after:
            continue
        kind = data[place : place + 4]
        if kind in (b"av01", b"hvc1"):
            coded = found.coded if kind == b"av01" else found.hevc
            coded.add(int.from_bytes(data[at + 4 : at + 4 + wide], "big"))
        elif kind not in _COMPOSED and data[at : at + 1] >= b"\2":  # before, an item had no type
            made[place : place + 4] = b"none"


def _numbers(data: bytes, wide: int) -> list[int]:
    return [int.from_bytes(data[at : at + wide], "big") for at in range(0, len(data), wide)]


class _Reader:
    """Numbers one after the other; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._bit = 0

    def bits(self, count: int) -> int:
        first, last = self._bit // 8, (self._bit + count + 7) // 8
        self._bit += count
        whole = int.from_bytes(self._data[first:last].ljust(last - first, b"\0"), "big")
        return whole >> (8 * last - self._bit) & ((1 << count) - 1)

    def number(self) -> int:
        """A number of as many bits as there are zeros before it (ISO/IEC 23008-2, 9.2)."""
        zeros = 0
        while zeros < 32 and not self.over() and not self.bits(1):
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def over(self) -> bool:
        return self._bit >= 8 * len(self._data)


def _read_properties(reader: _Reader, found: _Found) -> None:
    version, flags = reader.bits(8), reader.bits(24)
    for _ in range(reader.bits(32)):
        if reader.over():
            return
        found.count()
        own = found.properties.setdefault(reader.bits(32 if version else 16), [])
        for _ in range(reader.bits(8)):
            found.count()
            reader.bits(1)
            own.append(reader.bits(15 if flags & 1 else 7))


def _hevc_size(data: bytes, found: _Found) -> tuple[int, int]:
    """The largest size of the frames to which these settings of a decoder belong (ISO/IEC 14496-15, 8.3.3)."""
    sizes = [(0, 0)]
    at = 23
    for _ in range(data[22] if len(data) > 22 else 0):
        units = int.from_bytes(data[at + 1 : at + 3], "big")
        at += 3
        while units and at < len(data):
            units -= 1
            found.count()
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            unit = data[at + 2 : min(end, at + 1024)]
            # What kind it is, the unit says itself, whatever is said of it before.
            if len(unit) > 16 and unit[0] >> 1 & 63 == _SEQUENCE_SET:
                # Zeros that would look like the beginning of a unit are broken up by a 3.
                sizes.append(_hevc_frame(_Reader(unit[2:].replace(b"\0\0\3", b"\0\0"))))
            at = end
    return max(sizes, key=lambda size: size[0] * size[1])


def _hevc_frame(reader: _Reader) -> tuple[int, int]:
    """Width and height from a sequence parameter set (ISO/IEC 23008-2, 7.3.2.2)."""
    reader.bits(4)
    layers = reader.bits(3)
    reader.bits(1 + 96)
    present = [(reader.bits(1), reader.bits(1)) for _ in range(8 if layers else 0)]
    for profile, level in present[:layers]:
        reader.bits(88 * profile + 8 * level)
    reader.number()
    if reader.number() == 3:  # as many colours as greys
        reader.bits(1)
    return reader.number(), reader.number()


def _read_places(reader: _Reader, found: _Found) -> None:
    version = reader.bits(8)
    reader.bits(24)
    offset, length, base, index = (8 * reader.bits(4) for _ in range(4))
    for _ in range(reader.bits(32 if version == 2 else 16)):
        if reader.over():
            return
        found.count()
        item = reader.bits(32 if version == 2 else 16)
        if version and reader.bits(16) & 15 == 1:
            found.in_data_box.add(item)
        reader.bits(16)
        begin = reader.bits(base)
        pieces = found.extents.setdefault(item, [])
        for _ in range(reader.bits(16)):
            if reader.over():
                return
            found.count()
            if version:
                reader.bits(index)
            pieces.append((begin + reader.bits(offset), reader.bits(length)))


def _pieces(data: bytes, item: int, found: _Found) -> list[tuple[int, int]]:
    """Where each piece of the item begins and ends in the file."""
    before = found.data_box if item in found.in_data_box else 0
    pieces = []
    for at, length in found.extents.get(item, []):
        start = min(before + at, len(data))
        pieces.append((start, min(start + length, len(data)) if length else len(data)))
    return pieces


def _coded(data: bytes, item: int, found: _Found) -> list[tuple[int, int]]:
    """The size of each frame in the item."""
    content = b"".join(data[start:stop] for start, stop in _pieces(data, item, found))
    sizes = []
    size = (0, 0)
    at = 0
    while at < len(content):
        found.units += 1
        check_count("units", found.units, MOST_UNITS)
        head = content[at]
        at += 1 + (head >> 2 & 1)
        length, shift = len(content) - at, 0
        if head & 2:
            length = 0
            while at < len(content):
                byte = content[at]
                at += 1
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128 or shift > 56:
                    break
        kind = head >> 3 & 15
        if kind == _SEQUENCE:
            size = _largest_frame(_Reader(content[at : at + min(length, 1024)]))
        elif kind in (_FRAME_HEADER, _FRAME):
            sizes.append(size)
        at += length
    return sizes


def _largest_frame(reader: _Reader) -> tuple[int, int]:
    """Width and height from a sequence header (AV1, 5.5.1)."""
    reader.bits(4)
    if reader.bits(1):  # a single picture, with a short header
        reader.bits(5)
        return _frame_size(reader)
    delay = 0
    if reader.bits(1):
        reader.bits(64)
        if reader.bits(1):
            zeros = 0
            while zeros < 32 and not reader.bits(1):
                zeros += 1
            reader.bits(zeros)
        if reader.bits(1):
            delay = 1 + reader.bits(5)
            reader.bits(42)
    display = reader.bits(1)
    for _ in range(1 + reader.bits(5)):
        reader.bits(12)
        if reader.bits(5) > 7:
            reader.bits(1)
        if delay and reader.bits(1):
            reader.bits(2 * delay + 1)
        if display and reader.bits(1):
            reader.bits(4)
    return _frame_size(reader)


def _frame_size(reader: _Reader) -> tuple[int, int]:
    wide, high = 1 + reader.bits(4), 1 + reader.bits(4)
    return 1 + reader.bits(wide), 1 + reader.bits(high)
