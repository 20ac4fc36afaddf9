"""Everyday objects: the words that name one, and which objects the name of a sound names.

objects.toml lists them, each with ImageNet's classes that show it, for the image tower, and its words in several
languages, for the names of sounds.
"""

import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from model.materials import material_named
from model.ucs import ucs_name
from model.words import LANGUAGES, Phrases, split_words


@cache
def imagenet_classes() -> dict[str, tuple[str, ...]]:
    """The names of ImageNet's classes (as torchvision lists them) that show each object, by the object's name."""
    return {name: tuple(entry["imagenet"].split(", ")) for name, entry in _table()["objects"].items()}


def objects_named(path: str, *tags: str) -> tuple[str, ...]:
    """The objects that a sound's POSIX `path` or one of its `tags` (free texts) names, in the order of the table.

    Phrases are found as in `Phrases`. Of a name in the Universal Category System, CatID and FXName count, not who
    recorded it. A folder whose whole name is a material's is a label and names no object.
    """
    *folders, name = path.split("/")
    stem = name.rpartition(".")[0] or name
    if ucs := ucs_name(stem):
        stem = f"{ucs.cat_id} {ucs.fx_name}"
    found = set(_phrases().named(split_words(stem)))
    for folder in folders:
        found.update(_of_folder(folder))
    for text in tags:
        if text:
            found.update(_phrases().named(split_words(text)))
    return tuple(sorted(found, key=_places().__getitem__)) if found else ()


@lru_cache(2**12)
def _of_folder(name: str) -> tuple[str, ...]:
    return tuple(_phrases().named(split_words(name))) if material_named(name) is None else ()


@cache
def _table() -> Any:
    return tomllib.loads((files("model") / "objects.toml").read_text(encoding="utf-8"))


@cache
def _places() -> dict[str, int]:
    return {name: place for place, name in enumerate(_table()["objects"])}


@cache
def _phrases() -> Phrases:
    table = {
        name: {language: entry[language] for language in LANGUAGES} for name, entry in _table()["objects"].items()
    }
    return Phrases(table, _table()["ignored"])
