"""Text search: a person's words as a query of SQLite's FTS5, and the rows that it finds."""

import math
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import FilterError
from model.sound_format.formats import EXTENSIONS

MOST_WORDS = 32
_AFTER_A_NAME = "\"'`,;:!?)]}>"
"""What may follow a file's name that is pasted from a text."""

# How much a word counts by where it stands: title, tags, path, material, description. The smaller the value, the
# better a sound fits (FTS5's sign). SQLite sorts: a word that a third of a million sounds have takes 0.2 s of CPU.
_VALUE = "bm25(words, 8.0, 6.0, 2.0, 4.0, 1.0)"
_RANKED = f"""
WITH found AS MATERIALIZED (
    SELECT {_VALUE} AS value, rowid AS row FROM words WHERE {{}}
)
SELECT NULL, COUNT(*) FROM found
UNION ALL
SELECT * FROM (
    SELECT value, row FROM found WHERE value > ? OR (value = ? AND row >= ?) ORDER BY value, row LIMIT ?
)
"""  # noqa: S608


def query_of(text: str) -> str | None:
    """The FTS5 query for sounds that have every word of `text`, each at least as the beginning of a word.

    Words that punctuation joins must stand side by side. The ending of a sound's file is not looked for: paths are
    stored without it. Nothing in `text` is FTS5's syntax. What begins another
    word of `text` says nothing more and is left out, because each word takes time. None where `text` has no word.
    Raises FilterError for more than 32 words.
    """
    quoted = (f'"{word.replace(chr(34), chr(34) * 2)}" *' for word in words_looked_for(text))
    return " ".join(quoted) or None


def words_looked_for(text: str) -> list[str]:
    """The words of `text`, each as it was written, that a sound must have. Raises FilterError for more than 32."""
    readable = text.replace("\0", " ").encode("utf-8", "replace").decode()
    words = [word for word in readable.split() if _has_letters(word)]
    # Of a name like `drum .wav` nothing but the ending is left of a word.
    words = [word for word in map(_without_ending, words) if _has_letters(word)] or words
    if len(words) > MOST_WORDS:
        raise FilterError(f"the text has {len(words)} words; at most {MOST_WORDS} can be looked for", "q")
    folded = [_folded(word) for word in words]
    return [
        word
        for place, word in enumerate(words)
        if not any(
            other.startswith(folded[place]) and (other != folded[place] or at < place)
            for at, other in enumerate(folded)
        )
    ]


def _has_letters(word: str) -> bool:
    return any(sign.isalnum() for sign in word)


def _without_ending(word: str) -> str:
    """The path or name of a sound file without its ending; any other word as it is."""
    stem, dot, ending = word.rstrip(_AFTER_A_NAME).rpartition(".")
    return stem if f"{dot}{ending}".lower() in EXTENSIONS else word


def _folded(word: str) -> str:
    """The word without what FTS5 does not compare: case and accents."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
    return plain.casefold()


class TextSearch:
    """Finds the rows of an FTS5 query; where `kept [n]` is given, only those for which it is true."""

    def __init__(
        self,
        fetch: Callable[..., list[tuple[Any, ...]]],
        query: str,
        kept: npt.NDArray[np.bool_] | None,
    ) -> None:
        self._fetch = fetch
        self._where, self._parameters = "words MATCH ?", [query]
        if kept is not None:
            # One byte a row: the whole filter is one parameter, and looking a row up takes the same time in any.
            self._where += " AND substr(?, rowid + 1, 1) = x'01'"
            self._parameters.append(kept.astype(np.uint8).tobytes())  # type: ignore[arg-type]

    def score(self, row: int) -> float | None:
        """The score of one row, None where it is not found."""
        query = f"SELECT {_VALUE} FROM words WHERE {self._where} AND rowid = ?"  # noqa: S608
        found = self._fetch(query, *self._parameters, row)
        return -float(found[0][0]) if found else None

    def best(self, limit: int, score: float = math.inf, row: int = 0) -> tuple[int, list[tuple[float, int]]]:
        """How many rows are found in all, and the first `limit` scores and rows, best first.

        They begin at this score and row; larger scores are better.
        """
        (_, total), *found = self._fetch(_RANKED.format(self._where), *self._parameters, -score, -score, row, limit)
        return total, [(-value, row) for value, row in found]
