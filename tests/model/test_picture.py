"""Every kind of picture that a person may send, and the exact pixels that a tower gets."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from model.errors import PictureError, PictureFormatError, PictureTooLargeError
from model.picture import PictureLimits, decode_picture, fit_picture, picture_array


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats(kind: str) -> None:
    image = decode_picture(encode(gradient(), kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(gradient())).mean() < 8


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    image = decode_picture(encode(gradient(), "JPEG", exif=exif))
    assert image.size == (48, 64)
    upright = np.asarray(gradient().rotate(-90, expand=True)).astype(int)
    assert np.abs(np.asarray(image).astype(int) - upright).mean() < 8


def test_odd_exif_does_not_make_a_picture_unusable() -> None:
    width_as_text = struct.pack("<HHI4s", 0x0100, 2, 4, b"wid")
    orientation = struct.pack("<HHIHxx", 0x0112, 3, 1, 6)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + width_as_text + orientation + bytes(4)
    assert decode_picture(encode(gradient(), "JPEG", exif=exif)).size == (48, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(gradient(), "PNG", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(decode_picture(data)), np.asarray(wanted))


def test_cmyk() -> None:
    image = decode_picture(encode(gradient().convert("CMYK"), "JPEG"))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(gradient())).mean() < 12


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (32, 1))
    pixels = np.asarray(decode_picture(encode(Image.fromarray(ramp), "PNG")))
    np.testing.assert_array_equal(pixels[0, :, 0], ramp[0] >> 8)


def test_transparency_is_laid_on_white() -> None:
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    for image in (picture, picture.quantize(4), picture.convert("LA")):
        assert (np.asarray(decode_picture(encode(image, "PNG"))) == 255).all()


def test_of_an_animation_the_first_frame_is_taken() -> None:
    red, blue = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    for kind in ("WEBP", "PNG"):
        image = decode_picture(encode(red, kind, save_all=True, append_images=[blue], duration=100))
        assert np.asarray(image)[16, 16].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_formats_outside_the_list_are_refused() -> None:
    for data in (encode(gradient(), "GIF"), encode(gradient(), "BMP"), b"GIF89a", b"%PDF-1.7", b"hello"):
        with pytest.raises(PictureFormatError):
            decode_picture(data)


def test_empty_and_tiny() -> None:
    with pytest.raises(PictureError, match="empty"):
        decode_picture(b"")
    with pytest.raises(PictureError, match="1x1"):
        decode_picture(encode(Image.new("RGB", (1, 1)), "PNG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_cut_short(kind: str) -> None:
    data = encode(gradient(640, 480), kind)
    with pytest.raises(PictureError):
        decode_picture(data[: len(data) // 2])


def test_limits_hold_before_any_pixel_is_decoded() -> None:
    bomb = encode(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(PictureTooLargeError, match="20000x20000"):
        decode_picture(bomb)
    with pytest.raises(PictureTooLargeError, match="bytes"):
        decode_picture(bomb, PictureLimits(max_bytes=1000))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_picture_is_a_picture_or_an_error(data: st.DataObject) -> None:
    seed = encode(gradient(), data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"])))
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_picture(bytes(broken), PictureLimits(max_pixels=1_000_000))
    except PictureError:
        return
    assert image.mode == "RGB"


def test_golden_pixels() -> None:
    """What a tower sees of one fixed picture; a change here means that every bundle sees something else."""
    x, y = np.meshgrid(np.arange(100), np.arange(80))
    pixels = np.stack([x * 2, y * 3, (x * y) % 256], axis=2).astype(np.uint8)
    data = encode(Image.fromarray(pixels), "PNG")
    squash = picture_array(data, 32, "squash")
    crop = picture_array(data, 32, "crop")
    assert squash.shape == crop.shape == (32, 32, 3)
    assert squash.dtype == np.uint8
    assert squash[[0, 7, 20, 31], [0, 30, 11, 31]].tolist() == GOLDEN_SQUASH
    assert crop[[0, 7, 20, 31], [0, 30, 11, 31]].tolist() == GOLDEN_CROP


GOLDEN_SQUASH = [[3, 3, 1], [190, 55, 126], [71, 152, 129], [195, 234, 136]]
GOLDEN_CROP = [[22, 3, 11], [172, 55, 126], [76, 152, 140], [176, 234, 121]]


def test_scaled_decoding_stays_close_to_the_full_one() -> None:
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    data = encode(coarse.resize((1800, 1200), Image.Resampling.BICUBIC), "JPEG", quality=90)
    full = fit_picture(decode_picture(data), 112, "squash")
    assert decode_picture(data, enough=224).size < (1800, 1200)
    assert np.abs(picture_array(data, 112, "squash").astype(int) - full).mean() < 2
