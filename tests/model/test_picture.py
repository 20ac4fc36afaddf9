"""Every kind of picture that a user may send, and the exact pixels that a tower gets of it or of a region."""

import io
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.errors import PictureError, PictureFormatError, PictureTooLargeError
from model.picture import (
    ResizeRule,
    decode_picture,
    fit_picture,
    picture_array,
    picture_arrays,
)
from model.picture_format import PictureLimits
from model.region import Grid, Region
from tests.model.pictures import encode, gradient


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats(kind: str) -> None:
    image = decode_picture(encode(gradient(), kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(gradient())).mean() < 8


def test_cmyk() -> None:
    image = decode_picture(encode(gradient().convert("CMYK"), "JPEG"))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(gradient())).mean() < 12


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (32, 1))
    pixels = np.asarray(decode_picture(encode(Image.fromarray(ramp), "PNG")))
    np.testing.assert_array_equal(pixels[0, :, 0], ramp[0] >> 8)


def test_transparency_becomes_white() -> None:
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    for image in (picture, picture.quantize(4), picture.convert("LA")):
        assert (np.asarray(decode_picture(encode(image, "PNG"))) == 255).all()
    colour = encode(Image.new("RGB", (32, 32), "red"), "PNG", transparency=(255, 0, 0))  # one that stands for none
    assert (np.asarray(decode_picture(colour)) == 255).all()
    grey = np.full((32, 32), 0x0102, np.uint16)  # in 16 bits one level may stand for none, and its neighbour not
    grey[:, 16:] += 1
    half = np.asarray(decode_picture(encode(Image.fromarray(grey), "PNG", transparency=0x0102)))
    assert ((half[:, :16] == 255).all(), (half[:, 16:] == 1).all()) == (True, True)


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
    """What a tower sees of one fixed picture; a change here changes the input of every bundle."""
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


MEMORY = """
import resource, sys
from pathlib import Path
from model.errors import PictureError
from model.picture import decode_picture
small, *large = (Path(name).read_bytes() for name in sys.argv[1:])
used = int(Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0])
decode_picture(small)
resource.setrlimit(resource.RLIMIT_AS, (used * 2**10 + 2**24, -1))
for data in large:
    try:
        decode_picture(data)
    except MemoryError as error:
        print(error)
try:
    decode_picture(small[:-100])
except PictureError as error:
    print(error)
print(decode_picture(small).size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing shows how much memory is used")
def test_too_little_memory_is_not_called_a_broken_picture(tmp_path: Path) -> None:
    """Pillow raises a different error for each format; libjpeg and libwebp give no reason at all."""
    flat = Image.new("RGB", (3000, 3000), "teal")
    made = {
        "small.jpg": encode(gradient(640, 480), "JPEG"),
        "rows.png": encode(flat, "PNG"),
        "scans.jpg": encode(flat, "JPEG", progressive=True, subsampling=0),
        "canvas.webp": encode(flat, "WEBP", method=0),
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, *(tmp_path / name for name in made)],
        capture_output=True,
        text=True,
        check=True,
    )
    *short, broken, size = run.stdout.splitlines()
    assert short == ["there is not enough memory to decode the picture"] * 3
    assert broken.startswith("the picture is broken or cut short")
    assert size == "(640, 480)"


COLOURS = {(0.0, 0.0): (250, 10, 10), (0.5, 0.0): (10, 250, 10), (0.0, 0.5): (10, 10, 250), (0.5, 0.5): (9, 9, 9)}


def quarters(width: int, height: int, orientation: int = 1, kind: str = "PNG") -> bytes:
    """A picture whose quarters are red, green, blue and dark when it is upright."""
    picture = Image.new("RGB", (width, height))
    for (x, y), colour in COLOURS.items():
        picture.paste(colour, (int(x * width), int(y * height), int((x + 0.5) * width), int((y + 0.5) * height)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation == 6:  # is shown turned a quarter clockwise
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif, quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("rule", ["squash", "crop"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_region_is_what_was_asked_for(kind: str, rule: ResizeRule, orientation: int) -> None:
    data = quarters(1600, 1200, orientation, kind)
    for (x, y), colour in COLOURS.items():
        pixels = picture_array(data, 64, rule, region=Region(x, y, 0.5, 0.5))
        assert pixels.shape == (64, 64, 3)
        # A few pixels off the edges, where JPEG smears the colours.
        assert np.abs(pixels[2:-2, 2:-2].astype(int) - colour).max() < 12


def test_a_region_of_everything_is_the_whole_picture() -> None:
    data = quarters(640, 480)
    rules: tuple[ResizeRule, ...] = ("squash", "crop")
    for rule in rules:
        whole = picture_array(data, 64, rule)
        np.testing.assert_array_equal(whole, picture_array(data, 64, rule, region=Region(0, 0, 1, 1)))


def test_a_small_region_of_a_large_jpeg_is_not_decoded_small() -> None:
    x = np.arange(4096)
    stripes = np.repeat(np.where(x // 8 % 2, 255, 0).astype(np.uint8)[None], 512, axis=0)
    buffer = io.BytesIO()
    Image.fromarray(stripes).convert("RGB").save(buffer, "JPEG", quality=95)
    pixels = picture_array(buffer.getvalue(), 64, "squash", region=Region(0, 0, 64 / 4096, 1))
    assert pixels[:, :, 0].max() > 200
    assert pixels[:, :, 0].min() < 55


def test_a_region_with_too_few_pixels() -> None:
    with pytest.raises(PictureError, match="6x5"):
        picture_array(quarters(64, 48), 64, "squash", region=Region(0.1, 0.1, 0.1, 0.1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_regions_from_one_decoding_are_those_of_each_alone(kind: str) -> None:
    data, seen = quarters(1600, 1200, 6, kind), []

    def regions(width: int, height: int) -> list[Region | None]:
        seen.append((width, height))
        return [Region(x, y, 0.5, 0.5) for x, y in COLOURS] + [None]

    found = picture_arrays(data, 64, "crop", PictureLimits(), 0.5, regions)

    (size,) = seen
    assert size[0] > size[1], "it is upright"
    for pixels, (x, y) in zip(found, COLOURS, strict=False):
        np.testing.assert_array_equal(pixels, picture_array(data, 64, "crop", region=Region(x, y, 0.5, 0.5)))
    assert np.abs(found[-1].astype(int) - picture_array(data, 64, "crop")).mean() < 3


def test_the_pixels_of_all_regions_are_reserved_once() -> None:
    reserved: list[int] = []

    def reserve(pixels: int) -> AbstractContextManager[None]:
        reserved.append(pixels)
        return nullcontext()

    data = quarters(640, 480)
    picture_arrays(data, 64, "crop", PictureLimits(), 0.5, lambda *size: Grid.of(*size).squares, reserve)
    assert reserved == [640 * 480]
