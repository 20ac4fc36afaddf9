"""What the names of a sound and of its folders say: its material, and what is done to it. The words: names.toml."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from model.materials import material_named
from model.words import Phrases, split_words, ucs_parts


@dataclass(frozen=True)
class Named:
    """What a name says: one of the 17 materials and an action, None where it says none or several."""

    material: str | None
    action: str | None


def read_name(path: str) -> Named:
    """What the POSIX `path` of a sound says in words of names.toml, in five languages.

    The file's name goes before its folders', inner folders before outer ones. A part that says two materials ends
    the search: `glass on wood` names none, whatever its folder is called. Of a name in the Universal Category System
    the CatID goes before the words of the FXName, and other parts of the name do not count.
    """
    *folders, name = path.split("/")
    stem = PurePosixPath(name).stem
    ucs = ucs_parts(stem)
    material = action = None
    if ucs is not None:
        cat_id, stem = ucs
        material, action, musical = _of_cat_id(cat_id)
        if musical:
            return Named(None, None)
    words = tuple(split_words(stem))
    if material is None:
        material = _material((words, *(_folder_words(folder) for folder in reversed(folders))))
    return Named(material, action or _first(_table().actions, (words,)))


@lru_cache(2**12)
def material_of_folder(name: str) -> str | None:
    """The material that a folder is named after in one of five languages: `wood`, `Plastic Bag`, `Holz`, `vidrio`."""
    if known := material_named(name):
        return known.name
    found = _table().called.whole(split_words(name))
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class _Table:
    called: Phrases
    materials: Phrases
    actions: Phrases
    music: Phrases
    ucs: Any


def _material(parts: Sequence[tuple[str, ...]]) -> str | None:
    table = _table()
    found = _first(table.materials, parts)
    if found is None or any(table.music.has(words) for words in parts):
        return None
    return found


def _first(phrases: Phrases, parts: Sequence[tuple[str, ...]]) -> str | None:
    """The one name in the first of the `parts` that has any; None where it has several."""
    for words in parts:
        found = set(phrases.named(words))
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _of_cat_id(cat_id: str) -> tuple[str | None, str | None, bool]:
    """The material and the action that a CatID stands for, and whether it is one of music."""
    ucs = _table().ucs
    at = next((at for at, sign in enumerate(cat_id) if sign.islower()), len(cat_id)) - 1
    category, sub = cat_id[:at], cat_id[at:]
    material = ucs["materials"].get(cat_id) or ucs["materials"].get(category)
    return material, ucs["actions"].get(sub), category in ucs["music"]


@lru_cache(2**12)
def _folder_words(name: str) -> tuple[str, ...]:
    return tuple(split_words(name))


@cache
def _table() -> _Table:
    table = tomllib.loads((files("index.metadata") / "names.toml").read_text(encoding="utf-8"))
    materials = table["materials"]
    called = {name: entry["called"] for name, entry in materials.items()}
    both = {
        name: {
            language: ", ".join(entry[kind][language] for kind in ("called", "things") if language in entry[kind])
            for language in entry["called"]
        }
        for name, entry in materials.items()
    }
    ignored = table["ignored"]
    return _Table(
        Phrases(called, ignored),
        Phrases(both, ignored),
        Phrases(table["actions"], ()),
        Phrases({"music": table["music"]}, ()),
        table["ucs"],
    )
