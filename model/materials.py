"""The 17 materials with their ids from the paper (Liu & Zhao, Table 1), spelled as in the Greatest Hits labels."""

from typing import NamedTuple


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
