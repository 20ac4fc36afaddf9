"""Colour profiles, for the tests of what is made of them."""

import struct

from PIL import ImageCms

# The columns of the matrix to XYZ under D50, of red, green and blue.
_DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display_p3() -> bytes:
    """The one of sRGB with the colours of Display P3, whose curve is the same."""
    made = bytearray(srgb())
    (count,) = struct.unpack_from(">I", made, 128)
    for number in range(count):
        name, at, _ = struct.unpack_from(">4sII", made, 132 + 12 * number)
        if name in _DISPLAY_P3:
            made[at + 8 : at + 20] = struct.pack(">3i", *(round(one * 65_536) for one in _DISPLAY_P3[name]))
    return bytes(made)


def with_tag(profile: bytes, name: bytes, content: bytes) -> bytes:
    """The profile with one tag more."""
    (count,) = struct.unpack_from(">I", profile, 128)
    moved = bytearray(profile[:128] + struct.pack(">I", count + 1))
    for number in range(count):
        tag, at, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        moved += struct.pack(">4sII", tag, at + 12, size)
    moved += struct.pack(">4sII", name, len(profile) + 12, len(content))
    moved += profile[132 + 12 * count :] + content
    return struct.pack(">I", len(moved)) + bytes(moved[4:])


def table(inputs: int, steps: int, values: bytes) -> bytes:
    """A `mft1` table from `inputs` colours to Lab, with `steps` points for each of them."""
    curve = bytes(range(256))
    matrix = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    return b"mft1\0\0\0\0" + bytes((inputs, 3, steps, 0)) + matrix + curve * inputs + values + curve * 3


def of_ink(inputs: int = 4, steps: int = 2) -> bytes:
    """A profile of CMYK: no ink is white, all other points of the table are a dark red."""
    white, red = bytes((255, 128, 128)), bytes((80, 190, 170))
    header = bytearray(srgb()[:128])
    header[12:24] = b"prtrCMYKLab "
    whole = bytes(header) + bytes(4)
    return with_tag(whole, b"A2B0", table(inputs, steps, white + red * (2**4 - 1)))


def of_grey() -> bytes:
    """A profile of grey with a gamma of 1."""
    header = bytearray(srgb()[:128])
    header[16:20] = b"GRAY"
    whole = with_tag(bytes(header) + bytes(4), b"kTRC", b"curv" + bytes(8))
    return with_tag(whole, b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061))
