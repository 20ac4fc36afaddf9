"""Ways to make a picture that costs its decoder more than its bytes, or that says what is not so."""

import io
import struct

from PIL import Image


def jpeg_segment(kind: int, content: bytes) -> bytes:
    """A segment of a JPEG with its length."""
    return struct.pack(">BBH", 0xFF, kind, 2 + len(content)) + content


def scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG with its last scan `count` times."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * (count - 1) + jpeg[-2:]


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header tells another size."""
    frame = next(jpeg.index(marker) for marker in (b"\xff\xc0\0", b"\xff\xc2\0") if marker in jpeg)
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


def flat(width: int, height: int, **options: object) -> bytes:
    """A JPEG of one colour; `options` are Pillow's."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 30)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def canvas(webp: bytes, width: int, height: int) -> bytes:
    """An extended WebP whose header tells another canvas."""
    return webp[:24] + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3] + webp[30:]
