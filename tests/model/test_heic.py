"""HEIC, with the extra: decoded within the limits of the other formats, which hold before its decoder sees it.

The pictures in the folder heic were written by libheif and x265 (pillow-heif 1.8.1): `gradient(200, 150)`, the same
with an orientation of 6, and one colour in Display P3.
"""

import struct
from pathlib import Path

import numpy as np
import pytest

from model import picture_format
from model.errors import PictureError, PictureFormatError, PictureTooLargeError
from model.picture import decode_picture, picture_array
from model.picture_format import PictureLimits, structure_of
from tests.model.pictures import gradient

pytest.importorskip("pi_heif", reason="the extra heic is not installed")

FOLDER = Path(__file__).parent / "heic"
SIZE = struct.pack(">II", 200, 150)


@pytest.fixture
def data() -> bytes:
    return (FOLDER / "gradient.heic").read_bytes()


def test_it_is_decoded(data: bytes) -> None:
    pixels = np.asarray(decode_picture(data)).astype(int)
    assert abs(pixels - np.asarray(gradient(200, 150))).mean() < 4
    assert picture_array(data, 32, "crop").shape == (32, 32, 3)
    found = structure_of(data)
    # Frames are coded in blocks: the sequence parameter set says more than is shown.
    assert found.format == "HEIF"
    assert found.size is not None
    assert 200 <= found.size[0] < 264
    assert 150 <= found.size[1] < 214


def test_it_is_upright_and_in_its_colours() -> None:
    turned = decode_picture((FOLDER / "turned.heic").read_bytes())
    assert turned.size == (150, 200)
    assert np.asarray(turned)[100, 10, 1] > np.asarray(turned)[100, 140, 1]
    red = np.asarray(decode_picture((FOLDER / "display-p3.heic").read_bytes())).astype(int)
    assert abs(red - (217, 42, 52)).max() <= 8


def test_limits_hold_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(PictureTooLargeError, match="pixels; at most 10,000"):
        decode_picture(data, PictureLimits(max_pixels=10_000))
    # The boxes say less than the frame has.
    small = data.replace(SIZE, struct.pack(">II", 20, 15))
    assert small != data
    with pytest.raises(PictureTooLargeError, match="at most 10,000"):
        decode_picture(small, PictureLimits(max_pixels=10_000))
    with pytest.raises(PictureTooLargeError, match="60000x60000"):
        decode_picture(data.replace(SIZE, struct.pack(">II", 60_000, 60_000)))
    # The frame says more than the boxes.
    wide = structure_of(data.replace(b"hvcC", b"xxxx")).size
    assert wide == (200, 150)


def test_what_is_broken(data: bytes) -> None:
    for broken in (data[:40], data[: len(data) // 2], data[:300]):
        with pytest.raises(PictureError, match="broken or cut short"):
            decode_picture(broken)
    rng = np.random.default_rng(0)
    for _ in range(300):
        mutated = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            mutated[at] = rng.integers(0, 256)
        try:
            assert decode_picture(bytes(mutated), PictureLimits(max_pixels=1_000_000)).mode == "RGB"
        except PictureError:
            continue


def test_metadata_of_any_name_is_left_out() -> None:
    data = (FOLDER / "turned.heic").read_bytes()
    at = data.index(b"Exif")
    for name in (b"\xffxif", b"E\xffif", b"\x80\x80\x80\x80", b"abcd"):
        assert decode_picture(data[:at] + name + data[at + 4 :]).size == (150, 200)


def test_without_the_extra_it_is_named(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_format, "reads_heic", lambda: False)
    with pytest.raises(PictureFormatError, match=r"this is HEIC, .* as JPEG .* the extra heic"):
        decode_picture(data)
