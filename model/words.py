"""The words of a name: how the names of files and folders are split, and which phrases of a table stand in them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

LANGUAGES = ("en", "de", "fr", "es", "it")

Phrase = tuple[str, ...]

# Upper case runs are a word of their own where the next word begins: "GLASImpt" is "GLAS" and "Impt".
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_SPELLED_OUT = str.maketrans({"ß": "ss", "ẞ": "SS", "æ": "ae", "œ": "oe", "Æ": "AE", "Œ": "OE", "ø": "o", "Ø": "O"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def split_words(text: str) -> list[str]:
    """The words of a text, in lower case and without accents; numbers are none.

    `bottle_clink_02`, `Bottle-Clink` and `BottleClink` are the same two words.
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.translate(_SPELLED_OUT))
        text = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return [word.lower() for word in _WORDS.findall(text)]


class Phrases:
    """The phrases of a table, each with the names that it stands for.

    `table` has, by name and language, phrases separated by commas. Words are compared as `split_words` gives them,
    as whole words: there is no cup in `cupboard`. Plurals are added, and in German `ae` for `ä`. Of overlapping
    phrases the longest counts. The phrases `ignored` stand for nothing.
    """

    def __init__(self, table: Mapping[str, Mapping[str, str]], ignored: Iterable[str]) -> None:
        self._names: dict[Phrase, tuple[str, ...]] = {}
        for name, by_language in table.items():
            for language, texts in by_language.items():
                for text in texts.split(", "):
                    for phrase in _forms(text, language):
                        self._names[phrase] = tuple(dict.fromkeys((*self._names.get(phrase, ()), name)))
        self._names.update({tuple(split_words(text)): () for text in ignored})
        self._longest: dict[str, int] = {}
        for phrase in self._names:
            self._longest[phrase[0]] = max(self._longest.get(phrase[0], 0), len(phrase))

    def named(self, words: Sequence[str]) -> Iterator[str]:
        """The names that the phrases in `words` stand for, in the order of the words."""
        start = 0
        while start < len(words):
            for length in range(min(self._longest.get(words[start], 0), len(words) - start), 0, -1):
                names = self._names.get(tuple(words[start : start + length]))
                if names is not None:
                    yield from names
                    start += length
                    break
            else:
                start += 1

    def has(self, words: Sequence[str]) -> bool:
        """Whether a phrase of the table is in `words`."""
        return any(True for _ in self.named(words))

    def whole(self, words: Sequence[str]) -> tuple[str, ...]:
        """The names that all the words together stand for, as one phrase."""
        return self._names.get(tuple(words), ())


def _forms(text: str, language: str) -> set[Phrase]:
    """A phrase as it is, with `ae` for `ä` in German, and its plural."""
    # Composed, so that an umlaut is one sign.
    written = unicodedata.normalize("NFC", text)
    spellings = {written, written.translate(_UMLAUTS)} if language == "de" else {written}
    singular = {tuple(split_words(spelling)) for spelling in spellings}
    # English and German put the noun last, the Romance languages first.
    at = -1 if language in ("en", "de") else 0
    plurals = {_with(words, at, _plural(words[at], language)) for words in singular}
    return singular | plurals


def _with(words: Phrase, at: int, word: str) -> Phrase:
    changed = list(words)
    changed[at] = word
    return tuple(changed)


def _plural(word: str, language: str) -> str:
    """The regular plural. Of a word that is one already, or is irregular, it gives a word that does not exist."""
    for ending, plural in _PLURALS[language]:
        changed, found = ending.subn(plural, word, count=1)
        if found:
            return changed
    return word


_ENDINGS = {
    "en": (("(s|x|z|ch|sh)", r"\1es"), ("([^aeiou])y", r"\1ies"), ("", "s")),
    "de": (("e", "en"),),
    "fr": (("[sxz]", r"\g<0>"), ("(au|eu)", r"\1x"), ("al", "aux"), ("", "s")),
    "es": (("z", "ces"), ("[aeiou]", r"\g<0>s"), ("", "es")),
    "it": (("[cg]a", r"\g<0>"), ("io", "i"), ("[oe]", "i"), ("a", "e")),
}
_PLURALS = {
    language: [(re.compile(f"{ending}$"), plural) for ending, plural in endings]
    for language, endings in _ENDINGS.items()
}
