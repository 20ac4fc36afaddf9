"""Regions of a picture, and the places of one that is touched."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.region import MOST_PLACES, PLACE_SIZE, Grid, Region


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ((0.0, 0.0, 0.0, 0.5), "no area"),
        ((0.0, 0.0, 0.5, -0.1), "no area"),
        ((-0.1, 0.0, 0.5, 0.5), "within"),
        ((0.6, 0.0, 0.5, 0.5), "within"),
        ((0.0, 0.6, 0.5, 0.5), "within"),
        ((float("nan"), 0.0, 0.5, 0.5), "finite"),
        ((0.0, 0.0, float("inf"), 0.5), "finite"),
    ],
)
def test_an_invalid_region_is_refused(numbers: tuple[float, float, float, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Region(*numbers)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (0.5, 0.5), (1, 1), (0.05, 0.9)])
def test_around_a_point(x: float, y: float) -> None:
    region = Region.around(x, y)
    assert (region.width, region.height) == (PLACE_SIZE, PLACE_SIZE)
    assert region.x - 1e-9 <= x <= region.x + PLACE_SIZE + 1e-9
    assert region.y - 1e-9 <= y <= region.y + PLACE_SIZE + 1e-9


def test_around_a_point_outside() -> None:
    for x, y in ((1.1, 0.5), (0.5, -0.1), (float("nan"), 0.5)):
        with pytest.raises(ValueError, match="not within"):
            Region.around(x, y)


@pytest.mark.parametrize("size", [0.05, 0.3, 1.0])
def test_around_a_point_with_a_size(size: float) -> None:
    region = Region.around(0.5, 0.9, size)
    assert (region.width, region.height) == (size, size)
    assert region.y + size == pytest.approx(min(1.0, 0.9 + size / 2))
    if size == 1:
        assert region == Region(0, 0, 1, 1)


@pytest.mark.parametrize("size", [0.0, 0.049, 1.01, -1.0, float("nan"), float("inf")])
def test_a_size_that_is_none(size: float) -> None:
    with pytest.raises(ValueError, match=r"from 0\.05 to 1"):
        Region.around(0.5, 0.5, size)


@given(st.integers(16, 20_000), st.integers(16, 20_000))
def test_the_places_cover_a_picture(width: int, height: int) -> None:
    grid = Grid.of(width, height)
    places = grid.places()

    assert len(places) == len(grid.centres()) == grid.columns * grid.rows <= MOST_PLACES
    assert (grid.columns >= grid.rows) == (width >= height), "more of them along the longer side"
    for (x, y), place in zip(grid.centres(), places, strict=True):
        assert (place.x + place.width / 2, place.y + place.height / 2) == (pytest.approx(x), pytest.approx(y))
    assert (places[0].x, places[0].y) == (pytest.approx(0), pytest.approx(0))
    assert places[-1].x + places[-1].width == pytest.approx(1)
    assert places[-1].y + places[-1].height == pytest.approx(1)
    # Row by row, and without gaps.
    assert [y for _, y in grid.centres()] == sorted(y for _, y in grid.centres())
    for spread in ({x for x, _ in grid.centres()}, {y for _, y in grid.centres()}):
        rising = sorted(spread)
        assert all(after - before <= grid.size + 1e-9 for before, after in itertools.pairwise(rising))


def test_a_grid_of_one_place_is_in_the_middle() -> None:
    assert Grid(1, 1, 0.5).centres() == [(0.5, 0.5)]
    assert Grid(3, 2, PLACE_SIZE).columns == 3
