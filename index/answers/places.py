"""The places of a picture that is touched: what is seen at each, from the cells of the squares around it.

A square as a whole tells what lies in its middle, not what lies at a point of it: a cup on a table is seldom as
large as a square. The cells near the point do, and where squares overlap, the mean of those of all that hold it
(docs/places.md). Places that show the same share their sounds, so that few searches answer for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.answers.objects import MOST_SHOWN
from index.answers.recommendation import PictureObject
from index.answers.seen import Seen, told
from index.nearest.vectors import Vectors
from model.heads import MaterialHeads
from model.region import Grid, Region
from model.runtime import TowerRuntime

_PLACES_A_SIDE = 2
"""Places for each square, along each side of the picture."""
_WINDOW = 2 / 3
"""How much of the side of a square is looked at around a place."""
_MOST_SEARCHES = 12

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Places:
    """Places in `columns` and `rows`, row by row: the centre of each as fractions of the picture's sides.

    `seen` is what is in a square around the centre; `size` is its side as a share of the picture's shorter side.
    `square` is the number of the nearest square of the grid.
    """

    columns: int
    rows: int
    size: float
    centres: list[tuple[float, float]]
    square: list[int]
    seen: list[Seen]

    def alike(self) -> list[list[int]]:
        """The places that share their sounds, at most twelve lists; each place is in one.

        Those of one square that have the same likeliest material; where that makes too many lists, those of the
        whole picture that have; and where the picture has too many materials for that, those of one square.
        """
        for by_square, by_material in ((True, True), (False, True), (True, False)):
            found: dict[tuple[int, int, bool | None], list[int]] = {}
            for number, one in enumerate(self.seen):
                # Without materials, which a bundle tells everywhere or nowhere, the squares are few enough.
                material = -1 if one.materials is None or not by_material else int(one.materials.argmax())
                square = self.square[number] if by_square else -1
                found.setdefault((square, material, one.recognised if by_material else None), []).append(number)
            if len(found) <= _MOST_SEARCHES:
                break
        return list(found.values())

    def together(self, places: Sequence[int]) -> Seen:
        """What is seen at several places that are alike."""
        seen = [self.seen[number] for number in places]
        first = seen[0]
        if len(seen) == 1:
            return first
        materials = [one.materials for one in seen if one.materials is not None]
        objects: dict[str, float] = {}
        for shown in (shown for one in seen for shown in one.objects or ()):
            objects[shown.name] = max(shown.probability, objects.get(shown.name, 0.0))
        likeliest = sorted(objects.items(), key=lambda one: -one[1])[:MOST_SHOWN]
        return Seen(
            _unit(np.mean([one.embedding for one in seen], axis=0, dtype=np.float64)),
            np.mean(materials, axis=0) if materials else None,
            first.recognised,
            None if first.objects is None else [PictureObject(*one) for one in likeliest],
        )


def places_of(
    towers: TowerRuntime, heads: MaterialHeads | None, squares: Sequence[npt.NDArray[np.uint8]], grid: Grid
) -> Places:
    """The places of a picture, from the pixels `[size, size, 3]` of the squares of its grid, run together.

    A bundle that gives no cells tells the squares alone: they are the places then.
    """
    found = towers.embed_pictures(np.stack(squares))
    spec = towers.bundle.spec
    if found.cells is None:
        centres = [(square.x, square.y) for square in grid.squares]
        seen = told(spec, heads, found.embedding, found.objects, squares)
        return Places(grid.columns, grid.rows, grid.size, centres, list(range(len(centres))), seen)
    columns, rows, centres = centres_of(grid)
    nearest = [grid.nearest(*centre) for centre in centres]
    embeddings = embeddings_at(centres, grid, found.cells)
    parts = [
        squares[square][window(grid.regions[square], centre, squares[square].shape[:2])]
        for square, centre in zip(nearest, centres, strict=True)
    ]
    objects = None if found.objects is None else found.objects[nearest]
    seen = told(spec, heads, embeddings, objects, parts)
    return Places(columns, rows, _WINDOW * grid.size, centres, nearest, seen)


def centres_of(grid: Grid) -> tuple[int, int, list[tuple[float, float]]]:
    """How many columns and rows of places a picture is divided into, and their centres, row by row."""
    columns, rows = _PLACES_A_SIDE * grid.columns, _PLACES_A_SIDE * grid.rows
    return columns, rows, [((x + 0.5) / columns, (y + 0.5) / rows) for y in range(rows) for x in range(columns)]


def embeddings_at(centres: Sequence[tuple[float, float]], grid: Grid, cells: Vectors) -> Vectors:
    """The embeddings `[n, 128]` at points of a picture, from the `cells [S, rows, columns, 128]` of its squares."""
    found = []
    for centre in centres:
        holding = [number for number, region in enumerate(grid.regions) if region.holds(*centre)]
        # A picture longer than six squares has points in none.
        means = [
            cells[number][window(grid.regions[number], centre, cells.shape[1:3])].mean(
                axis=(0, 1), dtype=np.float64
            )
            for number in holding or [grid.nearest(*centre)]
        ]
        found.append(_unit(np.mean(means, axis=0)))
    return np.stack(found)


def window(region: Region, centre: tuple[float, float], shape: tuple[int, ...]) -> Window:
    """The rows and columns around a point, of the `shape` (rows, columns) that a region of the picture has."""
    rows, columns = (
        _within(place, count)
        for place, count in zip(
            ((centre[1] - region.y) / region.height, (centre[0] - region.x) / region.width), shape, strict=True
        )
    )
    return rows, columns


def _within(place: float, count: int) -> slice:
    """`_WINDOW` of `count` around a place from 0 to 1, moved inside near the ends."""
    wide = max(1, round(_WINDOW * count))
    first = min(max(0, round(place * count - wide / 2)), count - wide)
    return slice(first, first + wide)


def _unit(vector: npt.NDArray[np.float64]) -> Vectors:
    length = float(np.sqrt(np.square(vector).sum()))
    unit: Vectors = (vector / max(length, 1e-12)).astype(np.float32)
    return unit
