"""Parts of pictures: what they may be, and the pixels that a tower gets of one."""

import io

import numpy as np
import pytest
from PIL import Image

from model.errors import PictureError
from model.picture import AROUND, Part, ResizeRule, picture_array

COLOURS = {(0.0, 0.0): (250, 10, 10), (0.5, 0.0): (10, 250, 10), (0.0, 0.5): (10, 10, 250), (0.5, 0.5): (9, 9, 9)}


def quarters(width: int, height: int, orientation: int = 1, kind: str = "PNG") -> bytes:
    """A picture whose quarters are red, green, blue and dark once it is turned upright."""
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
def test_a_part_is_what_was_asked_for(kind: str, rule: ResizeRule, orientation: int) -> None:
    data = quarters(1600, 1200, orientation, kind)
    for (x, y), colour in COLOURS.items():
        pixels = picture_array(data, 64, rule, part=Part(x, y, 0.5, 0.5))
        assert pixels.shape == (64, 64, 3)
        # A few pixels off the edges, where JPEG smears the colours.
        assert np.abs(pixels[2:-2, 2:-2].astype(int) - colour).max() < 12


def test_the_whole_as_a_part_is_the_whole() -> None:
    data = quarters(640, 480)
    rules: tuple[ResizeRule, ...] = ("squash", "crop")
    for rule in rules:
        whole = picture_array(data, 64, rule)
        np.testing.assert_array_equal(whole, picture_array(data, 64, rule, part=Part(0, 0, 1, 1)))


def test_a_small_part_of_a_large_jpeg_is_not_decoded_small() -> None:
    x = np.arange(4096)
    stripes = np.repeat(np.where(x // 8 % 2, 255, 0).astype(np.uint8)[None], 512, axis=0)
    buffer = io.BytesIO()
    Image.fromarray(stripes).convert("RGB").save(buffer, "JPEG", quality=95)
    pixels = picture_array(buffer.getvalue(), 64, "squash", part=Part(0, 0, 64 / 4096, 1))
    assert pixels[:, :, 0].max() > 200
    assert pixels[:, :, 0].min() < 55


def test_a_part_with_too_few_pixels() -> None:
    with pytest.raises(PictureError, match="6x5"):
        picture_array(quarters(64, 48), 64, "squash", part=Part(0.1, 0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ((0.0, 0.0, 0.0, 0.5), "no area"),
        ((0.0, 0.0, 0.5, -0.1), "no area"),
        ((-0.1, 0.0, 0.5, 0.5), "within"),
        ((0.6, 0.0, 0.5, 0.5), "within"),
        ((0.0, 0.6, 0.5, 0.5), "within"),
        ((float("nan"), 0.0, 0.5, 0.5), "finite"),
        ((0.0, 0.0, float("inf"), 0.5), "finite"),
    ],
)
def test_what_is_no_part(numbers: tuple[float, float, float, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Part(*numbers)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (0.5, 0.5), (1, 1), (0.05, 0.9)])
def test_around_a_point(x: float, y: float) -> None:
    part = Part.around(x, y)
    assert (part.width, part.height) == (AROUND, AROUND)
    assert part.x - 1e-9 <= x <= part.x + AROUND + 1e-9
    assert part.y - 1e-9 <= y <= part.y + AROUND + 1e-9


def test_around_a_point_outside() -> None:
    for x, y in ((1.1, 0.5), (0.5, -0.1), (float("nan"), 0.5)):
        with pytest.raises(ValueError, match="not within"):
            Part.around(x, y)
