"""Pictures made to cost their decoder far more than they should: each is refused, or decoded within bounds."""

import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from model.errors import PictureError, PictureTooLargeError
from model.picture import PictureLimits, decode_picture
from model.picture_structure import MOST_CHUNKS, MOST_EXIF, MOST_SCANS, MOST_SEGMENTS, MOST_STRAY
from tests.fuzz.bombs import canvas, claiming, flat, jpeg_segment, scans
from tests.fuzz.seeds import picture_seeds, png, png_chunk

SEEDS = picture_seeds()
BASELINE, PROGRESSIVE = SEEDS["baseline.jpeg"], SEEDS["progressive.jpeg"]
ROWS = zlib.compress(bytes(33 * 97))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (scans(flat(2048, 2048, progressive=True), 10_000), "scans"),
        (scans(PROGRESSIVE, MOST_SCANS), "scans"),
        (BASELINE[:2] + jpeg_segment(0xE1, b"Exif\0\0" + bytes(30)) * 50_000 + BASELINE[2:], "EXIF segments"),
        (BASELINE[:2] + jpeg_segment(0xFE, b"") * (MOST_SEGMENTS + 1) + BASELINE[2:], "segments"),
        # An end of image before the first scan is passed over by Pillow.
        (BASELINE[:2] + b"\xff\xd9" + jpeg_segment(0xFE, b"") * 5000 + BASELINE[2:], "segments"),
        (BASELINE[:20] + b"\xff" * (MOST_STRAY + 10) + BASELINE[20:], "outside"),
        (BASELINE[:20] + b"\x01" * (MOST_STRAY + 10) + BASELINE[20:], "outside"),
        (BASELINE[:20] + b"\xff\x00" * MOST_STRAY + BASELINE[20:], "outside"),
        (png(32, 97, ROWS, png_chunk(b"prVt", b"") * MOST_CHUNKS), "chunks"),
    ],
)
def test_too_many_parts(data: bytes, match: str) -> None:
    with pytest.raises(PictureError, match=match):
        decode_picture(data)


def test_as_many_parts_as_pictures_have() -> None:
    decode_picture(scans(PROGRESSIVE, 50))
    profile = jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes(60_000)) * 255
    decode_picture(BASELINE[:2] + profile + jpeg_segment(0xE1, b"Exif\0\0") * (MOST_EXIF - 1) + BASELINE[2:])
    # A baseline JPEG is read in one scan, so that what looks like scans after it costs nothing.
    decode_picture(BASELINE + b"\xff\xda" * 1000)
    decode_picture(png(32, 97, ROWS, png_chunk(b"prVt", b"") * 1000))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (png(60_000, 60_000, ROWS), PictureTooLargeError),
        (png(1, 1, zlib.compress(bytes(50_000_000))), PictureError),
        (claiming(BASELINE, 65_500, 65_500), PictureTooLargeError),
        (claiming(BASELINE, 1, 1), PictureError),
        (png(32, 97, ROWS, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))), PictureError),
        (png(32, 97, ROWS, png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50_000_000)))), PictureError),
        (png(32, 97, ROWS, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) * 100), PictureError),
    ],
)
def test_lying_headers_and_packed_text(data: bytes, error: type[PictureError]) -> None:
    with pytest.raises(error):
        decode_picture(data)


def test_more_pixels_than_the_header_says_are_left_alone() -> None:
    assert decode_picture(png(16, 16, zlib.compress(bytes(50_000_000)))).size == (16, 16)


@pytest.mark.parametrize("side", [5000, 16_383, 2**24])
def test_a_webp_with_a_lying_canvas(side: int) -> None:
    with pytest.raises(PictureError):
        decode_picture(canvas(SEEDS["animated.webp"], side, side), PictureLimits(max_pixels=1_000_000))


MEMORY = """
import sys
from model.errors import PictureError
from model.picture import picture_array
from tests.fuzz.run import peak_mb
data = sys.stdin.buffer.read()
before = peak_mb()
try:
    picture_array(data, 224, "squash")
except PictureError:
    pass
print(peak_mb() - before)
"""


@pytest.mark.parametrize(
    "make",
    [
        lambda: png(60_000, 60_000, ROWS),
        lambda: claiming(BASELINE, 7400, 7000),
        lambda: claiming(PROGRESSIVE, 7400, 7000),
        lambda: png(7400, 7000, zlib.compress(bytes(7000 * (1 + 6 * 7400)), 1), depth=16),
        lambda: canvas(SEEDS["animated.webp"], 16_383, 16_383),
        lambda: png(32, 97, ROWS, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) * 500),
    ],
    ids=["png claim", "jpeg claim", "progressive claim", "png 16 bit", "webp canvas", "png text"],
)
def test_memory_is_bounded(make: Callable[[], bytes]) -> None:
    """52 million pixels may take 20 bytes each; whatever a header says, it is no more than that."""
    result = subprocess.run(
        [sys.executable, "-c", MEMORY], input=make(), capture_output=True, check=True, timeout=300
    )
    assert int(result.stdout) < 1100


@pytest.mark.parametrize("name", [name for name in SEEDS if "." in name])
def test_every_kind_decodes_to_the_scene(name: str) -> None:
    image = decode_picture(SEEDS[name])
    wanted = (72, 96) if name in ("progressive.jpeg", "rgb.png", "lossy.webp") else (96, 72)
    assert (image.mode, image.size) == ("RGB", wanted)
    if name == "interlaced.png":
        np.testing.assert_array_equal(image, decode_picture(SEEDS["animated.png"]))


def test_thousands_of_odd_tags_are_not_warned_of_one_by_one() -> None:
    """In a process of its own, whose filters are a server's and not the test runner's."""
    code = """
import struct, sys
from PIL import TiffImagePlugin
from model.picture import picture_array
from tests.fuzz.bombs import jpeg_segment
from tests.fuzz.seeds import picture_seeds
jpeg = picture_seeds()["baseline.jpeg"]
tags = b"".join(struct.pack("<HHII", number, 2, 5000, 26) for number in range(5000))
exif = b"Exif\\0\\0II*\\0" + struct.pack("<IH", 8, 5000) + tags + bytes(4)
picture_array(jpeg[:2] + jpeg_segment(0xE1, exif) + jpeg[2:], 32, "squash")
print(len(getattr(TiffImagePlugin, "__warningregistry__", {})))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (int(run.stdout) < 5, run.stderr) == (True, "")
