"""What a picture may be. Apart from its decoding, so that settings import neither NumPy nor Pillow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may be, checked before its pixels are decoded.

    52 million pixels are what the 50-megapixel cameras of telephones give. Decoding that many takes 1.0 GB where
    they are a WebP with transparency, the greediest (20 bytes a pixel).
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 52_000_000
    min_side: int = 16
