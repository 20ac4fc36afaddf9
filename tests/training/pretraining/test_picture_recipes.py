"""The benchmark of recipes for pictures: its means and intervals, on logits that are known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.paired import NEW
from benchmarks.quality.picture_recipes import Measured, held_out_logits, variants
from tests.training.pretraining.conftest import SMALL
from training.pretraining.pretraining_data import PretrainingData


def test_a_better_recipe_is_better_in_every_resample_and_the_same_one_is_not(found: PretrainingData) -> None:
    count = 840
    # Ten groups of equal weight, each with 2 sources, with the same materials in each.
    group = np.array([f"group {row % 10}" for row in range(count)])
    source = np.array([f"source {row % 20}" for row in range(count)])
    material = (np.arange(count) // 20) % 3
    pictures = replace(found.pictures, group=group, source=source, material=material)
    right = np.eye(17)[material]
    wrong = np.where(
        (np.random.default_rng(0).random(count) < 0.4)[:, None], np.eye(17)[(material + 1) % 17], right
    )
    lines = Measured(pictures, {NEW: right, "same": right, "worse": wrong}).lines()
    by_name = {line.name: line for line in lines}
    assert by_name["same"].shipped_minus_this == 0
    assert by_name["same"].interval == (0.0, 0.0)
    worse = by_name["worse"]
    assert worse.top1_macro == pytest.approx(1 - worse.shipped_minus_this, abs=1e-3)
    assert 0 < worse.interval[0] < worse.shipped_minus_this < worse.interval[1] < 1


def test_every_recipe_is_another(found: PretrainingData) -> None:
    recipes = [recipe.model_dump_json() + str(sources) for recipe, sources in variants().values()]
    assert len(set(recipes)) == len(recipes)
    own = str(found.pictures.source[0])
    alone = held_out_logits(found, SMALL, (own,))
    assert alone.shape == (len(found.pictures), 17)
    assert not np.array_equal(alone, held_out_logits(found, SMALL))
    lines = Measured(found.pictures, {NEW: held_out_logits(found, SMALL), "alone": alone}).lines()
    assert [line.name for line in lines] == [NEW, "alone"]
    assert all(0 < line.top1 <= 1 for line in lines)
