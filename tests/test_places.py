"""The benchmark of places: where composed pictures are touched, and what the ways to tell it look at."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from benchmarks.places.__main__ import chosen_without, lines, table
from benchmarks.places.composed import LAYOUTS, Composed, compose
from benchmarks.places.maps import SERVED
from benchmarks.places.told import Told
from benchmarks.places.variants import MAPPED, SQUARES, VARIANTS
from training.pretraining.material_files import MaterialFiles

_EACH = 12


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> MaterialFiles:
    """Pictures of four materials, each in shades of a colour of its own."""
    folder = tmp_path_factory.mktemp("photographs")
    paths, material = [], []
    for number, colour in enumerate(((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))):
        for copy in range(_EACH):
            paths.append(folder / f"{number}-{copy}.png")
            Image.new("RGB", (100 + 13 * copy, 160 - 4 * copy), colour).save(paths[-1])
            material.append(number)
    count = len(paths)
    names = np.full(count, "one")
    true = np.ones(count, np.bool_)
    return MaterialFiles(tuple(paths), np.array(material), names, names, true, true, {}, 0)


@pytest.fixture(scope="module")
def composed(files: MaterialFiles) -> list[Composed]:
    return compose(files, np.arange(len(files)), 10, 0)


def test_what_is_touched_is_the_photograph_that_is_named(files: MaterialFiles, composed: list[Composed]) -> None:
    assert {one.layout for one in composed} == set(LAYOUTS)
    used = [touch.photograph for one in composed for touch in one.middles]
    assert len(set(used)) == len(used), "none is used twice"
    for one in composed:
        image = np.asarray(Image.open(io.BytesIO(one.data)).convert("RGB")).astype(int)
        assert (image.shape[1], image.shape[0]) == one.size
        assert [touch.photograph for touch in one.middles] == [touch.photograph for touch in one.anywhere]
        assert len({files.material[touch.photograph] for touch in one.middles}) == len(one.middles)
        for touch in one.middles:
            wanted = np.asarray(Image.open(files.paths[touch.photograph])).reshape(-1, 3)[0].astype(int)
            shown = image[int(touch.y * image.shape[0]), int(touch.x * image.shape[1])]
            assert np.abs(shown - wanted).max() < 60


def test_few_photographs_make_few_pictures(files: MaterialFiles) -> None:
    assert compose(files, np.flatnonzero(files.material == 0), 10, 0) == []
    assert len(compose(files, np.arange(len(files)), 1000, 0)) < len(files)


def test_every_way_looks_at_the_point(composed: list[Composed]) -> None:
    for one in composed:
        width, height = one.size
        for touch in one.middles:
            for variant in VARIANTS:
                (region, weight), *_ = variant.regions(width, height, (touch.x, touch.y))
                assert weight == 1
                if variant in (*MAPPED[1:], SQUARES) and "0.33" not in variant.name and "0.4" not in variant.name:
                    assert region.x - 1e-9 <= touch.x <= region.x + region.width + 1e-9
                    assert region.y - 1e-9 <= touch.y <= region.y + region.height + 1e-9


def test_what_is_served_tells_what_is_touched(files: MaterialFiles, composed: list[Composed]) -> None:
    """By a network that sees colours alone."""

    def features(pictures: Tensor) -> Tensor:
        return adaptive_avg_pool2d(pictures, 6)

    network = SimpleNamespace(normalise=lambda pictures: pictures.permute(0, 3, 1, 2).float(), features=features)
    data: Any = SimpleNamespace(picture_network=network)
    colours = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5**0.5, 0.5**0.5, 0]])
    for one in composed:
        if one.layout.startswith("two"):
            seen = SERVED.embeddings(data, lambda maps: pad(maps, (0, 125)), one, one.middles, 48)
            told = (seen[:, :3].numpy() @ colours.T).argmax(axis=1)
            assert told.tolist() == [int(files.material[touch.photograph]) for touch in one.middles]


def test_the_best_on_other_groups_answers_for_a_group() -> None:
    names = [one.name for one in MAPPED]
    runs = {one.name: float(one.runs) for one in MAPPED}

    def group(best: str) -> Told:
        right = {name: np.array([name == best, True]) for name in names}
        return Told(np.array([0, 1]), np.array(["four", "four"]), np.array([True, True]), right, right)

    measured = {"a": group(names[1]), "b": group(names[2]), "c": group(names[2])}
    assert chosen_without("a", "middle", measured, runs) == names[2]
    found = lines(measured, runs)
    plain = next(one for one in found if one.name == names[2] and one.touched == "middle")
    assert (plain.alone, plain.there, plain.places) == (1.0, round(5 / 6, 4), 6)
    assert plain.difference == pytest.approx(-1 / 6, abs=1e-4)
    assert plain.interval[0] <= plain.difference <= plain.interval[1]
    assert plain.by_group == {"a": -0.5, "b": 0.0, "c": 0.0}
    assert table(found).count("\n") == len(found) + 1
