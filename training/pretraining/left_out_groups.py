"""Which sources are left out together: the groups of left_out_groups.toml, and what weight each has in a mean."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from model.materials import MATERIALS

LEAST_GROUPS, LEAST_FILES = 2, 5
"""A material counts in means over materials if so many groups have so many files of it."""

Ids = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

_TABLES = {"image": "pictures", "sound": "sounds"}


@dataclass(frozen=True)
class Group:
    """Sources of one kind of picture or sound, and the weight of the group in means over groups."""

    name: str
    weight: float
    sources: tuple[str, ...]


@cache
def left_out_groups(kind: str) -> tuple[Group, ...]:
    """The groups of `kind`, image or sound."""
    text = (files("training.pretraining") / "left_out_groups.toml").read_text(encoding="utf-8")
    table: Mapping[str, Mapping[str, object]] = tomllib.loads(text)[_TABLES[kind]]
    return tuple(_group(name, entry) for name, entry in table.items())


def groups_of(source: Sequence[str], kind: str) -> Names:
    """The group `[N]` of each of the sources `[N]` of `kind`; one that the table does not name is its own."""
    known = {source: group.name for group in left_out_groups(kind) for source in group.sources}
    named = set(known.values())
    # A source that has a group's name by chance is not in that group.
    return np.array([known.get(one, f"source {one}" if one in named else one) for one in source], dtype=np.str_)


def group_weight(name: str) -> float:
    """The weight of the group `name` of pictures or of sounds in means over groups."""
    found = {group.name: group.weight for kind in _TABLES for group in left_out_groups(kind)}
    return found.get(name, 1.0)


def group_lines(source: Names, kind: str) -> list[str]:
    """For each group of the sources `[N]` a line of Markdown: its name, its weight, and which sources it has."""
    names = np.unique(source)
    group = groups_of(names.tolist(), kind)
    return [
        f"| {name} | {group_weight(name):g} | {', '.join(names[group == name].tolist())} |"
        for name in sorted(set(group.tolist()))
    ]


def rare_materials(material: Ids, group: Names) -> Ids:
    """The ids of the materials of which fewer than two groups have five files; `material [N]`, `group [N]`."""
    counts = [
        np.bincount(material[group == name], minlength=len(MATERIALS)) for name in sorted(set(group.tolist()))
    ]
    having = (np.array(counts).reshape(-1, len(MATERIALS)) >= LEAST_FILES).sum(axis=0)
    rare: Ids = np.flatnonzero(having < LEAST_GROUPS)
    return rare


def _group(name: str, entry: object) -> Group:
    assert isinstance(entry, dict)
    return Group(name, float(entry["weight"]), tuple(entry["sources"]))
