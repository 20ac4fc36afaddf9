"""Ways to tell what is at a point from cells of the last map: of a run on a whole picture, or of squares.

What is served are places of squares (`index/answers/places.py`), by the service's own code. Of windows in one run
of a whole picture none is served: the tower that ships takes one size, and adds to each of its cells what the whole
picture shows. Here what is added is of the window.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.places.composed import Composed, Touch
from index.answers.places import centres_of, embeddings_at
from model.picture import decode_picture, picture_arrays
from model.picture_format import PictureLimits
from model.region import MOST_SQUARES, Grid
from training.pretraining.pooling import pool
from training.pretraining.pretraining_data import PictureData

_STRIDE = 32


@dataclass(frozen=True)
class CellMap:
    """A window of the last feature map, `size` of the picture's sides, around the point.

    `runs`: how many times the pixels of the tower's input the picture has, its shape kept.
    """

    runs: float
    size: float
    anywhere: bool = True

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"one run of {self.runs:g} times the pixels, windows of {self.size:.2g}"

    def features(self, maps: Tensor, touch: Touch, centre: float) -> Tensor:
        """Features `[F]` of the window in `maps [rows, columns, F]`, moved inside near an edge."""
        rows, columns = maps.shape[:2]
        high, wide = (max(1, round(self.size * count)) for count in (rows, columns))
        top, left = (
            min(max(0, round(one * count - side / 2)), count - side)
            for one, count, side in ((touch.y, rows, high), (touch.x, columns, wide))
        )
        return pool(maps[None, top : top + high, left : left + wide], centre)[0]


def feature_map(data: PictureData, picture: Composed, runs: float, size: int) -> Tensor:
    """The last map `[rows, columns, F]` of a picture of about `runs` times the pixels of the tower's input."""
    image = decode_picture(picture.data)
    scale = math.sqrt(runs * size * size / (image.width * image.height))
    width, height = (max(_STRIDE, _STRIDE * round(scale * side / _STRIDE)) for side in image.size)
    pixels = torch.from_numpy(np.array(image.resize((width, height)), np.uint8))[None]
    network = data.picture_network
    with torch.inference_mode():
        maps: Tensor = network.features(network.normalise(pixels)).permute(0, 2, 3, 1)
    return maps[0]


class ServedPlaces:
    """The places that a service divides a picture into: the nearest one answers for a point."""

    name = "the nearest place, from the cells of at most six squares"
    runs = MOST_SQUARES

    def embeddings(
        self,
        data: PictureData,
        cells_of: Callable[[Tensor], Tensor],
        picture: Composed,
        touches: Sequence[Touch],
        size: int,
    ) -> Tensor:
        """The embeddings `[n, 128]` of the places touched.

        `cells_of` gives the cells `[B, rows, columns, 128]` of last maps `[B, rows, columns, F]`.
        """
        grid = Grid.of(*picture.size)
        side = min(min(region.width, region.height) for region in grid.regions)
        pixels = picture_arrays(
            picture.data, size, "crop", PictureLimits(), side, lambda width, height: grid.squares
        )
        network = data.picture_network
        with torch.inference_mode():
            maps = network.features(network.normalise(torch.from_numpy(np.stack(pixels)))).permute(0, 2, 3, 1)
            cells = cells_of(maps).numpy()
        _, _, centres = centres_of(grid)
        nearest = [min(centres, key=lambda one: math.dist(one, (touch.x, touch.y))) for touch in touches]
        return torch.from_numpy(embeddings_at(nearest, grid, cells))


SERVED = ServedPlaces()
MAPS = [CellMap(1, 1 / 6), CellMap(1, 0.5), CellMap(4, 0.25), CellMap(4, 0.33), CellMap(4, 0.5)]
