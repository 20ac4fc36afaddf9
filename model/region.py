"""Parts of a picture: a region or a spot, which a user may choose, and the squares that one to touch is seen in."""

import math
from dataclasses import dataclass
from typing import Self

PLACE_SIZE = 0.5
"""The size of the square around a point where a user does not say, and the least of those of a `Grid`."""
MOST_SQUARES = 6
"""Squares that a picture is seen in at most, where it is touched."""

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

    def holds(self, x: float, y: float) -> bool:
        """Whether a point, in fractions of the picture's sides, lies in it or on its edge, but for rounding."""
        across, down = x - self.x, y - self.y
        return -1e-6 <= across <= self.width + 1e-6 and -1e-6 <= down <= self.height + 1e-6

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in a picture of `width` x `height` pixels."""
        right, bottom = min(1.0, self.x + self.width), min(1.0, self.y + self.height)
        return self.x * width, self.y * height, right * width, bottom * height


@dataclass(frozen=True)
class Spot:
    """A square around a point of a picture, moved inside where the point is near an edge.

    `size` is its side as a share of the picture's shorter side. Raises ValueError unless the point is within the
    picture and `size` is from 0.05 to 1.
    """

    x: float
    y: float
    size: float = PLACE_SIZE

    def __post_init__(self) -> None:
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1):
            raise ValueError("the point is not within the picture, which reaches from 0 to 1 both ways")
        if not LEAST_SIZE <= self.size <= 1:
            raise ValueError(f"the size of the part is {self.size:g}; it must be from {LEAST_SIZE:g} to 1")

    def region(self, width: int, height: int) -> Region:
        """The region that it is in a picture of `width` x `height` pixels."""
        wide, high = (self.size * min(width, height) / side for side in (width, height))
        left, top = (min(max(0.0, one - share / 2), 1 - share) for one, share in ((self.x, wide), (self.y, high)))
        return Region(left, top, wide, high)


@dataclass(frozen=True)
class Grid:
    """Squares in `columns` and `rows` that together cover a picture, and may overlap; see `Spot` for their `size`.

    `squares` are row by row, and `regions` are the same in fractions of the picture's sides.
    """

    columns: int
    rows: int
    size: float
    squares: tuple[Spot, ...]
    regions: tuple[Region, ...]

    @classmethod
    def of(cls, width: int, height: int, least: float = 0.0) -> Self:
        """The grid of a picture of so many pixels: the smallest squares of which six or fewer cover it.

        No square has a side of fewer than `least` pixels, unless the picture itself has.
        """

        def side(shape: tuple[int, int]) -> float:
            return max(width / shape[0], height / shape[1])

        shapes = [(columns, MOST_SQUARES // columns) for columns in range(1, MOST_SQUARES + 1)] + [(2, 2), (1, 1)]
        large = [shape for shape in shapes if side(shape) >= least] or [(1, 1)]
        best = min(large, key=lambda shape: (side(shape), shape[0] * shape[1]))
        # A picture longer than six squares is not covered: squares as large as its shorter side are spread over it.
        size = min(1.0, side(best) / min(width, height))
        across, down = (
            _spread(count, size * min(width, height) / full)
            for count, full in zip(best, (width, height), strict=True)
        )
        squares = tuple(Spot(x, y, size) for y in down for x in across)
        return cls(*best, size, squares, tuple(square.region(width, height) for square in squares))

    def nearest(self, x: float, y: float) -> int:
        """The number of the square whose centre is nearest to a point, in fractions of the picture's sides."""
        distances = [(abs(square.x - x), abs(square.y - y)) for square in self.squares]
        return distances.index(min(distances))


def _spread(count: int, share: float) -> list[float]:
    """The centres of `count` squares along a side of the picture, of which each takes `share`."""
    return [0.5] if count == 1 else [share / 2 + number * (1 - share) / (count - 1) for number in range(count)]
