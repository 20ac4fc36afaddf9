"""Everyday objects: the words that name one, and which objects the name of a sound names.

objects.toml lists them, each with ImageNet's classes that show it, for the image tower, and its words in several
languages, for the names of sounds.
"""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from model.materials import material_named
from model.words import LANGUAGES, Phrases, split_words, ucs_parts


@cache
def imagenet_classes() -> dict[str, tuple[str, ...]]:
    """The names of ImageNet's classes (as torchvision lists them) that show each object, by the object's name."""
    return {name: tuple(entry["imagenet"].split(", ")) for name, entry in _table()["objects"].items()}


def objects_named(path: str, *tags: str) -> tuple[str, ...]:
    """The objects that a sound's POSIX `path` or one of its `tags` (free texts) names, in the order of the table.

    Phrases are found as in `Phrases`. Of a name in the Universal Category System, CatID and FXName count, not who
    recorded it. A folder whose whole name is a material's is a label and names no object.
    """
    *folders, name = PurePosixPath(path).parts or ("",)
    texts = [folder for folder in folders if material_named(folder) is None]
    stem = PurePosixPath(name).stem
    if ucs := ucs_parts(stem):
        stem = " ".join(ucs)
    found = {one for text in (*texts, stem, *tags) for one in _phrases().named(split_words(text))}
    return tuple(one for one in imagenet_classes() if one in found)


@cache
def _table() -> Any:
    return tomllib.loads((files("model") / "objects.toml").read_text(encoding="utf-8"))


@cache
def _phrases() -> Phrases:
    table = {
        name: {language: entry[language] for language in LANGUAGES} for name, entry in _table()["objects"].items()
    }
    return Phrases(table, _table()["ignored"])
