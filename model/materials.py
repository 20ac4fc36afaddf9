"""The 17 materials with their ids from the paper (Liu & Zhao, Table 1), spelled as in the Greatest Hits labels.

What people call them is in materials.toml.
"""

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from model.words import Phrases, split_words


class Material(NamedTuple):
    """One material: `id` in 0..16 (paper, Table 1) and its `name` in the dataset's spelling."""

    id: int
    name: str


MATERIALS: tuple[Material, ...] = tuple(
    Material(i, name)
    for i, name in enumerate(
        [
            "plastic",
            "drywall",
            "rock",
            "metal",
            "leaf",
            "grass",
            "paper",
            "water",
            "gravel",
            "glass",
            "tile",
            "ceramic",
            "plastic-bag",
            "dirt",
            "cloth",
            "wood",
            "carpet",
        ]
    )
)

_BY_NAME = {material.name: material for material in MATERIALS}


def material_named(name: str) -> Material | None:
    """The material called `name` (case, spaces and underscores do not matter), or None if there is none.

    "Plastic Bag", "plastic_bag" and "plastic-bag" are one material.
    """
    return _BY_NAME.get(name.strip().lower().replace(" ", "-").replace("_", "-"))


@lru_cache(2**12)
def material_called(name: str) -> Material | None:
    """The material that people call `name` in one of five languages: `wood`, `Plastic Bag`, `Holz`, `vidrio`."""
    if known := material_named(name):
        return known
    found = _called().whole(split_words(name))
    return material_named(found[0]) if len(found) == 1 else None


@cache
def names_of_materials() -> Mapping[str, Mapping[str, str]]:
    """What each material is called: by its name and by language, names that commas separate."""
    return tomllib.loads((files("model") / "materials.toml").read_text(encoding="utf-8"))


@cache
def _called() -> Phrases:
    return Phrases(names_of_materials(), ())
