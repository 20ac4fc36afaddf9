"""Colour profiles: their colours become those of sRGB; what is no usable profile changes nothing."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model.colours import to_srgb
from model.picture import decode_picture, picture_array
from model.picture_format import MOST_PROFILE
from tests.fuzz.bombs import jpeg_segment
from tests.model.pictures import encode, gradient
from tests.model.profiles import display_p3, of_grey, of_ink, srgb, table, with_tag

RED_OF_P3 = (200, 60, 60)
IN_SRGB = (217, 42, 52)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("options", [{"size": (64, 48)}, {"size": (1000, 700)}])
def test_display_p3(kind: str, options: dict[str, tuple[int, int]]) -> None:
    image = Image.new("RGB", options["size"], RED_OF_P3)
    data = encode(image, kind, icc_profile=display_p3(), **({"lossless": True} if kind == "WEBP" else {}))
    for pixels in (np.asarray(decode_picture(data)), picture_array(data, 32, "crop")):
        assert abs(pixels.astype(int) - IN_SRGB).max() <= 2


def test_a_picture_that_pillow_has_opened() -> None:
    image = Image.new("RGB", (64, 64), RED_OF_P3)
    image.info["icc_profile"] = display_p3()
    assert abs(picture_array(image, 32, "crop").astype(int) - IN_SRGB).max() <= 2


def test_transparency_and_a_palette() -> None:
    clear = Image.new("RGBA", (64, 64), (*RED_OF_P3, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 32, 64))
    few = Image.new("RGB", (64, 64), RED_OF_P3).quantize(4)
    for image in (clear, few):
        pixels = np.asarray(decode_picture(encode(image, "PNG", icc_profile=display_p3()))).astype(int)
        assert abs(pixels[5, 60] - IN_SRGB).max() <= 2
    assert (np.asarray(decode_picture(encode(clear, "PNG", icc_profile=display_p3())))[5, 5] == 255).all()


def test_colours_of_ink() -> None:
    image = Image.new("CMYK", (64, 64), (0, 0, 0, 0))
    image.paste((0, 255, 0, 0), (32, 0, 64, 64))
    data = encode(image, "JPEG", icc_profile=of_ink())
    pixels = np.asarray(decode_picture(data)).astype(int)
    assert pixels.shape == (64, 64, 3)
    assert (pixels[5, 5] > 245).all()
    red, green, blue = pixels[5, 60]
    assert red > 100 > max(green, blue)
    assert picture_array(data, 32, "squash").shape == (32, 32, 3)


def test_grey() -> None:
    for mode in ("L", "LA"):
        data = encode(Image.new("L", (64, 64), 64).convert(mode), "PNG", icc_profile=of_grey())
        assert abs(np.asarray(decode_picture(data)).astype(int) - 137).max() <= 2


def test_a_profile_in_several_segments() -> None:
    data = encode(Image.new("RGB", (64, 64), RED_OF_P3), "JPEG")
    profile = display_p3()
    half = len(profile) // 2
    parts = {2: profile[half:], 1: profile[:half]}
    segments = [jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 2)) + part) for number, part in parts.items()]
    pixels = np.asarray(decode_picture(data[:2] + b"".join(segments) + data[2:]))
    assert abs(pixels.astype(int) - IN_SRGB).max() <= 2


LONG = bytes(MOST_PROFILE + 1)


@pytest.mark.parametrize(
    "profile",
    [
        srgb(),
        b"?",
        bytes(range(256)) * 8,
        display_p3()[:200],
        display_p3()[:128] + struct.pack(">I", 2**31) + display_p3()[132:],
        of_grey(),
        of_ink(),
        with_tag(display_p3(), b"D2B0", b"mpet\0\0\0\0"),
        with_tag(display_p3(), b"A2B0", table(3, 255, bytes(24))),
        with_tag(
            display_p3(), b"A2B0", b"mAB \0\0\0\0\3\3\0\0" + struct.pack(">5I", 0, 0, 0, 32, 0) + b"\xff" * 16
        ),
        display_p3() + LONG,
    ],
    ids=["sRGB", "no profile", "noise", "cut", "tags", "grey", "ink", "a chain", "a table", "another", "long"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_changes_nothing(profile: bytes, kind: str) -> None:
    plain = encode(gradient(), kind)
    with_it = encode(gradient(), kind, icc_profile=profile)
    np.testing.assert_array_equal(decode_picture(with_it), decode_picture(plain))
    np.testing.assert_array_equal(picture_array(with_it, 32, "crop"), picture_array(plain, 32, "crop"))


def test_a_profile_of_a_camera_is_read_once() -> None:
    assert to_srgb(display_p3(), "RGB") is to_srgb(display_p3(), "RGB") is not None


def test_a_profile_that_inflates_to_much_is_passed_over() -> None:
    data = encode(gradient(), "PNG")
    chunk = b"iCCP" + b"k\0\0" + zlib.compress(display_p3() + bytes(50_000_000))
    packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    np.testing.assert_array_equal(decode_picture(data[:33] + packed + data[33:]), decode_picture(data))
