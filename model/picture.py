"""From the bytes of a picture to the pixels that the image tower takes.

In the order of reading: decoding (`decode_picture`), resizing (`fit_picture`), and both together (`picture_array`,
`picture_arrays`), which training, indexing and serving all call. What a file is made of is checked before, in
`picture_format`; which parts of a picture may be asked about, `region` says.
"""

import io
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
from PIL import AvifImagePlugin, ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from model.colours import Transform, to_srgb
from model.errors import PictureError, PictureTooLargeError
from model.orientation import orientation
from model.picture_format import MOST_PROFILE, PictureLimits, Structure, reads_heic, structure_of
from model.region import Region, Spot

# Pillow warns above its own pixel limit; `decode_picture` enforces a tighter one before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# Pillow asks malloc for blocks of 16 MB. Freed ones of this size stay with the process, for each thread that ever
# decoded a large picture; blocks of 32 MB and more are always given back to the system.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]

# Called directly: `Image.open` would import its plugins with the first picture, when memory may be short.
_READERS: dict[str, Callable[[IO[bytes]], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
}

if reads_heic():
    import pi_heif

    _READERS["HEIF"] = pi_heif.HeifImageFile
    pi_heif.options.DECODE_THREADS = 1  # see below

# As many pictures are decoded at a time as there are CPUs; more threads for each would only be in their way.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_SCANS_OF_LARGEST = 30
"""Scans allowed in the largest JPEG; half the pixels may have twice the scans. Encoders write 10 to 20."""
_DECODER_BYTES = 8
"""Working memory of a decoder, bytes a pixel: coefficients of a JPEG of several scans, frames of a WebP."""

ResizeRule = Literal["squash", "crop"]
"""`squash`: the whole picture to a square (paper, 3.3.2). `crop`: the largest central square."""


Part = Region | Spot
"""What may be asked about of a picture."""

ReservePixels = Callable[[int], AbstractContextManager[object]]
"""Takes the number of pixels about to be decoded and gives a context manager, held until their memory is free."""


def decode_picture(data: bytes, limits: PictureLimits = PictureLimits(), enough: int | None = None) -> Image.Image:
    """Decode JPEG, PNG, WebP or AVIF bytes, and HEIC with the extra `heic`, to an upright RGB picture.

    EXIF orientation and a colour profile are applied; transparency becomes white; 16-bit greys keep their high
    byte; of an animation the first frame is taken. With `enough`, libjpeg may scale a JPEG down while decoding to
    the smallest size whose sides are both at least `enough` pixels.

    Raises PictureFormatError (not one of the formats), PictureTooLargeError (over `limits`, or of more scans,
    segments or chunks than a picture needs), PictureError (empty, too small, truncated or broken), and MemoryError.
    """
    opened = _opened(data, limits, enough)
    return _in_srgb(_decoded(opened), opened.to_srgb)


@dataclass(frozen=True)
class _Opened:
    """A picture before its pixels are decoded; `pixels` is how many its decoder will hold in memory.

    `to_srgb` is how to come from its colours to sRGB, None where there is nothing to do.
    """

    image: Image.Image
    pixels: int
    orientation: int | None
    to_srgb: Transform | None


def _opened(data: bytes, limits: PictureLimits, enough: int | None) -> _Opened:
    if not data:
        raise PictureError("the picture is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise PictureTooLargeError(
            f"the picture has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted"
        )
    try:
        found = structure_of(data)
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # whatever a hostile file makes of reading it
        raise _failure(error, 0) from error
    if found.size is not None:
        _check_size(*found.size, limits)
    try:
        image = _READERS[found.format](io.BytesIO(found.pixels))
    except Exception as error:  # a hostile header can raise nearly anything inside a decoder
        raise _failure(error, math.prod(found.size or (0,))) from error
    width, height = image.size
    _check_size(width, height, limits)
    _check_scans(found, width, height, limits)
    # What it turns a picture by, an AVIF says in boxes of its own, and Pillow as EXIF that it makes. HEIC is turned
    # by its decoder.
    turn = orientation(found.exif or image.info.get("exif"), found.xmp)
    if image.format == "JPEG":
        # Its decoder gets all of it at once, rather than 64 KiB at a time with a wait for the interpreter between.
        image.decodermaxblock = max(len(found.pixels), image.decodermaxblock)
    if enough is not None:
        try:
            image.draft("RGB", (enough, enough))
        except Exception as error:  # as above
            raise _failure(error, 0) from error
    # A coded frame may be larger than what the boxes of an AVIF say, and is scaled after it is decoded.
    pixels = width * height if found.scans else max(image.width * image.height, math.prod(found.size or (0,)))
    return _Opened(image, pixels, turn, _colours(found.profile or image.info.get("icc_profile"), image.mode))


def _given(image: Image.Image, limits: PictureLimits) -> _Opened:
    """A picture that Pillow has opened already, of whatever format it can."""
    _check_size(*image.size, limits)
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # as above
        raise _failure(error, 0) from error
    colours = _colours(image.info.get("icc_profile"), image.mode)
    return _Opened(image, image.width * image.height, turn if isinstance(turn, int) else None, colours)


def _colours(profile: object, mode: str) -> Transform | None:
    return to_srgb(profile, mode) if isinstance(profile, bytes) and len(profile) <= MOST_PROFILE else None


def _check_size(width: int, height: int, limits: PictureLimits) -> None:
    if width * height > limits.max_pixels:
        raise PictureTooLargeError(
            f"the picture is {width}x{height} = {width * height:,} pixels; "
            f"at most {limits.max_pixels:,} are accepted"
        )
    if min(width, height) < limits.min_side:
        raise PictureError(
            f"the picture is {width}x{height}; each side must have at least {limits.min_side} pixels"
        )


def _check_scans(found: Structure, width: int, height: int, limits: PictureLimits) -> None:
    if found.scans * width * height > _SCANS_OF_LARGEST * limits.max_pixels:
        most = _SCANS_OF_LARGEST * limits.max_pixels // (width * height)
        raise PictureTooLargeError(
            f"the picture is {width}x{height} in {found.scans} scans; at most {most} are accepted of that size"
        )


def _decoded(opened: _Opened) -> Image.Image:
    try:
        opened.image.load()
        # Colours of ink stay what they are until their profile makes others of them.
        inks = opened.image.mode == "CMYK" and opened.to_srgb is not None
        return _upright(opened.image if inks else _to_rgb(opened.image), opened.orientation)
    except Exception as error:  # as above: one broken picture is that picture's error, whatever it raises
        raise _failure(error, opened.pixels) from error


def _failure(error: Exception, pixels: int) -> Exception:
    """What to raise for a decoder's error. libjpeg and libwebp also say "broken" where they get no memory."""
    short = isinstance(error, MemoryError)
    if not short:
        try:
            bytearray(_DECODER_BYTES * pixels)
        except MemoryError:
            short = True
    if short:
        return MemoryError("there is not enough memory to decode the picture")
    why = f": {error}" if str(error) else ""  # Pillow's checks of its own have no words
    return PictureError(f"the picture is broken or cut short{why}")


def fit_picture(
    image: Image.Image, size: int, rule: ResizeRule, region: Region | None = None
) -> npt.NDArray[np.uint8]:
    """Resize an RGB picture, or a `region` of it, to uint8 `[size, size, 3]` by `rule`."""
    return np.asarray(_fitted(image, size, rule, region), dtype=np.uint8)


def _fitted(image: Image.Image, size: int, rule: ResizeRule, region: Region | None) -> Image.Image:
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height)) if region is None else region.box(width, height)
    if rule == "crop":
        left, top, right, bottom = box
        side = min(right - left, bottom - top)
        left, top = (left + right - side) / 2, (top + bottom - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def _in_srgb(image: Image.Image, to_srgb: Transform | None) -> Image.Image:
    return image if to_srgb is None else to_srgb(image)


_LEAST_CONTRAST = 1.5


def has_contrast(picture: npt.NDArray[np.uint8]) -> bool:
    """Whether anything can be seen in a picture uint8 `[size, size, 3]`: a blank one, of one colour, shows nothing.

    Some channel's standard deviation must be at least 1.5 of 255. Of about 3,900 photographs of materials all but
    six previews of flat surfaces have that.
    """
    # From counts of grey levels: NumPy's own takes a seventh of the time of a whole request.
    levels = np.array(Image.fromarray(picture).histogram(), np.int64).reshape(-1, 256)
    pixels = picture.shape[0] * picture.shape[1]
    grey = np.arange(256)
    variances = (levels * grey**2).sum(axis=1) / pixels - ((levels * grey).sum(axis=1) / pixels) ** 2
    return bool(variances.max() >= _LEAST_CONTRAST**2)


def enough_for(size: int) -> int:
    """The smallest side that a JPEG may be scaled down to while decoding, before it is resized to `size`.

    It is a quarter larger than `size`, so that the final resize can still smooth. Median cosine to the embedding of
    the full decode (docs/studies.md, float tower): 0.9994 for 640x480, 0.9996 for 12 megapixels,
    0.9990 at the worst size, and less without the quarter. For comparison: changing a tenth of the values by one
    grey level gives 0.9996 to 0.9999.
    """
    return size + size // 4


def picture_array(
    data: bytes | Image.Image,
    size: int,
    rule: ResizeRule,
    limits: PictureLimits = PictureLimits(),
    region: Part | None = None,
    reserve: ReservePixels = nullcontext,
) -> npt.NDArray[np.uint8]:
    """A picture, or a `region` of it, as uint8 `[size, size, 3]`; the rest as `picture_arrays`."""
    side = 1.0
    if region is not None:
        side = region.size if isinstance(region, Spot) else min(region.width, region.height)
    (fitted,) = picture_arrays(data, size, rule, limits, side, lambda width, height: [region], reserve)
    return fitted


def picture_arrays(
    data: bytes | Image.Image,
    size: int,
    rule: ResizeRule,
    limits: PictureLimits,
    side: float,
    regions: Callable[[int, int], Sequence[Part | None]],
    reserve: ReservePixels = nullcontext,
) -> list[npt.NDArray[np.uint8]]:
    """Decode a picture once, turn it upright and resize regions of it, each to uint8 `[size, size, 3]`.

    `regions` gives them by the width and the height of the upright picture, None for all of it; their sides, or
    sizes, are at least `side`. A picture that Pillow has opened is taken as well, of any format; of `limits`,
    the number of bytes is not asked.

    Pictures from files come through here in training and in serving, so that a tower sees the same pixels.
    `reserve` is held while the decoded pixels are in memory. Raises as decode_picture, and PictureError where a
    region has fewer pixels than a picture must have.
    """
    # A region alone must have enough pixels, so the whole picture needs more.
    enough = math.ceil(min(enough_for(size) / side, limits.max_pixels))
    opened = _opened(data, limits, enough) if isinstance(data, bytes) else _given(data, limits)
    with reserve(opened.pixels):
        image = _decoded(opened)
        fitted = []
        for part in regions(*image.size):
            region = part.region(*image.size) if isinstance(part, Spot) else part
            if region is not None:
                _check_region(region, image, limits)
            # The few pixels that are left rather than all of them: the same but for rounding, and cheaper.
            colours = _in_srgb(_fitted(image, size, rule, region), opened.to_srgb)
            fitted.append(np.asarray(colours, dtype=np.uint8))
        del image, opened  # frees their memory before the reservation ends
        return fitted


def _check_region(region: Region, image: Image.Image, limits: PictureLimits) -> None:
    left, top, right, bottom = region.box(*image.size)
    sides = (right - left, bottom - top)
    # Sides that were computed from fractions may be too small by rounding.
    if min(sides) < limits.min_side - 1e-6:
        shown = "x".join(f"{side:.0f}" if round(side) != limits.min_side else f"{side:.1f}" for side in sides)
        raise PictureError(
            f"the part of the picture is {shown}; each side must have at least {limits.min_side} pixels"
        )


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, orientation: int | None) -> Image.Image:
    turn = None if orientation is None else _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        levels = np.asarray(image).astype(np.int64)
        high = np.clip(levels >> 8, 0, 255).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):  # one level is, as a PNG says
            high[levels == clear] = 255
        return Image.fromarray(high).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
