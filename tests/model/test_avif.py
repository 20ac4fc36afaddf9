"""AVIF: decoded within the limits of the other formats, which hold before its decoder sees it."""

import struct

import numpy as np
import pytest
from PIL import Image

from model.errors import PictureError, PictureFormatError, PictureTooLargeError
from model.picture import decode_picture, picture_array
from model.picture_format import PictureLimits, structure_of
from tests.model.pictures import encode, gradient
from tests.model.profiles import display_p3


def avif(image: Image.Image, **options: object) -> bytes:
    return encode(image, "AVIF", **({"speed": 10, "quality": 95} | options))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_it_is_decoded() -> None:
    pixels = np.asarray(decode_picture(avif(gradient(200, 150)))).astype(int)
    assert abs(pixels - np.asarray(gradient(200, 150))).mean() < 4
    assert picture_array(avif(gradient(200, 150)), 32, "crop").shape == (32, 32, 3)
    found = structure_of(avif(gradient(200, 150)))
    assert (found.format, found.size) == ("AVIF", (200, 150))


def test_metadata_orientation_and_profile() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = avif(gradient(200, 150), exif=exif, xmp=b"<x/>" * 1000)
    assert decode_picture(turned).size == (150, 200)
    assert b"Exif" not in structure_of(turned).pixels[:1000]
    red = avif(Image.new("RGB", (64, 64), (200, 60, 60)), icc_profile=display_p3(), quality=100)
    assert abs(np.asarray(decode_picture(red)).astype(int) - (217, 42, 52)).max() <= 6


def test_transparency_and_an_animation() -> None:
    clear = gradient().copy()
    clear.putalpha(0)
    assert (np.asarray(decode_picture(avif(clear))) > 250).all()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = avif(frames[0], save_all=True, append_images=frames[1:])
    assert np.asarray(decode_picture(data))[5, 5, 0] > 200


def test_limits_hold_before_it_is_decoded() -> None:
    data = avif(gradient(200, 150))
    with pytest.raises(PictureTooLargeError, match="200x150"):
        decode_picture(data, PictureLimits(max_pixels=10_000))
    with pytest.raises(PictureError, match="at least"):
        decode_picture(avif(gradient(15, 40)))
    # The boxes say less than the frame has.
    small = data.replace(struct.pack(">II", 200, 150), struct.pack(">II", 20, 15))
    assert small != data
    with pytest.raises(PictureTooLargeError, match="200x150"):
        decode_picture(small, PictureLimits(max_pixels=10_000))
    huge = data.replace(struct.pack(">II", 200, 150), struct.pack(">II", 60_000, 60_000))
    with pytest.raises(PictureTooLargeError, match="60000x60000"):
        decode_picture(huge)


def test_too_many_parts() -> None:
    data = avif(gradient(200, 150))
    with pytest.raises(PictureTooLargeError, match="boxes"):
        decode_picture(data + box(b"free", b"") * 5000)
    start = data.index(b"mdat") + 4
    payload = data[start:]
    # One item whose bytes are the same frame again and again.
    place = data.index(b"iloc")
    sizes = data[place + 8]
    assert sizes == 0x44
    at = data.index(struct.pack(">II", start, len(payload)))
    many = data[:at] + struct.pack(">II", start, 10 * len(payload)) + data[at + 8 : start] + payload * 10
    with pytest.raises(PictureTooLargeError, match="frames"):
        decode_picture(many)


def hostile(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(b"meta", b"\0\0\0\0" + b"".join(boxes))


@pytest.mark.parametrize("kind", [b"iref", b"iinf", b"iloc", b"iprp", b"idat", b"pitm"])
def test_boxes_without_content(kind: bytes) -> None:
    for data in (hostile(box(kind, b"")), hostile(box(b"iinf", bytes(6) + box(b"infe", b"")))):
        with pytest.raises(PictureError, match="broken or cut short"):
            decode_picture(data)


@pytest.mark.parametrize(
    "content",
    [
        box(b"iloc", b"\2\0\0\0\x44\0" + struct.pack(">I", 500_000) + bytes(3_000_000)),
        box(b"iprp", box(b"ipma", bytes(4) + struct.pack(">I", 500_000) + bytes(1_500_000))),
        box(b"iref", bytes(4) + box(b"dimg", b"\0\1\xff\xff" + bytes(2_000_000))),
        box(
            b"iprp",
            box(
                b"ipco",
                box(b"hvcC", bytes(22) + b"\xff" + (b"\x21" + struct.pack(">H", 1000) + bytes(2000)) * 255),
            ),
        ),
    ],
    ids=["places", "properties", "references", "units"],
)
def test_more_parts_than_a_picture_has(content: bytes) -> None:
    with pytest.raises(PictureTooLargeError, match="boxes"):
        decode_picture(hostile(content))


def test_bytes_that_are_taken_again_and_again() -> None:
    pieces = struct.pack(">HHH", 1, 0, 3) + 3 * struct.pack(">II", 0, 0)  # each from the beginning to the end
    places = box(b"iloc", b"\0\0\0\0\x44\0" + struct.pack(">H", 1) + pieces)
    with pytest.raises(PictureTooLargeError, match="bytes in its items"):
        decode_picture(hostile(places))


def test_what_is_broken() -> None:
    data = avif(gradient(200, 150))
    for broken in (data[:100], data[: len(data) // 2], data[:32], data[:300]):
        with pytest.raises(PictureError, match="broken or cut short"):
            decode_picture(broken)
    rng = np.random.default_rng(0)
    for _ in range(300):
        mutated = bytearray(data)
        for at in rng.integers(0, 400, 3):
            mutated[at] = rng.integers(0, 256)
        try:
            assert decode_picture(bytes(mutated), PictureLimits(max_pixels=1_000_000)).mode == "RGB"
        except PictureError:
            continue


def test_what_is_not_avif() -> None:
    for data in (b"\0\0\0\x18ftypMSNV\0\0\0\0isomMSNV", b"\0\0\0\x14ftypisom\0\0\0\0mp42"):
        with pytest.raises(PictureFormatError):
            decode_picture(data)
