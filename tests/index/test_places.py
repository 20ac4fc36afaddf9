"""The places of a picture that is touched: from the cells of its squares to what is seen at each."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.answers.places import Places, embeddings_at, places_of, window
from index.answers.recommendation import PictureObject
from index.answers.seen import Seen
from model.region import Grid
from model.runtime import PictureEmbeddings

SIZE, CELLS = 12, 6


def cells_of(grid: Grid) -> np.ndarray:
    """Cells of which each tells where in the picture it lies, and of which square it is."""
    cells = np.zeros((len(grid.squares), CELLS, CELLS, 128), np.float32)
    for number, region in enumerate(grid.regions):
        along = (np.arange(CELLS) + 0.5) / CELLS
        cells[number, :, :, 0] = region.x + region.width * along[None]
        cells[number, :, :, 1] = region.y + region.height * along[:, None]
        cells[number, :, :, 2 + number] = 1.0
    return cells


def test_a_place_is_told_by_the_cells_around_it() -> None:
    grid = Grid.of(800, 600)
    assert (grid.columns, grid.rows) == (3, 2)
    (inside,), (edge,) = (embeddings_at([one], grid, cells_of(grid)) for one in ((0.5, 0.25), (0.001, 0.001)))
    assert np.linalg.norm(inside) == pytest.approx(1)
    # In the middle of the second square all cells around the point count alike.
    assert inside[3] > 0
    assert (inside[:2] / inside[3]).tolist() == pytest.approx([0.5, 0.25], abs=0.02)
    assert np.flatnonzero(inside[2:]).tolist() == [1]
    # At an edge the window stays within the square.
    assert np.flatnonzero(edge[2:]).tolist() == [0]
    assert 0 < edge[0] / edge[2] < grid.regions[0].width / 2


def test_where_squares_overlap_all_of_them_count() -> None:
    grid = Grid.of(640, 240)
    x, y = 0.5, 0.5
    holding = [number for number, region in enumerate(grid.regions) if region.holds(x, y)]
    assert len(holding) > 1
    (found,) = embeddings_at([(x, y)], grid, cells_of(grid))
    assert np.flatnonzero(found[2:]).tolist() == holding
    assert len(set(found[2:][holding].tolist())) == 1


def test_a_point_that_no_square_holds_is_told_by_the_nearest() -> None:
    grid = Grid.of(9000, 100)
    x = (grid.regions[0].x + grid.regions[0].width + grid.regions[1].x) / 2 - 0.001
    assert not any(region.holds(x, 0.5) for region in grid.regions)
    (found,) = embeddings_at([(x, 0.5)], grid, cells_of(grid))
    assert np.flatnonzero(found[2:]).tolist() == [0]


@given(
    st.integers(16, 5000),
    st.integers(16, 5000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_a_window_lies_within_its_square(
    width: int, height: int, x: float, y: float, rows: int, columns: int
) -> None:
    grid = Grid.of(width, height)
    found = window(grid.regions[grid.nearest(x, y)], (x, y), (rows, columns))
    for part, count in zip(found, (rows, columns), strict=True):
        assert 0 <= part.start < part.stop <= count
        assert part.stop - part.start == max(1, round(2 / 3 * count))


def towers(cells: np.ndarray | None, count: int) -> Any:
    unit = np.zeros((count, 128), np.float32)
    unit[:, 0] = 1
    found = PictureEmbeddings(unit, cells, None)
    spec = SimpleNamespace(calibration=None, objects=None)
    return SimpleNamespace(embed_pictures=lambda pictures: found, bundle=SimpleNamespace(spec=spec))


def test_without_cells_the_squares_are_the_places() -> None:
    grid = Grid.of(800, 600)
    pixels = [np.zeros((SIZE, SIZE, 3), np.uint8)] * 6
    found = places_of(towers(None, 6), None, pixels, grid)
    assert (found.columns, found.rows, found.size) == (3, 2, grid.size)
    assert found.centres == [(square.x, square.y) for square in grid.squares]
    assert found.alike() == [[number] for number in range(6)]
    with_cells = places_of(towers(cells_of(grid), 6), None, pixels, grid)
    assert (with_cells.columns, with_cells.rows, len(with_cells.seen)) == (6, 4, 24)
    assert sorted(number for its in with_cells.alike() for number in its) == list(range(24))
    assert len(with_cells.alike()) == 6


def seen(material: int, recognised: bool | None = True, objects: dict[str, float] | None = None) -> Seen:
    shown = None if objects is None else [PictureObject(*one) for one in objects.items()]
    return Seen(np.eye(128, dtype=np.float32)[material], np.eye(17)[material], recognised, shown)


def places(found: list[Seen], square: list[int]) -> Places:
    return Places(len(found), 1, 0.3, [(0.5, 0.5)] * len(found), square, found)


def test_places_that_are_alike_share_their_sounds() -> None:
    found = places([seen(1), seen(1), seen(2), seen(1), seen(1, recognised=False)], [0, 0, 0, 1, 1])
    assert found.alike() == [[0, 1], [2], [3], [4]]
    # Of many kinds in many squares, those of the whole picture.
    many = places([seen(number % 5) for number in range(24)], [number // 2 for number in range(24)])
    assert many.alike() == [list(range(first, 24, 5)) for first in range(5)]


@given(st.lists(st.tuples(st.integers(0, 16), st.sampled_from([True, False, None])), min_size=1, max_size=24))
def test_there_are_at_most_twelve_searches(found: list[tuple[int, bool | None]]) -> None:
    its = places([seen(*one) for one in found], [number // 4 for number in range(len(found))])
    alike = its.alike()
    assert len(alike) <= 12
    assert sorted(number for group in alike for number in group) == list(range(len(found)))


def test_what_is_seen_at_places_that_are_alike() -> None:
    one, other = seen(1, objects={"cup": 0.9, "door": 0.2}), seen(1, objects={"cup": 0.4, "lamp": 0.3})
    other = replace(other, embedding=np.eye(128, dtype=np.float32)[2])
    found = places([one, other], [0, 0]).together([0, 1])
    assert found.embedding[1:3].tolist() == pytest.approx([0.5**0.5] * 2)
    assert np.linalg.norm(found.embedding) == pytest.approx(1)
    assert found.materials is not None
    assert found.materials.tolist() == np.eye(17)[1].tolist()
    assert [(shown.name, shown.probability) for shown in found.objects or ()] == [
        ("cup", 0.9), ("lamp", 0.3), ("door", 0.2)
    ]  # fmt: skip
    assert places([one], [0]).together([0]) is one
