"""What the names of a sound and of its folders say: its material, and what is done to it. The words: names.toml."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from model.materials import names_of_materials
from model.ucs import is_other, read_cat_id, ucs_name
from model.words import Phrases, split_words


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
        stem = ucs.fx_name
        material, action = read_cat_id(ucs.cat_id)
        if material is None and is_other(ucs.cat_id):
            return Named(None, action)
    words = tuple(split_words(stem))
    if material is None:
        material = _material((words, *(_folder_words(folder) for folder in reversed(folders))))
    return Named(material, action or _first(_table().actions, (words,)))


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
    )
