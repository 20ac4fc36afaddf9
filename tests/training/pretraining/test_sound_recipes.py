"""The benchmark of recipes for sounds, on next to nothing."""

from pathlib import Path

import pytest

from benchmarks.quality import sound_recipes
from benchmarks.quality.paired import NEW
from benchmarks.quality.sound_recipes import SoundLine, measure, variants
from tests.training.pretraining.conftest import SMALL
from training.pretraining.pretraining_data import PretrainingData


def test_every_recipe_is_another() -> None:
    recipes = [recipe.model_dump_json() for recipe in variants().values()]
    assert len(set(recipes)) == len(recipes)
    assert next(iter(variants())) == NEW


def test_recipes_are_measured_on_the_same_files(
    data: Path, work: Path, found: PretrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = {NEW: SMALL, "the same": SMALL, "another": SMALL.model_copy(update={"source_power": 1.0, "seed": 1})}
    monkeypatch.setattr(sound_recipes, "variants", lambda: recipes)
    monkeypatch.setattr(sound_recipes, "PretrainingRecipe", lambda: SMALL)
    lines: dict[str, SoundLine] = {line.name: line for line in measure(data, work)}
    assert list(lines) == list(recipes)
    first, same, other = lines.values()
    # Of so few files no material is in a macro mean.
    assert (same.top1, same.p_at_10, same.over_chance) == (first.top1, first.p_at_10, first.over_chance)
    assert 0 < first.top1 <= 1
    assert first.over_chance > 0
    assert (other.top1, other.p_at_10) != (first.top1, first.p_at_10)
    # Another seed does not take the place of the features that are there.
    names = {path.stem.removesuffix("-any-kernels") for path in work.glob("sounds-*varied*")}
    assert names == {"sounds-aisfx-varied-1-seed-1", "sounds-aisfx-varied-1"}
