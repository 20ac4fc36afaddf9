"""Every kind of picture that a person may send, and the exact pixels that a tower gets."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

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


TURNED = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHxx", 0x0112, 3, 1, 6) + bytes(4)
AS_XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
AS_TEXT = f"\nexif\n{len(TURNED):8}\n{TURNED.hex()}\n"


def png_with(key: str, text: str, *, packed: bool) -> bytes:
    info = PngInfo()
    if key.startswith("XML"):
        info.add_itxt(key, text, zip=packed)
    else:
        info.add_text(key, text, zip=packed)
    return encode(gradient(), "PNG", pnginfo=info)


@pytest.mark.parametrize(
    "data",
    [
        encode(gradient(), "JPEG", exif=b"Exif\0\0" + TURNED),
        encode(gradient(), "JPEG", exif=b"Exif\0\0Exif\0\0" + TURNED),
        encode(gradient(), "JPEG", xmp=AS_XMP),
        encode(gradient(), "PNG", exif=TURNED),
        encode(gradient(), "WEBP", exif=TURNED),
        encode(gradient(), "WEBP", exif=b"Exif\0\0" + TURNED),
        encode(gradient(), "WEBP", xmp=AS_XMP),
        encode(gradient(), "JPEG", exif=b"Exif\0\0MM\0*" + struct.pack(">IHHHIHxxI", 8, 1, 0x0112, 3, 1, 6, 0)),
        encode(gradient(), "JPEG", exif=b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x0112, 4, 1, 6, 0)),
        *(png_with("XML:com.adobe.xmp", AS_XMP.decode(), packed=packed) for packed in (False, True)),
        *(png_with("Raw profile type exif", AS_TEXT, packed=packed) for packed in (False, True)),
    ],
)
def test_wherever_it_says_which_way_is_up(data: bytes) -> None:
    assert decode_picture(data).size == (48, 64)
    # As Pillow reads it, which looks at all of the metadata.
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(np.asarray(decode_picture(data)), np.asarray(wanted))


@pytest.mark.parametrize(
    "exif",
    [
        b"II",
        b"Exif\0\0",
        TURNED[:9],
        TURNED[:20],
        b"II*\0" + b"\xff" * 100,
        b"XX" + TURNED[2:],
        TURNED.replace(b"\x06", b"\x09"),
        TURNED[:12] + b"\2" + TURNED[13:],
    ],
)
def test_without_a_usable_orientation_it_stays_as_it_is(exif: bytes) -> None:
    for kind in ("PNG", "WEBP"):
        assert decode_picture(encode(gradient(), kind, exif=exif)).size == (64, 48)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("key", ["XML:com.adobe.xmp", "Comment"])
def test_long_texts(key: str, packed: bool) -> None:
    data = png_with(key, "so long " * 200_000, packed=packed)
    assert np.array_equal(np.asarray(decode_picture(data)), np.asarray(gradient()))


def test_what_lacks_behind_the_pixels_of_a_png_does_no_harm() -> None:
    whole = encode(gradient(), "PNG")
    for short in (whole[:-12], whole[:-5], whole[:-14], whole[:-12] + b"\0\0\1\0IDAT"):
        assert np.array_equal(np.asarray(decode_picture(short)), np.asarray(gradient()))


def test_a_png_whose_pixels_are_damaged_is_not_made_up_for() -> None:
    data = bytearray(encode(gradient(640, 480), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(PictureError, match="broken"):
        decode_picture(bytes(data))


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
    colour = encode(Image.new("RGB", (32, 32), "red"), "PNG", transparency=(255, 0, 0))  # one that stands for none
    assert (np.asarray(decode_picture(colour)) == 255).all()


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
def test_too_little_memory_is_not_the_pictures_fault(tmp_path: Path) -> None:
    """Pillow says it in its own way for each, and libjpeg and libwebp not at all."""
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
