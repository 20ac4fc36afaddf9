"""Ways to tell what is at a point of a picture, from the regions of it that the image tower is run on."""

from collections.abc import Callable
from dataclasses import dataclass

from model.region import Grid, Region, Spot

Point = tuple[float, float]
Weighed = list[tuple[Region, float]]

WHOLE = Region(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Variant:
    """Which regions answer for a point of a picture of a width and height, with what weight each.

    `runs`: how often the tower is run for one map at most; for a region around the point itself, which is asked
    about alone, it is 1. `anywhere`: points at random are measured, too.
    """

    name: str
    runs: int
    regions: Callable[[int, int, Point], Weighed]
    anywhere: bool = True


def around(size: float, *, anywhere: bool = True) -> Variant:
    """The square around the point, as `at` asks for it."""

    def regions(width: int, height: int, point: Point) -> Weighed:
        return [(Spot(*point, size).region(width, height), 1.0)]

    return Variant(f"the square around the point, {size:g}", 1, regions, anywhere)


def _squares(width: int, height: int, point: Point) -> Weighed:
    grid = Grid.of(width, height)
    return [(grid.regions[grid.nearest(*point)], 1.0)]


def rectangles(longer: int, shorter: int, size: float, *, neighbours: float = 0.0, whole: float = 0.0) -> Variant:
    """The nearest of rectangles of `size` of both sides, `longer` of them along the longer side.

    Of a rectangle the tower sees the middle square. `neighbours`: the weight of each one beside, above or below it.
    `whole`: of the whole picture.
    """

    def regions(width: int, height: int, point: Point) -> Weighed:
        columns, rows = (longer, shorter) if width >= height else (shorter, longer)
        across, down = (_nearest(one, count, size) for one, count in zip(point, (columns, rows), strict=True))
        found = [(_rectangle(columns, rows, across, down, size), 1.0)]
        if neighbours:
            beside = [(across - 1, down), (across + 1, down), (across, down - 1), (across, down + 1)]
            found += [
                (_rectangle(columns, rows, x, y, size), neighbours)
                for x, y in beside
                if 0 <= x < columns and 0 <= y < rows
            ]
        return found + ([(WHOLE, whole)] if whole else [])

    name = f"{longer} x {shorter} rectangles, {size:g}"
    name += f", neighbours {neighbours:g}" if neighbours else ""
    name += f", whole {whole:g}" if whole else ""
    return Variant(name, longer * shorter + bool(whole), regions)


def _spread(count: int, size: float) -> list[float]:
    return [0.5] if count == 1 else [size / 2 + number * (1 - size) / (count - 1) for number in range(count)]


def _nearest(one: float, count: int, size: float) -> int:
    return min(range(count), key=lambda number: abs(_spread(count, size)[number] - one))


def _rectangle(columns: int, rows: int, across: int, down: int, size: float) -> Region:
    x, y = _spread(columns, size)[across], _spread(rows, size)[down]
    return Region(min(max(0.0, x - size / 2), 1 - size), min(max(0.0, y - size / 2), 1 - size), size, size)


SQUARES = Variant("the nearest of at most six squares", 6, _squares)

ALONE = (
    Variant("the whole picture", 1, lambda width, height, point: [(WHOLE, 1.0)], anywhere=False),
    around(0.3, anywhere=False),
    around(0.4),
    around(0.5),
    around(0.6, anywhere=False),
)
"""No maps."""

MAPPED = (
    SQUARES,
    rectangles(2, 2, 0.5),
    rectangles(3, 2, 0.4),
    rectangles(3, 2, 0.5),
    rectangles(3, 2, 0.5, neighbours=0.2),
    rectangles(3, 2, 0.5, whole=0.5),
    rectangles(3, 3, 0.33),
    rectangles(3, 3, 0.4),
    rectangles(3, 3, 0.5),
)

VARIANTS = ALONE + MAPPED
