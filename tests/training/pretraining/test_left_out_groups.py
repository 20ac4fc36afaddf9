"""The table of sources that are left out together."""

import numpy as np
import pytest

from model.materials import MATERIALS
from training.pretraining.left_out_groups import group_weight, groups_of, left_out_groups, rare_materials


@pytest.mark.parametrize("kind", ["image", "sound"])
def test_a_source_is_in_one_group(kind: str) -> None:
    sources = [source for group in left_out_groups(kind) for source in group.sources]
    assert len(sources) == len(set(sources))
    assert all(group.weight > 0 for group in left_out_groups(kind))


def test_a_group_of_pictures_and_one_of_sounds_have_different_names() -> None:
    names = [group.name for kind in ("image", "sound") for group in left_out_groups(kind)]
    assert len(names) == len(set(names)) == 10


def test_the_group_depends_on_the_kind_and_an_unknown_source_is_its_own() -> None:
    assert groups_of(["0ad", "roads", "mine"], "image").tolist() == ["textures", "outdoor", "mine"]
    assert groups_of(["0ad", "roads", "mine"], "sound").tolist() == ["hits in games", "roads", "mine"]
    assert groups_of(["web", "waste9"], "image").tolist() == ["source web", "web"]
    assert [group_weight(name) for name in ("textures", "outdoor", "struck objects", "mine")] == [1, 2, 3, 1]


def test_a_material_that_one_group_alone_has_is_rare() -> None:
    material = np.array([0] * 12 + [1] * 12 + [2] * 9)
    group = np.array(["a"] * 7 + ["b"] * 5 + ["a"] * 12 + ["a"] * 5 + ["b"] * 4)
    rare = rare_materials(material, group)
    assert 0 not in rare
    assert {1, 2, 3} <= set(rare.tolist())
    assert len(rare) == len(MATERIALS) - 1
    assert len(rare_materials(material[:0], group[:0])) == len(MATERIALS)
