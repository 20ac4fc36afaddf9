"""Ways to tell what is at a point of a picture, from the regions of it that the image tower is run on."""

from collections.abc import Callable
from dataclasses import dataclass

from model.region import Region

Point = tuple[float, float]
Weighed = list[tuple[Region, float]]

WHOLE = Region(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Variant:
    """Which regions answer for a point of a picture of a width and height, with what weight each.

    `runs`: how often the tower is run for one map; for a region around the point itself, which is asked about
    alone, it is 1. `anywhere`: points at random are measured, too.
    """

    name: str
    runs: int
    regions: Callable[[int, int, Point], Weighed]
    anywhere: bool = False


def around(size: float, *, anywhere: bool = False) -> Variant:
    """The region around the point, as `at` asks for it."""

    def regions(width: int, height: int, point: Point) -> Weighed:
        return [(Region.around(*point, size), 1.0)]

    return Variant(f"around the point, {size:g}", 1, regions, anywhere)


def grid(
    longer: int, shorter: int, size: float, *, neighbours: float = 0.0, whole: float = 0.0, anywhere: bool = True
) -> Variant:
    """The nearest of places in a grid, `longer` of them along the longer side; others beside it may have weights.

    `neighbours`: the weight of each place beside it, above or below. `whole`: of the whole picture.
    """

    def regions(width: int, height: int, point: Point) -> Weighed:
        columns, rows = (longer, shorter) if width >= height else (shorter, longer)
        across, down = (_nearest(one, count, size) for one, count in zip(point, (columns, rows), strict=True))
        found = [(_place(columns, rows, across, down, size), 1.0)]
        if neighbours:
            beside = [(across - 1, down), (across + 1, down), (across, down - 1), (across, down + 1)]
            found += [
                (_place(columns, rows, x, y, size), neighbours)
                for x, y in beside
                if 0 <= x < columns and 0 <= y < rows
            ]
        return found + ([(WHOLE, whole)] if whole else [])

    name = f"{longer} x {shorter} places, {size:g}"
    name += f", neighbours {neighbours:g}" if neighbours else ""
    name += f", whole {whole:g}" if whole else ""
    return Variant(name, longer * shorter + bool(whole), regions, anywhere)


def _spread(count: int, size: float) -> list[float]:
    return [0.5] if count == 1 else [size / 2 + number * (1 - size) / (count - 1) for number in range(count)]


def _nearest(one: float, count: int, size: float) -> int:
    return min(range(count), key=lambda number: abs(_spread(count, size)[number] - one))


def _place(columns: int, rows: int, across: int, down: int, size: float) -> Region:
    return Region.around(_spread(columns, size)[across], _spread(rows, size)[down], size)


AROUND = {
    one.name: one
    for one in (around(size, anywhere=size in (0.4, 0.5)) for size in (0.2, 0.25, 0.33, 0.4, 0.5, 0.6))
}
"""What `at` may ask for, by name: no maps."""

VARIANTS = [
    Variant("the whole picture", 1, lambda width, height, point: [(WHOLE, 1.0)]),
    *AROUND.values(),
    grid(2, 2, 0.5),
    grid(3, 2, 0.4),
    grid(3, 2, 0.5),
    grid(3, 2, 0.5, neighbours=0.2),
    grid(3, 2, 0.5, whole=0.5),
    grid(3, 3, 0.33),
    grid(3, 3, 0.4),
    grid(3, 3, 0.5),
]
