"""Colour profiles: from the colours that a picture's file means to those of sRGB, which the towers were trained on.

Telephones write Display P3. A profile that is damaged, of other colours than the picture's pixels, or that would
take longer than others to compute with, is passed over: without one a picture is taken for sRGB, also where
a PNG or an AVIF says by numbers alone (gAMA, cHRM, cICP, nclx) that it is of others.
"""

import io
import struct
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

Transform = Callable[[Image.Image], Image.Image]
"""From a picture in the mode of its profile, `RGB`, `L` or `CMYK`, to the same in RGB, of sRGB."""

_HEADER, _TAG = 128, 12
_MOST_TAGS = 100
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
_CACHED_BYTES = 2**14
"""Profiles of cameras and screens are smaller, and one after the other is the same."""
_SAME = 2
"""Levels (of 255) by which a profile of sRGB may differ from another; there are several."""


def to_srgb(profile: bytes | None, mode: str) -> Transform | None:
    """How to come from the colours of `profile` to sRGB, for a picture of Pillow's `mode`.

    None where nothing is to be done: without a profile, with one of sRGB, and with one that cannot be used.
    """
    if profile is None or _mode_of(mode) != _MODES.get(profile[16:20]):
        return None
    if len(profile) <= _CACHED_BYTES:
        return _cached(profile)
    return _transform(profile)


def _mode_of(mode: str) -> str:
    """Which colours the pixels of a picture have: `RGB`, `L` or `CMYK`."""
    if mode == "CMYK":
        return mode
    return "L" if mode in ("1", "L", "LA", "La") or mode.startswith("I") else "RGB"


def _transform(profile: bytes) -> Transform | None:
    if not _is_bounded(profile):
        return None
    mode = _MODES[profile[16:20]]
    try:
        opened = ImageCms.getOpenProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "RGB" and _changes_nothing(transform):
        return None
    # Each thread that computes with it may do so at the same time: it is only read.
    return lambda image: transform.apply(image.convert(mode))


_cached = lru_cache(maxsize=16)(_transform)


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    changed = np.asarray(transform.apply(Image.fromarray(colours)))
    return bool(np.abs(changed.astype(int) - colours).max() <= _SAME)


def _is_bounded(profile: bytes) -> bool:
    """Whether it is of a device, and by matrix or by tables that lie in it as a whole.

    Chains of any number of steps (`mpet`) are possible too, and tables that are said to be huge.
    """
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp" or profile[12:16] not in _CLASSES:
        return False
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    if count > _MOST_TAGS or _HEADER + 4 + _TAG * count > len(profile):
        return False
    for number in range(count):
        name, at, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + _TAG * number)
        if name.startswith((b"D2B", b"B2D")) or (
            name.startswith(b"A2B") and not _is_whole(profile[at : at + size])
        ):
            return False
    return True


def _is_whole(table: bytes) -> bool:
    """Whether a table from the device's colours has all the points that it says."""
    if len(table) < 32:
        return False
    inputs, outputs = table[8], table[9]
    if table[:4] in (b"mft1", b"mft2"):
        points: int = table[10] ** inputs
        return points * outputs <= len(table)
    if table[:4] != b"mAB ":
        return False
    (at,) = struct.unpack_from(">I", table, 24)
    if not at:
        return True
    points = outputs
    for number in table[at : at + min(inputs, 16)]:
        points *= number
    return points <= len(table)
