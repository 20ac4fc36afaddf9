"""A part of a picture, told in fractions of it."""

import math
from dataclasses import dataclass
from typing import Self

AROUND = 0.4
"""Sides of the part around a point, as fractions of the picture's (benchmarks/part_of_picture.py)."""


@dataclass(frozen=True)
class Part:
    """A rectangle in an upright picture: `x` and `y` of its left upper corner, from 0 to 1, and its sides.

    Raises ValueError unless it has an area and lies within the picture.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.x, self.y, self.width, self.height)):
            raise ValueError("a part of a picture is told in finite numbers")
        if self.width <= 0 or self.height <= 0:
            raise ValueError("the part of the picture has no area; width and height must be above 0")
        # What was computed from pixels may be a hair too large.
        if self.x < 0 or self.y < 0 or self.x + self.width > 1 + 1e-6 or self.y + self.height > 1 + 1e-6:
            raise ValueError("the part is not within the picture, which reaches from 0 to 1 both ways")

    @classmethod
    def around(cls, x: float, y: float, side: float = AROUND) -> Self:
        """The part around a point: `side` wide and high, moved inside where the point is near an edge.

        Raises ValueError unless the point is within the picture.
        """
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError("the point is not within the picture, which reaches from 0 to 1 both ways")
        left, top = (min(max(0.0, middle - side / 2), 1 - side) for middle in (x, y))
        return cls(left, top, side, side)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in a picture of `width` x `height` pixels."""
        right, bottom = min(1.0, self.x + self.width), min(1.0, self.y + self.height)
        return self.x * width, self.y * height, right * width, bottom * height
