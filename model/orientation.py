"""Which way is up in a picture: what its EXIF says, else its XMP."""

import re
import struct

_NAME = b"Exif\0\0"
_TAG = 0x0112
_SHORT, _LONG = 3, 4
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes | None, xmp: bytes | None) -> int | None:
    """The orientation that EXIF gives (1 to 8, other values mean nothing), else XMP's, else None.

    Broken metadata does not make a picture unusable: it counts as no orientation.
    """
    found = _in_exif(exif or b"")
    if found is None and (match := _XMP.search(xmp or b"")):
        found = int(match[1])
    return found


def _in_exif(exif: bytes) -> int | None:
    exif = exif.removeprefix(_NAME).removeprefix(_NAME)  # some write it twice
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return None
    (at,) = struct.unpack(order + "L", exif[4:8])
    if at + 2 > len(exif):
        return None
    (count,) = struct.unpack(order + "H", exif[at : at + 2])
    entries = exif[at + 2 : at + 2 + 12 * count]
    for tag, kind, values, value in struct.iter_unpack(order + "HHL4s", entries[: len(entries) // 12 * 12]):
        if tag == _TAG and values == 1 and kind in (_SHORT, _LONG):
            form = "H2x" if kind == _SHORT else "L"
            return int(struct.unpack(order + form, value)[0])
    return None
