"""How often the material at a place is told, by heads fitted without the photographs' group of sources."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.places.composed import Composed, Touch
from benchmarks.places.maps import SERVED, CellMap, feature_map
from benchmarks.places.variants import Variant, Weighed
from model.materials import MATERIALS
from model.picture import picture_arrays
from model.picture_format import PictureLimits
from model.progress import progress
from model.region import Region
from training.pretraining.fit_heads import PictureClassifier
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.pooling import pool
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData
from training.pretraining.space import picture_projection

Right = npt.NDArray[np.bool_]
_BATCH = 32


@dataclass(frozen=True)
class Told:
    """Of each touch of a group's pictures, `[n]`: the picture's number, and whether its photograph was told.

    `whole`: from the photograph alone. `middle` and `anywhere`: by each variant, by its name.
    """

    picture: npt.NDArray[np.int64]
    layout: npt.NDArray[np.str_]
    whole: Right
    middle: Mapping[str, Right]
    anywhere: Mapping[str, Right]


class Teller:
    """Tells materials from pooled features, by a classifier that was fitted without a group."""

    def __init__(self, data: PictureData, classifier: PictureClassifier, recipe: PretrainingRecipe) -> None:
        self._projection = picture_projection(classifier)
        self._centre = recipe.centre
        self._head = ImagenetHead(data.imagenet_rows, data.imagenet_bias, recipe)

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings `[B, 128]` of features `[B, F]`."""
        with torch.inference_mode():
            return normalize(self._projection(features) + self._head(features)[1], dim=1)

    def cells(self, maps: Tensor) -> Tensor:
        """Cells `[B, rows, columns, 128]` of last maps `[B, rows, columns, F]`, as the image tower gives them."""
        with torch.inference_mode():
            added = self._head(pool(maps, self._centre))[1]
            cells: Tensor = self._projection(maps) + added[:, None, None]
            return cells


def told(
    data: PictureData,
    teller: Teller,
    pictures: Sequence[Composed],
    variants: Sequence[Variant],
    maps: Sequence[CellMap],
    size: int,
) -> Told:
    """Measure all variants and maps, and what is served, on the pictures of one group."""
    number, layouts, whole = [], [], []
    every: list[Variant | CellMap] = [*variants, *maps]
    middle: dict[str, list[bool]] = {SERVED.name: [], **{one.name: [] for one in every}}
    anywhere: dict[str, list[bool]] = {SERVED.name: [], **{one.name: [] for one in every if one.anywhere}}
    alone = teller.embed(data.picture_features)
    with progress("composed pictures", len(pictures), "picture") as bar:
        for count, picture in enumerate(pictures):
            asked = _asked(picture, variants)
            vectors = dict(zip(asked, teller.embed(_features(data, picture, asked, size)), strict=True))
            width, height = picture.size
            last = {runs: feature_map(data, picture, runs, size) for runs in {one.runs for one in maps}}
            for answers, touches in ((middle, picture.middles), (anywhere, picture.anywhere)):
                seen = SERVED.embeddings(data, teller.cells, picture, touches, size)
                answers[SERVED.name] += [_right(data, *pair) for pair in zip(touches, seen, strict=True)]
                for one in (one for one in maps if one.name in answers):
                    windows = [
                        one.features(last[one.runs], touch, data.picture_network.centre) for touch in touches
                    ]
                    seen = teller.embed(torch.stack(windows))
                    answers[one.name] += [_right(data, *pair) for pair in zip(touches, seen, strict=True)]
                for name, variant in ((one.name, one) for one in variants if one.name in answers):
                    for touch in touches:
                        regions = variant.regions(width, height, (touch.x, touch.y))
                        answers[name].append(_right(data, touch, _mean(vectors, regions)))
            for touch in picture.middles:
                number.append(count)
                layouts.append(picture.layout)
                whole.append(_right(data, touch, alone[touch.photograph]))
            bar.update()
    return Told(
        np.array(number),
        np.array(layouts),
        np.array(whole),
        {name: np.array(its) for name, its in middle.items()},
        {name: np.array(its) for name, its in anywhere.items()},
    )


def _asked(picture: Composed, variants: Iterable[Variant]) -> list[Region]:
    """All regions of a picture that some variant needs, each once."""
    width, height = picture.size
    found: dict[Region, None] = {}
    for variant in variants:
        touches = picture.middles + (picture.anywhere if variant.anywhere else [])
        for touch in touches:
            found |= {region: None for region, _ in variant.regions(width, height, (touch.x, touch.y))}
    return list(found)


def _features(data: PictureData, picture: Composed, regions: list[Region], size: int) -> Tensor:
    """Features `[n, F]` of `regions` of a picture, from the pixels that a service would give to the tower."""
    side = min(min(region.width, region.height) for region in regions)
    pixels = picture_arrays(picture.data, size, "crop", PictureLimits(), side, lambda width, height: regions)
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(np.stack(pixels)), _BATCH)
        return torch.cat([data.picture_network(part) for part in parts])


def _mean(vectors: Mapping[Region, Tensor], regions: Weighed) -> Tensor:
    return sum((weight * vectors[region] for region, weight in regions), torch.zeros(()))


def _right(data: PictureData, touch: Touch, vector: Tensor) -> bool:
    return int(vector[: len(MATERIALS)].argmax()) == int(data.pictures.material[touch.photograph])
