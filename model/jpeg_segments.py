"""What a JPEG is made of: its segments, and the scans that go over its pixels again and again."""

import re
from collections.abc import Iterator
from itertools import chain

from model.errors import PictureTooLargeError

MOST_SCANS = 100
"""Scans of a JPEG. Encoders write 10 to 20; one scan for each bit of each coefficient makes a few hundred."""
MOST_SEGMENTS = 4096
"""Segments of a JPEG. A colour profile and a depth map of the largest size have some hundred."""

END, SCAN = 0xD9, 0xDA
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Any marker but a restart marker: those stand among compressed pixels, where any other 0xFF is followed by 0."""
_COEFFICIENTS = 64
_BITS_LEFT = 0x0F
"""The bits of a scan's last byte that say how many bits of its coefficients are still to come."""


def check_count(name: str, count: int, most: int) -> None:
    """Raise PictureTooLargeError where there are more than `most`."""
    if count > most:
        raise PictureTooLargeError(f"the picture has more than {most:,} {name}")


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment: its marker's second byte, its start and its end. Compressed pixels are not a segment."""
    at, count = 2, 0
    while found := _MARKER.search(data, at):
        count += 1
        check_count("segments", count, MOST_SEGMENTS)
        kind, at = found[0][1], found.end()
        if kind >= 0xC0 and kind not in (0xD8, END):
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
        yield kind, found.start(), at


def scans(data: bytes, rest: Iterator[tuple[int, int, int]], first: int, components: bytes) -> tuple[int, bool]:
    """How many scans the picture has, and whether it is whole but for its end.

    The first begins at `first`; the `rest` are the segments after it. Behind the end another picture may follow.
    A picture without an end is whole where the scan in which it breaks off is the last that its `components` need:
    libjpeg and browsers show all of it, at the worst without the finest details.
    """
    missing = {component: set(range(_COEFFICIENTS)) for component in components}
    count = 0
    for kind, start, _ in chain([(SCAN, first, first)], rest):
        if kind == END:
            return count, False
        if kind == SCAN:
            count += 1
            check_count("scans", count, MOST_SCANS)
            ids, coefficients = _completed(data, start + 4)
            for component in ids:
                missing.get(component, set()).difference_update(coefficients)
    return count, not any(missing.values())


def _completed(data: bytes, content: int) -> tuple[bytes, range]:
    """The components of a scan, and those of their coefficients that have their last bit in it."""
    count = int.from_bytes(data[content : content + 1], "big")
    after = content + 1 + 2 * count
    selection = data[after : after + 3]
    if len(selection) < 3 or selection[2] & _BITS_LEFT:
        return b"", range(0)
    return data[content + 1 : after : 2], range(selection[0], selection[1] + 1)
