"""The orientation is read wherever it is written; other metadata and damage do no harm."""

import io
import re
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from model.errors import PictureError
from model.picture import decode_picture
from tests.model.pictures import encode, gradient


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
def test_the_orientation_is_found_wherever_it_is_written(data: bytes) -> None:
    assert decode_picture(data).size == (48, 64)
    # As Pillow, which reads all metadata, turns it.
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


def test_a_png_cut_after_its_pixels_is_read() -> None:
    whole = encode(gradient(), "PNG")
    for short in (whole[:-12], whole[:-5], whole[:-14], whole[:-12] + b"\0\0\1\0IDAT"):
        assert np.array_equal(np.asarray(decode_picture(short)), np.asarray(gradient()))


def test_a_png_with_damaged_pixels_is_refused() -> None:
    data = bytearray(encode(gradient(640, 480), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(PictureError, match="broken"):
        decode_picture(bytes(data))


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0, "quality": 95}, {"progressive": True}, {"restart_marker_blocks": 2}],
    ids=["baseline", "finest", "progressive", "restarts"],
)
def test_a_jpeg_without_its_end_is_read(options: dict[str, object], mode: str, cut: int) -> None:
    data = encode(gradient(150, 100).convert(mode), "JPEG", **options)
    for enough in (None, 40):
        whole = np.asarray(decode_picture(data, enough=enough))
        np.testing.assert_array_equal(decode_picture(data[:-cut], enough=enough), whole)
        # Zeros in place of the rest, as a disk that was full leaves them.
        np.testing.assert_array_equal(decode_picture(data[:-cut] + bytes(5000), enough=enough), whole)


def test_a_jpeg_that_breaks_off_in_its_last_scan_is_read() -> None:
    data = encode(gradient(640, 480), "JPEG", progressive=True, quality=95)
    scans = [found.start() for found in re.finditer(b"\xff\xda", data)]
    whole = np.asarray(decode_picture(data)).astype(int)
    for cut in (scans[-1] + 20, len(data) - 3, len(data) - 30):
        assert abs(np.asarray(decode_picture(data[:cut])) - whole).mean() < 1
    for cut in (scans[0] + 20, scans[-2] + 20, scans[-1] - 1, scans[-1] + 5):
        with pytest.raises(PictureError, match="cut short"):
            decode_picture(data[:cut])


def test_a_jpeg_of_one_scan_that_breaks_off_is_refused() -> None:
    data = encode(gradient(640, 480), "JPEG", quality=95)
    for cut in (len(data) * 9 // 10, len(data) - 100):
        with pytest.raises(PictureError, match="cut short"):
            decode_picture(data[:cut])
