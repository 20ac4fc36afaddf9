"""Everyday objects: the words that name one, and which objects the name of a sound names.

objects.toml lists them, each with ImageNet's classes that show it, for the image tower, and its words in several
languages, for the names of sounds.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from model.materials import material_named

LANGUAGES = ("en", "de", "fr", "es", "it")

_Phrase = tuple[str, ...]

# Upper case runs are a word of their own where the next word begins: "GLASImpt" is "GLAS" and "Impt".
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
# A name of the Universal Category System: CatID-UserCategory_FXName-UserData_CreatorID_SourceID_...
_UCS = re.compile(r"[A-Z]{2,5}[A-Z][a-z]{1,4}(-[^_]*)?_[^_]+_")
_SPELLED_OUT = str.maketrans({"ß": "ss", "ẞ": "SS", "æ": "ae", "œ": "oe", "Æ": "AE", "Œ": "OE", "ø": "o", "Ø": "O"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@cache
def imagenet_classes() -> dict[str, tuple[str, ...]]:
    """The names of ImageNet's classes (as torchvision lists them) that show each object, by the object's name."""
    return {name: tuple(_listed(entry["imagenet"])) for name, entry in _table()["objects"].items()}


def objects_named(path: str, *tags: str) -> tuple[str, ...]:
    """The objects that a sound's POSIX `path` or one of its `tags` (free texts) names, in the order of the table.

    Words are compared without case, accents, numbers and what separates them (`bottle_clink_02`, `BottleClink`), as
    whole words: there is no cup in `cupboard`. Of overlapping phrases the longest counts. Of a name in the
    Universal Category System, CatID and FXName count, not who recorded it. A folder whose whole name is a
    material's is a label and names no object.
    """
    *folders, name = PurePosixPath(path).parts or ("",)
    texts = [folder for folder in folders if material_named(folder) is None]
    stem = PurePosixPath(name).stem
    if _UCS.match(stem):
        stem = " ".join(stem.split("_")[:2])
    found = {one for text in (*texts, stem, *tags) for one in _named(_words(text))}
    return tuple(one for one in imagenet_classes() if one in found)


def _named(words: list[str]) -> Iterator[str]:
    phrases, longest = _phrases()
    start = 0
    while start < len(words):
        for length in range(min(longest, len(words) - start), 0, -1):
            objects = phrases.get(tuple(words[start : start + length]))
            if objects is not None:
                yield from objects
                start += length
                break
        else:
            start += 1


def _words(text: str) -> list[str]:
    """The words of a text, without accents and in lower case; numbers are none."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPELLED_OUT))
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return [word.lower() for word in _WORDS.findall(plain)]


@cache
def _table() -> Any:
    return tomllib.loads((files("model") / "objects.toml").read_text(encoding="utf-8"))


@cache
def _phrases() -> tuple[dict[_Phrase, tuple[str, ...]], int]:
    """The objects that each phrase names, none for those to be ignored, and the number of words of the longest."""
    phrases: dict[_Phrase, tuple[str, ...]] = {}
    for name, entry in _table()["objects"].items():
        for language in LANGUAGES:
            for text in _listed(entry[language]):
                for phrase in _forms(text, language):
                    phrases[phrase] = tuple(dict.fromkeys((*phrases.get(phrase, ()), name)))
    phrases.update({tuple(_words(text)): () for text in _table()["ignored"]})
    return phrases, max(map(len, phrases))


def _listed(text: str) -> list[str]:
    return text.split(", ")


def _forms(text: str, language: str) -> set[_Phrase]:
    """A phrase as it is, with `ae` for `ä` in German, and its plural."""
    # Composed, so that an umlaut is one sign.
    written = unicodedata.normalize("NFC", text)
    spellings = {written, written.translate(_UMLAUTS)} if language == "de" else {written}
    singular = {tuple(_words(spelling)) for spelling in spellings}
    # English and German put the noun last, the Romance languages first.
    at = -1 if language in ("en", "de") else 0
    plurals = {_with(words, at, _plural(words[at], language)) for words in singular}
    return singular | plurals


def _with(words: _Phrase, at: int, word: str) -> _Phrase:
    changed = list(words)
    changed[at] = word
    return tuple(changed)


def _plural(word: str, language: str) -> str:
    """The regular plural. Of a word that is one already, or is irregular, it gives a word that does not exist."""
    rules = _PLURALS[language]
    for ending, plural in rules:
        if match := re.search(f"{ending}$", word):
            return word[: match.start()] + match.expand(plural)
    return word


_PLURALS = {
    "en": (("(s|x|z|ch|sh)", r"\1es"), ("([^aeiou])y", r"\1ies"), ("", "s")),
    "de": (("e", "en"),),
    "fr": (("[sxz]", r"\g<0>"), ("(au|eu)", r"\1x"), ("al", "aux"), ("", "s")),
    "es": (("z", "ces"), ("[aeiou]", r"\g<0>s"), ("", "es")),
    "it": (("[cg]a", r"\g<0>"), ("io", "i"), ("[oe]", "i"), ("a", "e")),
}
