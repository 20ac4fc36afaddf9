"""Regions of a picture, and the places of one that is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.region import MOST_SQUARES, PLACE_SIZE, Grid, Region, Spot


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
@pytest.mark.parametrize("size", [0.05, 0.3, 1.0, PLACE_SIZE])
@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 400), (100, 1000)])
def test_around_a_point_is_a_square_within_the_picture(
    x: float, y: float, size: float, width: int, height: int
) -> None:
    region = Spot(x, y, size).region(width, height)
    side = size * min(width, height)
    assert (region.width * width, region.height * height) == pytest.approx((side, side))
    assert region.x - 1e-9 <= x <= region.x + region.width + 1e-9
    assert region.y - 1e-9 <= y <= region.y + region.height + 1e-9


def test_around_a_point_outside() -> None:
    for x, y in ((1.1, 0.5), (0.5, -0.1), (float("nan"), 0.5)):
        with pytest.raises(ValueError, match="not within"):
            Spot(x, y)


@pytest.mark.parametrize("size", [0.0, 0.049, 1.01, -1.0, float("nan"), float("inf")])
def test_a_size_that_is_none(size: float) -> None:
    with pytest.raises(ValueError, match=r"from 0\.05 to 1"):
        Spot(0.5, 0.5, size)


@given(st.integers(16, 20_000), st.integers(16, 20_000), st.integers(0, 16))
def test_the_places_cover_a_picture_as_far_as_six_can(width: int, height: int, least: int) -> None:
    grid = Grid.of(width, height, least)
    assert grid.size * min(width, height) >= least - 1e-9
    assert len(grid.squares) == grid.columns * grid.rows <= MOST_SQUARES
    assert PLACE_SIZE - 1e-9 <= grid.size <= 1
    centres = [(spot.x, spot.y) for spot in grid.squares]
    assert centres == sorted(centres, key=lambda one: (one[1], one[0])), "row by row"
    first, last = (grid.squares[number].region(width, height) for number in (0, -1))
    for count, begin, end, share in (
        (grid.columns, first.x, last.x + last.width, first.width),
        (grid.rows, first.y, last.y + last.height, first.height),
    ):
        if count > 1:
            assert (begin, end) == pytest.approx((0, 1))
        # Pictures that are longer than six squares are not covered.
        assert count * share >= min(1, MOST_SQUARES * min(width, height) / max(width, height)) - 1e-9


@pytest.mark.parametrize(
    ("width", "height", "shape", "size"),
    [
        (640, 480, (3, 2), 0.5),
        (480, 640, (2, 3), 0.5),
        (500, 500, (2, 2), 0.5),
        (640, 320, (3, 2), 2 / 3),
        (1200, 200, (6, 1), 1.0),
        (200, 2000, (1, 6), 1.0),
    ],
)
def test_the_shape_of_a_grid(width: int, height: int, shape: tuple[int, int], size: float) -> None:
    grid = Grid.of(width, height)
    assert (grid.columns, grid.rows, grid.size) == pytest.approx((*shape, size))
