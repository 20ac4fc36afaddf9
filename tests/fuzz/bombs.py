"""Ways to make a picture that costs its decoder more than its bytes, or that says what is not so."""

import io
import struct
import zlib

from PIL import Image

from tests.fuzz.seeds import png_chunk

PACKED = zlib.compress(bytes(2**20 - 1), 9)
"""A kilobyte that inflates to a megabyte."""


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


def webp_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a WebP with its length."""
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def with_chunks(webp: bytes, chunks: bytes) -> bytes:
    """An extended WebP with `chunks` behind its own."""
    return webp[:4] + struct.pack("<I", len(webp) - 8 + len(chunks)) + webp[8:] + chunks


def exif(tags: int, size: int, orientation: int = 6) -> bytes:
    """EXIF of so many tags, all of the same `size` bytes, and of the orientation behind them."""
    data = 8 + 2 + 12 * (tags + 1) + 4
    entries = [struct.pack("<HHII", 0x9000 + number % 0x1000, 1, size, data) for number in range(tags)]
    entries.append(struct.pack("<HHIHxx", 0x0112, 3, 1, orientation))
    return b"II*\0" + struct.pack("<IH", 8, tags + 1) + b"".join(entries) + bytes(4 + size)


def metadata_bombs(seeds: dict[str, bytes]) -> dict[str, tuple[bytes, bytes]]:
    """Pictures and what they become with metadata that costs much more than its bytes to read."""
    png, jpeg, webp, still = (seeds[name] for name in ("bits.png", "grey.jpeg", "alpha.webp", "animated.png"))
    resource = b"8BIM" + struct.pack(">H", 0x03ED) + b"\0\0" + struct.pack(">I", 14) + bytes(14)
    frames = png_chunk(b"acTL", struct.pack(">II", 9, 0)) + png_chunk(b"fcTL", bytes(26)) * 9
    in_png = {
        "profiles": png_chunk(b"iCCP", b"k\0\0" + PACKED) * 1000,
        "a long profile": png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(5_000_000))),
        "packed texts": png_chunk(b"zTXt", b"k\0\0" + PACKED) * 500,
        "a long text": png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(5_000_000))),
        "international texts": png_chunk(b"iTXt", b"k\0\1\0\0\0" + PACKED) * 500,
        "XMP": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED) * 500,
        "raw profiles": png_chunk(b"zTXt", b"Raw profile type exif\0\0" + PACKED) * 500,
        "EXIF": png_chunk(b"eXIf", exif(40_000, 300_000, 1)) * 3,
        "EXIF that begins again and again": png_chunk(b"eXIf", b"Exif\0\0" * 500_000),
        "frames that do not add up": frames,
        "chunks with a wrong checksum": png_chunk(b"gAMA", b"1")[:-1] + b"?",
    }
    in_jpeg = {
        "profiles": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)) * 30,
        "EXIF": jpeg_segment(0xE1, b"Exif\0\0" + exif(4000, 10_000, 1)) * 30,
        "Photoshop's resources": jpeg_segment(0xED, b"Photoshop 3.0\0" + resource * 2500) * 30,
        "other pictures": jpeg_segment(0xE2, b"MPF\0" + exif(4000, 10_000, 1)) * 30,
        "a thumbnail": jpeg_segment(0xE0, b"JFXX\0\x10" + jpeg[:2000]),
        "comments": jpeg_segment(0xFE, bytes(65_000)) * 30,
    }
    in_webp = {
        "profiles": webp_chunk(b"ICCP", bytes(65_000)) * 30,
        "EXIF": webp_chunk(b"EXIF", exif(40_000, 300_000, 1)) * 3,
        "XMP": webp_chunk(b"XMP ", b'tiff:Orientation="' * 200_000),
        "unknown chunks": webp_chunk(b"what", b"") * 30_000,
    }
    at = len(b"\x89PNG\r\n\x1a\n") + 25
    found = {f"PNG: {name}": (png, png[:at] + chunks + png[at:]) for name, chunks in in_png.items()}
    found |= {f"JPEG: {name}": (jpeg, jpeg[:20] + parts + jpeg[20:]) for name, parts in in_jpeg.items()}
    found |= {f"WebP: {name}": (webp, with_chunks(webp, chunks)) for name, chunks in in_webp.items()}
    found["PNG: texts behind the pixels"] = png, png[:-12] + in_png["packed texts"] + png[-12:]
    frame = seeds["animated.webp"]
    found["WebP: frames"] = frame, with_chunks(frame, frame[44:] * 300)
    found["PNG: frames"] = still, still[:-12] + still[still.index(b"fcTL", 100) - 4 : -12] * 300 + still[-12:]
    return found
