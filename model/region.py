"""Parts of a picture: a region, which a user may choose, and the places of a picture that can be touched."""

import math
from dataclasses import dataclass
from typing import Self

PLACE_SIZE = 0.5
"""Sides of the region around a point, as fractions of the picture's sides, where a user does not say."""

LEAST_SIZE = 0.05


@dataclass(frozen=True)
class Region:
    """A rectangle in an upright picture: upper left corner and sides, all as fractions of the picture's sides.

    Raises ValueError unless it has an area and lies within the picture.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.x, self.y, self.width, self.height)):
            raise ValueError("the numbers of a part of a picture must be finite")
        if self.width <= 0 or self.height <= 0:
            raise ValueError("the part of the picture has no area; width and height must be above 0")
        # Numbers computed from pixels may be too large by rounding.
        if self.x < 0 or self.y < 0 or self.x + self.width > 1 + 1e-6 or self.y + self.height > 1 + 1e-6:
            raise ValueError("the part is not within the picture, which reaches from 0 to 1 both ways")

    @classmethod
    def around(cls, x: float, y: float, size: float = PLACE_SIZE) -> Self:
        """The region around a point: `size` wide and high, moved inside where the point is near an edge.

        Raises ValueError unless the point is within the picture and `size` is from 0.05 to 1.
        """
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError("the point is not within the picture, which reaches from 0 to 1 both ways")
        if not LEAST_SIZE <= size <= 1:
            raise ValueError(f"the size of the part is {size:g}; it must be from {LEAST_SIZE:g} to 1")
        left, top = (min(max(0.0, middle - size / 2), 1 - size) for middle in (x, y))
        return cls(left, top, size, size)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in a picture of `width` x `height` pixels."""
        right, bottom = min(1.0, self.x + self.width), min(1.0, self.y + self.height)
        return self.x * width, self.y * height, right * width, bottom * height


@dataclass(frozen=True)
class Grid:
    """Places of a picture in `columns` and `rows`, which overlap: each is a region, `size` of the picture's sides.

    A point of the picture belongs to the place whose centre is nearest.
    """

    columns: int
    rows: int
    size: float = PLACE_SIZE

    @classmethod
    def of(cls, width: int, height: int) -> Self:
        """The grid of a picture of `width` x `height` pixels: more places along its longer sides."""
        return cls(3, 2) if width >= height else cls(2, 3)

    def centres(self) -> list[tuple[float, float]]:
        """The centres of the places, row by row, as fractions of the picture's sides."""
        across, down = (self._spread(count) for count in (self.columns, self.rows))
        return [(x, y) for y in down for x in across]

    def places(self) -> list[Region]:
        """The places, row by row."""
        return [Region.around(x, y, self.size) for x, y in self.centres()]

    def _spread(self, count: int) -> list[float]:
        if count == 1:
            return [0.5]
        return [self.size / 2 + number * (1 - self.size) / (count - 1) for number in range(count)]


MOST_PLACES = 6
"""Places that a picture has at most."""
