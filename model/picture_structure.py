"""What a picture's file makes its decoder go through, counted before the decoder sees it.

A few megabytes can keep a decoder busy for minutes without one pixel too many: a progressive JPEG goes over all its
pixels in every scan, and Pillow reads the segments of a JPEG and the chunks of a PNG one by one. The bounds lie far
above what cameras and encoders write.
"""

from model.errors import PictureError

MOST_SCANS = 100
"""Scans of a JPEG. Encoders write 10 to 20; a script of all coefficients' bits one by one has a few hundred."""
MOST_SEGMENTS = 4096
"""Segments before a JPEG's first scan. A profile and a depth map of the largest size have some hundred."""
MOST_EXIF = 16
"""EXIF segments of a JPEG. Pillow joins them, copying all it has with each."""
MOST_STRAY = 65_536
"""Bytes between a JPEG's segments that belong to none of them."""
MOST_CHUNKS = 32_768
"""Chunks of a PNG. At 8 KiB each, as libpng writes its pixels, they hold 256 MiB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SCAN, _APP1 = 0xDA, 0xE1
_ALONE = {0x00, 0x01, *range(0xD0, 0xDA)}
"""What may follow 0xFF without a length after it."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}


def check_structure(data: bytes) -> bool:
    """Raise PictureError where a JPEG or PNG has more parts than a picture needs; broken ones are for decoders.

    Returns whether it is a JPEG of several scans: its decoder keeps the coefficients of all pixels, however small
    the picture is made of them.
    """
    if data.startswith(_JPEG):
        return _check_jpeg(data)
    if data.startswith(_PNG):
        _check_png(data)
    return False


def _check_jpeg(data: bytes) -> bool:
    at, segments, exif, stray = 2, 0, 0, 0
    progressive, components = False, 0
    while True:
        marker = data.find(b"\xff", at)
        if marker < 0:
            return False
        code = marker + 1
        while data[code : code + 1] == b"\xff" and code - at <= MOST_STRAY + 1:
            code += 1
        if code >= len(data):
            return False
        kind = data[code]
        stray += code - 1 - at + 2 * (kind == 0)
        segments += kind != 0
        at = code + 1
        exif += kind == _APP1 and data[at + 2 : at + 8] == b"Exif\0\0"
        _bound("segments before its first scan", segments, MOST_SEGMENTS)
        _bound("EXIF segments", exif, MOST_EXIF)
        _bound("bytes outside of its segments", stray, MOST_STRAY)
        if kind == _SCAN:
            # libjpeg reads one scan where it holds all components, and else all there are.
            several = progressive or data[at + 2 : at + 3] < bytes((components,))
            if several:
                # In compressed data 0xFF is followed by 0 or a restart marker, so that this counts scans alone,
                # but for those of a thumbnail.
                _bound("scans", data.count(b"\xff\xda"), MOST_SCANS)
            return several
        if kind in _FRAMES:
            progressive |= kind in _PROGRESSIVE
            components = max([components, *data[at + 7 : at + 8]])
        if kind not in _ALONE:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))


def _bound(name: str, count: int, most: int) -> None:
    if count > most:
        raise PictureError(f"the JPEG has more than {most:,} {name}")


def _check_png(data: bytes) -> None:
    at, chunks = len(_PNG), 0
    while at < len(data):
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise PictureError(f"the PNG has more than {MOST_CHUNKS:,} chunks")
        at += 12 + int.from_bytes(data[at : at + 4], "big")
