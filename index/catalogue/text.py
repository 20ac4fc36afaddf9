"""Text search: a person's words as a query of SQLite's FTS5, and the rows that it finds."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import FilterError

MOST_WORDS = 32

# What a sound gains where it has all the words: as whole words, and in one of its texts. A value depends on nothing
# but the sound, so that a page goes on where it ended in another index, too; bm25 would rank by the other sounds.
_WHOLE = 32
_GAINS = {"title": 16, "tags": 8, "material": 4, "path": 2, "description": 1}

# SQLite adds up and sorts: for a word that a third of a million sounds have, some 0.3 s of CPU.
_MORE = "".join(
    f" UNION ALL SELECT rowid, {gain} FROM words WHERE words MATCH ?"  # noqa: S608
    for gain in (_WHOLE, *_GAINS.values())
)
_RANKED = f"""
WITH found AS MATERIALIZED (
    SELECT SUM(gain) AS value, row FROM (SELECT rowid AS row, 0 AS gain FROM words WHERE {{}}{_MORE})
    GROUP BY row HAVING MIN(gain) = 0
)
SELECT value, row FROM found WHERE value < ? OR (value = ? AND row >= ?) ORDER BY value DESC, row LIMIT ?
"""  # noqa: S608


def words_of(text: str) -> list[str]:
    """The words of `text`, each as a string of FTS5, so that nothing in it is syntax.

    What punctuation joins is one word, whose parts must stand side by side. Raises FilterError for more than 32.
    """
    readable = text.replace("\0", " ").encode("utf-8", "replace").decode()
    words = [word for word in readable.split() if any(sign.isalnum() for sign in word)]
    if len(words) > MOST_WORDS:
        raise FilterError(f"the text has {len(words)} words; at most {MOST_WORDS} can be looked for", "q")
    return [f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words]


class TextSearch:
    """Finds the rows that have all `words`, at least one, each at least as the beginning of a word.

    Where `kept [n]` is given, only rows for which it is true.
    """

    def __init__(
        self,
        fetch: Callable[..., list[tuple[Any, ...]]],
        words: list[str],
        kept: npt.NDArray[np.bool_] | None,
    ) -> None:
        self._fetch = fetch
        begun = " ".join(f"{word} *" for word in words)
        self._where, self._parameters = "words MATCH ?", [begun]
        self._more = [" ".join(words), *(f"{field} : ({begun})" for field in _GAINS)]
        if kept is not None:
            # One byte a row: the whole filter is one parameter, and looking a row up takes the same time in any.
            self._where += " AND substr(?, rowid + 1, 1) = x'01'"
            self._parameters.append(kept.astype(np.uint8).tobytes())  # type: ignore[arg-type]

    def count(self) -> int:
        """How many rows are found."""
        query = f"SELECT COUNT(*) FROM words WHERE {self._where}"  # noqa: S608
        return int(self._fetch(query, *self._parameters)[0][0])

    def best(self, limit: int, score: float = math.inf, row: int = 0) -> list[tuple[float, int]]:
        """The first `limit` scores and rows, best first: from this score and row on, larger scores being better."""
        found = self._fetch(_RANKED.format(self._where), *self._parameters, *self._more, score, score, row, limit)
        return [(float(value), row) for value, row in found]
