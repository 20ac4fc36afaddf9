"""Pictures made to cost their decoder far more than they should: each is refused, or decoded within bounds."""

import io
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from model import picture_format
from model.errors import PictureError, PictureTooLargeError
from model.jpeg_segments import MOST_SCANS, MOST_SEGMENTS
from model.picture import decode_picture
from model.picture_format import MOST_CHUNKS, MOST_METADATA, PictureLimits, structure_of
from tests.fuzz.bombs import (
    canvas,
    claiming,
    exif,
    flat,
    jpeg_segment,
    metadata_bombs,
    scans,
    webp_chunk,
    with_chunks,
)
from tests.fuzz.seeds import picture_seeds, png, png_chunk

SEEDS = picture_seeds()
BASELINE, PROGRESSIVE = SEEDS["baseline.jpeg"], SEEDS["progressive.jpeg"]
ROWS = zlib.compress(bytes(33 * 97))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (scans(flat(2048, 2048, progressive=True), 10_000), "scans|segments"),
        (scans(PROGRESSIVE, MOST_SCANS), "scans"),
        (PROGRESSIVE[:-2] + jpeg_segment(0xC4, b"") * MOST_SEGMENTS + PROGRESSIVE[-2:], "segments"),
        (BASELINE[:2] + jpeg_segment(0xE1, b"Exif\0\0") * (MOST_SEGMENTS + 1) + BASELINE[2:], "segments"),
        (BASELINE[:2] + jpeg_segment(0xFE, b"") * (MOST_SEGMENTS + 1) + BASELINE[2:], "segments"),
        # An end of image before the first scan is passed over by Pillow.
        (BASELINE[:2] + b"\xff\xd9" + jpeg_segment(0xFE, b"") * 5000 + BASELINE[2:], "segments"),
        (BASELINE[:20] + b"\xff\x01" * (MOST_SEGMENTS + 1) + BASELINE[20:], "segments"),
        (BASELINE[:20] + jpeg_segment(0xDB, bytes(65) * 1000) * 5 + BASELINE[20:], "bytes before its pixels"),
        (BASELINE[:20] + jpeg_segment(0xE0, b"JFIF\0" + bytes(65_000)) * 5 + BASELINE[20:], "bytes before"),
        (png(32, 97, ROWS, png_chunk(b"prVt", b"") * MOST_CHUNKS), "chunks"),
        (png(32, 97, b"", png_chunk(b"IDAT", b"") * MOST_CHUNKS), "chunks"),
        (with_chunks(SEEDS["alpha.webp"], webp_chunk(b"what", b"") * MOST_CHUNKS), "chunks"),
    ],
)
def test_too_many_parts(data: bytes, match: str) -> None:
    with pytest.raises(PictureTooLargeError, match=match):
        decode_picture(data)


def test_as_many_parts_as_pictures_have() -> None:
    decode_picture(scans(PROGRESSIVE, 50))
    profile = jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes(60_000)) * 255
    decode_picture(BASELINE[:2] + profile + BASELINE[2:])
    # A baseline JPEG is read in one scan, so that what looks like scans after it costs nothing.
    decode_picture(BASELINE + b"\xff\xda" * 1000)
    # Behind the end there may be a film, or the other pictures of a series.
    decode_picture(PROGRESSIVE + b"\xff\xda\0\0" * 1000 + PROGRESSIVE * 100)
    decode_picture(png(32, 97, ROWS, png_chunk(b"prVt", b"") * 1000))
    # Bytes between the segments belong to none.
    for stray in (b"\xff" * 100_000, b"\xff\x00" * 50_000, b"\xff\xd3" * 50_000):
        decode_picture(BASELINE[:20] + stray + BASELINE[20:])


def test_scans_are_counted_with_the_pixels_that_each_goes_over() -> None:
    """30 scans of the largest picture, 60 of one half as large; and 100 in any case."""
    count = structure_of(PROGRESSIVE).scans

    def of(total: int) -> bytes:
        return scans(PROGRESSIVE, total - count + 1)

    pixels = 96 * 72
    for most, accepted in ((pixels, 30), (2 * pixels, 60), (pixels * 100, MOST_SCANS)):
        limits = PictureLimits(max_pixels=most)
        decode_picture(of(accepted), limits)
        with pytest.raises(PictureTooLargeError, match="scans"):
            decode_picture(of(accepted + 1), limits)


BOMBS = metadata_bombs(SEEDS)


@pytest.mark.parametrize("name", BOMBS)
def test_metadata_costs_next_to_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder gets the same bytes as of the picture without; one text each is looked at for EXIF and XMP."""
    clean, bomb = BOMBS[name]
    text, texts = picture_format._text, []

    def counted(kind: bytes, content: bytes) -> bytes:
        texts.append(text(kind, content))
        return texts[-1]

    monkeypatch.setattr(picture_format, "_text", counted)
    assert len(bomb) > len(clean)
    assert structure_of(bomb).pixels == structure_of(clean).pixels
    assert (len(texts) <= 2, sum(map(len, texts)) <= 2 * MOST_METADATA) == (True, True)
    np.testing.assert_array_equal(decode_picture(bomb), decode_picture(clean))


# In boxes, metadata stays where it is, under a name that decoders pass over (tests/model/test_avif.py).
@pytest.mark.parametrize("name", [name for name in SEEDS if not name.endswith((".avif", ".heic"))])
def test_the_decoder_gets_nothing_but_pixels(name: str) -> None:
    found = structure_of(SEEDS[name])
    again = structure_of(found.pixels)
    assert (again.pixels, again.exif, again.xmp, again.scans) == (found.pixels, None, None, found.scans)
    with Image.open(io.BytesIO(found.pixels)) as image, Image.open(io.BytesIO(SEEDS[name])) as whole:
        assert not image.info.keys() & {"exif", "xmp", "icc_profile", "comment", "photoshop", "mp"}
        assert getattr(image, "n_frames", 1) == 1
        np.testing.assert_array_equal(image.convert("RGBA"), whole.convert("RGBA"))


def test_which_way_is_up_is_found_among_any_number_of_tags() -> None:
    for tags, size in ((0, 0), (5000, 0), (40_000, 300_000)):
        chunk = png_chunk(b"eXIf", exif(tags, size))
        assert decode_picture(png(32, 97, ROWS, chunk)).size == (97, 32)
    jpeg = BASELINE[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif(4000, 10_000)) + BASELINE[2:]
    assert decode_picture(jpeg).size == (72, 96)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (png(60_000, 60_000, ROWS), PictureTooLargeError),
        (png(1, 1, zlib.compress(bytes(50_000_000))), PictureError),
        (claiming(BASELINE, 65_500, 65_500), PictureTooLargeError),
        (claiming(BASELINE, 1, 1), PictureError),
        (canvas(SEEDS["animated.webp"], 2**24, 2**8), PictureTooLargeError),
    ],
)
def test_lying_headers(data: bytes, error: type[PictureError]) -> None:
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
from model import picture_format
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


@pytest.mark.parametrize("name", [name for name in SEEDS if "." in name and not name.endswith(".heic")])
def test_every_kind_decodes_to_the_scene(name: str) -> None:
    image = decode_picture(SEEDS[name])
    wanted = (72, 96) if name in ("progressive.jpeg", "rgb.png", "lossy.webp", "plain.avif") else (96, 72)
    assert (image.mode, image.size) == ("RGB", wanted)
    if name == "interlaced.png":
        np.testing.assert_array_equal(image, decode_picture(SEEDS["animated.png"]))
