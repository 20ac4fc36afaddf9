"""What broken clients upload: pictures that are damaged, that lie about their size, or that are no pictures."""

import io
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tests.fuzz.bombs import canvas, claiming, flat, jpeg_segment, scans
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import picture_seeds, png, png_chunk


class BrokenPictures:
    """Makes them, the same ones each time; `photographs` are whole ones, some of which it damages."""

    def __init__(self, photographs: Sequence[bytes]) -> None:
        self.whole = photographs[0]
        self._photographs = photographs
        self._seeds = picture_seeds()
        self.made = {
            "lying PNG": _lying_pngs(),
            "lying JPEG": _lying_jpegs(self._seeds),
            "lying WebP": [canvas(self._seeds["animated.webp"], side, side) for side in (5000, 16_383, 2**24)],
            "JPEG of too many parts": _jpegs_of_many_parts(self._seeds),
            "no picture": _no_pictures(),
        }

    def mutated(self, number: int) -> bytes:
        """A small picture of any format, or in one of eight cases a photograph, damaged in a few ways."""
        return mutated(self._photographs if number % 8 == 0 else list(self._seeds.values()), number)


def _lying_pngs() -> list[bytes]:
    row = zlib.compress(bytes(33 * 97))
    packed = zlib.compress(bytes(50_000_000))
    return [
        png(1, 1, packed),
        png(0, 0, row),
        png(60_000, 60_000, row),
        png(2**31 - 1, 2**31 - 1, row),
        png(7400, 7000, row),
        png(16, 16, packed),
        png(32, 97, row, png_chunk(b"zTXt", b"k\0\0" + packed)),
        png(32, 97, row, png_chunk(b"iCCP", b"k\0\0" + packed)),
        png(32, 97, row, png_chunk(b"prVt", b"") * 40_000),
    ]


def _lying_jpegs(seeds: dict[str, bytes]) -> list[bytes]:
    sizes = ((0, 0), (1, 1), (7400, 7000), (65_500, 65_500))
    return [claiming(seeds[name], *size) for name in ("baseline.jpeg", "progressive.jpeg") for size in sizes]


def _jpegs_of_many_parts(seeds: dict[str, bytes]) -> list[bytes]:
    baseline, progressive = seeds["baseline.jpeg"], seeds["progressive.jpeg"]
    return [
        scans(flat(512, 512, progressive=True), 5000),
        scans(flat(2048, 2048, progressive=True), 99),
        scans(progressive, 5000),
        baseline[:2] + jpeg_segment(0xE1, b"Exif\0\0" + bytes(30)) * 50_000 + baseline[2:],
        baseline[:2] + jpeg_segment(0xFE, b"") * 5000 + baseline[2:],
        baseline[:20] + b"\xff" * 100_000 + baseline[20:],
    ]


def _no_pictures() -> list[bytes]:
    others = []
    for kind in ("GIF", "BMP", "TIFF", "ICO"):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(buffer, kind)
        others.append(buffer.getvalue())
    return [
        *others,
        b"hello, I am a text",
        bytes(1000),
        b"%PDF-1.7 and so on",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x18ftypheic\0\0\0\0" + b"x" * 500,
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\xff\xff\xff\xffWEBPVP8X",
        np.random.default_rng(0).bytes(100_000),
    ]
