"""What a picture's file is made of. Its decoder gets the parts that decide the pixels and no others.

A few megabytes can keep a decoder busy for minutes without one pixel too many: Pillow reads all metadata when it
opens a picture, inflates profiles and texts and copies what tags point at, and a progressive JPEG goes over all its
pixels in every scan. So metadata is left out before the decoder sees the file, and what is left is counted. The
bounds lie far above what cameras and encoders write.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from model.errors import PictureFormatError, PictureTooLargeError

MOST_SCANS = 100
"""Scans of a JPEG. Encoders write 10 to 20; a script of all coefficients' bits one by one has a few hundred."""
MOST_SEGMENTS = 4096
"""Segments of a JPEG. A profile and a depth map of the largest size have some hundred."""
MOST_TABLES = 2**18
"""Bytes of a JPEG before its first scan, metadata aside. The tables that there can be have four thousand."""
MOST_CHUNKS = 32_768
"""Chunks of a PNG or WebP. At 8 KiB each, as libpng writes its pixels, they hold 256 MiB."""
MOST_METADATA = 2**20
"""Bytes of EXIF and of XMP, inflated, in which the orientation is looked for."""

Format = Literal["JPEG", "PNG", "WEBP"]


@dataclass(frozen=True)
class Structure:
    """A picture's file before it is decoded.

    `pixels` is the file without its metadata, and without all frames but the first. `scans` are those of a JPEG
    whose decoder goes over all pixels in each and keeps the coefficients of all, however small the picture is made;
    0 where it has the pixels row by row. `size` is the width and height of a WebP, for which its decoder takes
    memory when it is opened. `exif` and `xmp` are the beginnings of the first of those.
    """

    format: Format
    pixels: bytes
    scans: int = 0
    size: tuple[int, int] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def structure_of(data: bytes) -> Structure:
    """The structure of a JPEG, PNG or WebP; of a broken one as far as it goes: to refuse it is for its decoder.

    Raises PictureFormatError for other formats, and PictureTooLargeError for more parts than a picture needs.
    """
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    raise PictureFormatError("not a JPEG, PNG or WebP picture")


def _bound(name: str, count: int, most: int) -> None:
    if count > most:
        raise PictureTooLargeError(f"the picture has more than {most:,} {name}")


_JPEG = b"\xff\xd8\xff"
_END, _SCAN, _APP1 = 0xD9, 0xDA, 0xE1
_METADATA = {*range(0xE1, 0xF0), 0xFE} - {0xEE}
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
"""The application segments that say which colours the components are, and how they begin."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""But not a restart marker: these stand among compressed pixels, where 0xFF is otherwise followed by 0."""


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment: its marker's second byte, where it begins and where it ends. Compressed pixels are none."""
    at, count = 2, 0
    while found := _MARKER.search(data, at):
        count += 1
        _bound("segments", count, MOST_SEGMENTS)
        kind, at = found[0][1], found.end()
        if kind >= 0xC0 and kind not in (0xD8, _END):
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
        yield kind, found.start(), at


def _jpeg(data: bytes) -> Structure:
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    kept, scans = [view[:2]], 0
    progressive, components = False, 0
    segments = _segments(data)
    for kind, start, end in segments:
        content = start + 4
        if kind == _SCAN:
            _bound("bytes before its pixels", sum(map(len, kept)), MOST_TABLES)
            kept.append(view[start:])
            # libjpeg reads one scan where it holds all components, and else all there are.
            if progressive or data[content : content + 1] < bytes((components,)):
                scans = 1 + _scans(segments)
            break
        if kind not in _METADATA and data.startswith(_COLOURS.get(kind, b""), content):
            kept.append(view[start:end])
        elif exif is None and kind == _APP1 and data.startswith(b"Exif\0\0", content):
            exif = data[content:end]
        elif xmp is None and kind == _APP1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0", content):
            xmp = data[content:end]
        if kind in _FRAMES:
            progressive |= kind in _PROGRESSIVE
            components = max([components, *data[content + 5 : content + 6]])
    return Structure("JPEG", b"".join(kept), scans, exif=exif, xmp=xmp)


def _scans(segments: Iterator[tuple[int, int, int]]) -> int:
    """Scans up to the end of the picture, behind which there may be others."""
    scans = 0
    for kind, _, _ in segments:
        if kind == _END:
            break
        scans += kind == _SCAN
        _bound("scans", 1 + scans, MOST_SCANS)
    return scans


_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}


def _png(data: bytes) -> Structure:
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    kept = [view[: len(_PNG)]]
    at, chunks = len(_PNG), 0
    while at < len(data):
        chunks += 1
        _bound("chunks", chunks, MOST_CHUNKS)
        kind, content = data[at + 4 : at + 8], at + 8
        end = content + int.from_bytes(data[at : at + 4], "big")
        if kind in _PNG_PIXELS and end <= len(data):
            kept.append(view[at : end + 4])
        elif kind in _PNG_PIXELS:
            # It ends where the file does: whether a pixel is missing, its decoder finds out.
            kept += [memoryview(max(0, len(data) - content).to_bytes(4, "big")), view[at + 4 :]]
        elif exif is None and kind == b"eXIf":
            exif = _beginning(data, content, end)
        elif exif is None and kind in _PNG_TEXTS and data.startswith(b"Raw profile type exif\0", content):
            exif = _raw_profile(_text(kind, _beginning(data, content, end)))
        elif xmp is None and kind in _PNG_TEXTS and data.startswith(b"XML:com.adobe.xmp\0", content):
            xmp = _text(kind, _beginning(data, content, end))
        at = end + 4
    return Structure("PNG", b"".join(kept), exif=exif, xmp=xmp)


def _beginning(data: bytes, start: int, end: int) -> bytes:
    return data[start : min(end, start + MOST_METADATA)]


def _text(kind: bytes, content: bytes) -> bytes:
    """The text behind the keyword of a PNG's text, inflated where it is packed, and no more than MOST_METADATA."""
    text = content.partition(b"\0")[2]
    packed = kind == b"zTXt"
    if packed:
        text = text[1:]
    elif kind == b"iTXt":
        packed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    if not packed:
        return text
    try:
        return zlib.decompressobj().decompress(text, MOST_METADATA)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """EXIF as ImageMagick wrote it before PNG had a chunk for it: a name, a length, and lines of digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


_WEBP_PIXELS = {b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"}
_WEBP_METADATA = 0x2C
"""The bits of an extended WebP's header that say that there is a profile, EXIF or XMP."""


def _webp(data: bytes) -> Structure:
    size = _webp_size(data)
    if data[12:16] != b"VP8X":
        return Structure("WEBP", data, size=size)
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    kept = []
    whole = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at, chunks, frames = 30, 0, 0
    while at < whole:
        chunks += 1
        _bound("chunks", chunks, MOST_CHUNKS)
        kind, content = data[at : at + 4], at + 8
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = content + length + length % 2
        frames += kind == b"ANMF"
        if kind in _WEBP_PIXELS and (kind != b"ANMF" or frames == 1):
            kept.append(view[at : min(end, whole)])
        elif exif is None and kind == b"EXIF":
            exif = _beginning(data, content, content + length)
        elif xmp is None and kind == b"XMP ":
            xmp = _beginning(data, content, content + length)
        at = end
    length = len(b"WEBP") + 18 + sum(map(len, kept))
    flags = bytes(bits & ~_WEBP_METADATA for bits in data[20:21])
    head = b"RIFF" + length.to_bytes(4, "little") + data[8:20] + flags + data[21:30]
    return Structure("WEBP", b"".join([head, *kept]), size=size, exif=exif, xmp=xmp)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as its first chunk tells them; None where it has none."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


_NAME = b"Exif\0\0"
_TAG = 0x0112
_SHORT, _LONG = 3, 4
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes | None, xmp: bytes | None) -> int | None:
    """EXIF's orientation, from 1 to 8 where it means something, XMP's where EXIF has none, or None.

    Broken metadata does not make a picture unusable: it has no orientation.
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
