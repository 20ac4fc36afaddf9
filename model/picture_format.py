"""The file formats of pictures: a JPEG, PNG, WebP or AVIF without its metadata.

A hostile file of a few megabytes with few pixels can keep a decoder busy for minutes: Pillow reads all metadata
when it opens a picture, inflates profiles and texts and copies what tags point at, and a progressive JPEG goes over
all its pixels in every scan. So metadata is left out before the decoder sees the file, and the segments, chunks and
scans that are left are counted. The bounds lie far above what cameras and encoders write.

In the order of reading: `structure_of`, then JPEG, PNG and WebP, each for itself. Another format is one more
function here, and its reader in `picture`.
"""

import zlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

from model.errors import PictureError, PictureFormatError
from model.jpeg_segments import SCAN, check_count, scans, segments
from model.picture_boxes import box_pixels, brand_of
from model.pointers import pointer_in, text_in


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may be, checked before its pixels are decoded.

    Here rather than with the decoding, so that the service's settings import neither NumPy nor Pillow.

    52 million pixels are what the 50-megapixel cameras of telephones give. Decoding that many takes 1.0 GB where
    they are a WebP with transparency, the greediest (20 bytes a pixel).
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 52_000_000
    min_side: int = 16


MOST_TABLES = 2**18
"""Bytes of a JPEG before its first scan, without metadata. All possible tables together have four thousand."""
MOST_CHUNKS = 32_768
"""Chunks of a PNG or WebP. At 8 KiB each, the size that libpng writes, they hold 256 MiB."""
MOST_METADATA = 2**20
"""Bytes of EXIF and of XMP, after inflating, in which the orientation is searched."""
MOST_PROFILE = 2**22
"""Bytes of a colour profile, after inflating. Those of cameras have some hundred, of presses up to 3 million."""

Format = Literal["JPEG", "PNG", "WEBP", "AVIF", "HEIF"]


@dataclass(frozen=True)
class Structure:
    """A picture's file before it is decoded.

    `pixels`: the file without metadata and with its first frame only.
    `scans`: of a JPEG in several scans, whose decoder goes over all pixels in each scan and keeps all coefficients,
    also when it scales the picture down; 0 for files that are decoded row by row.
    `size`: width and height of a WebP (its decoder takes memory as soon as it is opened) and of the largest picture
    in an AVIF or HEIC, None for others.
    `exif`, `xmp`: the first of each, at most MOST_METADATA bytes, None where there is none.
    `profile`: the colour profile, None where there is none or one of more than MOST_PROFILE bytes.
    """

    format: Format
    pixels: bytes
    scans: int = 0
    size: tuple[int, int] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    profile: bytes | None = None


def structure_of(data: bytes) -> Structure:
    """The structure of a picture; of a broken file what can be read: refusing it is the decoder's task.

    Raises PictureFormatError for other formats, and PictureTooLargeError for more scans, segments, chunks or table
    bytes than a picture needs.
    """
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    brand = brand_of(data)
    if brand == "AVIF" or (brand == "HEIF" and reads_heic()):
        pixels, size = box_pixels(data)
        if not all(size):
            raise PictureError("the picture is broken or cut short: nothing in it has a size")
        return Structure(brand, pixels, size=size)
    raise PictureFormatError(f"not a JPEG, PNG, WebP or AVIF picture; {_advice(data)}")


@cache
def reads_heic() -> bool:
    """Whether HEIC is read: its decoder comes with the extra `heic`."""
    return find_spec("pi_heif") is not None


def _advice(data: bytes) -> str:
    """What to do about a file of another format, for the person who has it."""
    instead = pointer_in(data) or text_in(data)
    if instead is not None:
        return f"it is {instead}"
    if brand_of(data) == "HEIF":
        return (
            "this is HEIC, which iPhones save: share or export it as JPEG and use that (with the extra heic, Thud "
            "reads it)"
        )
    return "convert it to one of these and use that"


_JPEG = b"\xff\xd8\xff"
_APP1, _APP2 = 0xE1, 0xE2
_METADATA = {*range(0xE1, 0xF0), 0xFE} - {0xEE}
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
"""The application segments that say how the components make colours, and their first bytes."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_PROFILE = b"ICC_PROFILE\0"
_END_OF_IMAGE = memoryview(b"\xff\xd9")
_READ_AHEAD = memoryview(bytes(8))
"""libjpeg reads so far ahead of what it decodes, and waits for more where there is nothing."""


def _jpeg(data: bytes) -> Structure:
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    kept, count = [view[:2]], 0
    progressive, components = False, b""
    profile: dict[int, bytes] = {}
    found = segments(data)
    for kind, start, end in found:
        content = start + 4
        if kind == SCAN:
            check_count("bytes before its pixels", sum(map(len, kept)), MOST_TABLES)
            kept.append(view[start : len(data) - data.endswith(b"\xff")])
            # libjpeg reads one scan if that holds all components, otherwise all scans of the file.
            if progressive or data[content : content + 1] < bytes((len(components),)):
                count, lacks_end = scans(data, found, start, components)
                kept += [_END_OF_IMAGE] if lacks_end else []
            elif not data.endswith(_END_OF_IMAGE):
                kept.append(_READ_AHEAD)
            break
        if kind not in _METADATA and data.startswith(_COLOURS.get(kind, b""), content):
            kept.append(view[start:end])
        elif exif is None and kind == _APP1 and data.startswith(b"Exif\0\0", content):
            exif = data[content:end]
        elif xmp is None and kind == _APP1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0", content):
            xmp = data[content:end]
        elif kind == _APP2 and data.startswith(_PROFILE, content):
            number = content + len(_PROFILE)
            profile.update(dict.fromkeys(data[number : number + 1], data[number + 2 : end]))
        if kind in _FRAMES:
            progressive |= kind in _PROGRESSIVE
            number = int.from_bytes(data[content + 5 : content + 6], "big")
            components = max(components, data[content + 6 : content + 6 + 3 * number : 3], key=len)
    return Structure("JPEG", b"".join(kept), count, exif=exif, xmp=xmp, profile=_whole_profile(profile))


def _whole_profile(parts: dict[int, bytes]) -> bytes | None:
    whole = b"".join(parts[number] for number in sorted(parts))
    return whole if 0 < len(whole) <= MOST_PROFILE else None


_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}


def _png(data: bytes) -> Structure:
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    profile: bytes | None = None
    kept = [view[: len(_PNG)]]
    at, chunks = len(_PNG), 0
    while at < len(data):
        chunks += 1
        check_count("chunks", chunks, MOST_CHUNKS)
        kind, content = data[at + 4 : at + 8], at + 8
        end = content + int.from_bytes(data[at : at + 4], "big")
        if kind in _PNG_PIXELS and end <= len(data):
            kept.append(view[at : end + 4])
        elif kind in _PNG_PIXELS:
            # The file is cut short: the chunk gets the length that is there, and its decoder finds what is missing.
            kept += [memoryview(max(0, len(data) - content).to_bytes(4, "big")), view[at + 4 :]]
        elif exif is None and kind == b"eXIf":
            exif = _beginning(data, content, end)
        elif profile is None and kind == b"iCCP":
            profile = _inflated(
                data[content : min(end, content + MOST_PROFILE)].partition(b"\0")[2][1:], MOST_PROFILE + 1
            )
        elif exif is None and kind in _PNG_TEXTS and data.startswith(b"Raw profile type exif\0", content):
            exif = _raw_profile(_text(kind, _beginning(data, content, end)))
        elif xmp is None and kind in _PNG_TEXTS and data.startswith(b"XML:com.adobe.xmp\0", content):
            xmp = _text(kind, _beginning(data, content, end))
        at = end + 4
    return Structure("PNG", b"".join(kept), exif=exif, xmp=xmp, profile=_whole_profile({0: profile or b""}))


def _beginning(data: bytes, start: int, end: int) -> bytes:
    return data[start : min(end, start + MOST_METADATA)]


def _text(kind: bytes, content: bytes) -> bytes:
    """The text after the keyword of a PNG's text chunk, inflated if compressed, at most MOST_METADATA bytes."""
    text = content.partition(b"\0")[2]
    compressed = kind == b"zTXt"
    if compressed:
        text = text[1:]
    elif kind == b"iTXt":
        compressed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    return _inflated(text, MOST_METADATA) if compressed else text


def _inflated(packed: bytes, most: int) -> bytes:
    """At most `most` bytes; none of what is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """EXIF as ImageMagick wrote it before PNG had a chunk for it: a name, a length, and lines of hex digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


_WEBP_PIXELS = {b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"}
_WEBP_METADATA = 0x2C
"""The bits in the header of an extended WebP that announce a profile, EXIF or XMP."""


def _webp(data: bytes) -> Structure:
    size = _webp_size(data)
    if data[12:16] != b"VP8X":
        return Structure("WEBP", data, size=size)
    view = memoryview(data)
    exif: bytes | None = None
    xmp: bytes | None = None
    profile: bytes | None = None
    kept = []
    whole = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at, chunks, frames = 30, 0, 0
    while at < whole:
        chunks += 1
        check_count("chunks", chunks, MOST_CHUNKS)
        kind, content = data[at : at + 4], at + 8
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = content + length + length % 2
        frames += kind == b"ANMF"
        if kind in _WEBP_PIXELS and (kind != b"ANMF" or frames == 1):
            kept.append(view[at : min(end, whole)])
        elif profile is None and kind == b"ICCP" and length <= MOST_PROFILE:
            profile = data[content : content + length]
        elif exif is None and kind == b"EXIF":
            exif = _beginning(data, content, content + length)
        elif xmp is None and kind == b"XMP ":
            xmp = _beginning(data, content, content + length)
        at = end
    length = len(b"WEBP") + 18 + sum(map(len, kept))
    flags = bytes(bits & ~_WEBP_METADATA for bits in data[20:21])
    head = b"RIFF" + length.to_bytes(4, "little") + data[8:20] + flags + data[21:30]
    return Structure("WEBP", b"".join([head, *kept]), size=size, exif=exif, xmp=xmp, profile=profile)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first chunk; None where there is none."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
