"""What the names of a sound and of its folders say: its material, and what is done to it. The words: names.toml."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from model.materials import names_of_materials
from model.words import Phrases, split_words, ucs_parts


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says: one of the 17 materials, and an action; None where it says none or several."""

    material: str | None
    action: str | None


def read_name(path: str) -> Named:
    """What the POSIX `path` of a sound says in words of names.toml, in five languages.

    The file's name goes before its folders', inner folders before outer ones. A part that says two materials ends
    the search: `glass on wood` names none, whatever its folder is called. Where a part says that it is music or
    speech, words name no material. Of a name in the Universal Category System the CatID goes before the words of
    the FXName, and other parts of the name do not count.
    """
    *folders, name = path.split("/")
    stem = name.rpartition(".")[0] or name
    material = action = None
    if ucs := ucs_name(stem):
        cat_id, stem = ucs
        material, action = read_cat_id(cat_id)
        if material is None and _is_other(cat_id):
            return Named(None, action)
    words = tuple(split_words(stem))
    if material is None:
        material = _material((words, *(_folder_words(folder) for folder in reversed(folders))))
    return Named(material, action or _first(_table().actions, (words,)))


def ucs_name(stem: str) -> tuple[str, str] | None:
    """CatID and FXName as `ucs_parts` gives them; CatIDs that names.toml lists need no third part."""
    return ucs_parts(stem, _is_listed)


def read_cat_id(cat_id: str) -> tuple[str | None, str | None]:
    """The material and the action that a CatID of the Universal Category System stands for, such as `GLASImpt`."""
    ucs = _table().ucs
    category, sub = _categories(cat_id)
    return ucs["materials"].get(cat_id) or ucs["materials"].get(category), ucs["actions"].get(sub)


def materials_in(text: str) -> set[str]:
    """The materials that words of a free text name; none in a text about music or speech."""
    words = split_words(text)
    table = _table()
    found = set(table.materials.named(words))
    return set() if found and table.others.has(words) else found


def action_in(text: str) -> str | None:
    """The one action that words of a text name."""
    return _first(_table().actions, (tuple(split_words(text)),))


@dataclass(frozen=True)
class _Table:
    materials: Phrases
    actions: Phrases
    others: Phrases
    ucs: Any


def _material(parts: Sequence[tuple[str, ...]]) -> str | None:
    table = _table()
    found = _first(table.materials, parts)
    return None if found is None or any(table.others.has(words) for words in parts) else found


def _first(phrases: Phrases, parts: Sequence[tuple[str, ...]]) -> str | None:
    """The one name in the first of the `parts` that has any; None where that has several."""
    for words in parts:
        found = set(phrases.named(words))
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _is_listed(cat_id: str) -> bool:
    return read_cat_id(cat_id)[0] is not None or _is_other(cat_id)


def _is_other(cat_id: str) -> bool:
    return _categories(cat_id)[0] in _table().ucs["others"]


def _categories(cat_id: str) -> tuple[str, str]:
    """Category and subcategory: `GLASImpt` is `GLAS` and `Impt`."""
    at = next((at for at, sign in enumerate(cat_id) if sign.islower()), len(cat_id) + 1) - 1
    return cat_id[:at], cat_id[at:]


@lru_cache(2**12)
def _folder_words(name: str) -> tuple[str, ...]:
    return tuple(split_words(name))


@cache
def _table() -> _Table:
    table = tomllib.loads((files("index.library") / "names.toml").read_text(encoding="utf-8"))
    things = table["materials"]
    both = {
        name: {
            language: ", ".join(filter(None, (words, things[name]["things"].get(language))))
            for language, words in called.items()
        }
        for name, called in names_of_materials().items()
    }
    return _Table(
        Phrases(both, table["ignored"]),
        Phrases(table["actions"], ()),
        Phrases({"other": table["others"]}, ()),
        table["ucs"],
    )
