"""Cursors: where an answer goes on, as text that a client hands back unread."""

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Self

from model.errors import FilterError

PATH_KEPT = 256
"""Characters of a path that a place keeps, so that a cursor fits into an address, however long paths are."""

_MARK = 8
_LONGEST = 8_000  # 256 characters, each escaped, and the marks of 256 sounds fit


@dataclass(frozen=True)
class RankPlace:
    """A place in a ranking: after `passed` sounds, of which the last had this `value` (larger is better), this id
    (`sound`) and this `path`, of which at most `PATH_KEPT` characters are kept (`after`).

    Sounds of the same value stand in the order of their paths, so that the place is found again in any generation
    of the index: of what both generations have, nothing is repeated or lost. Where a path was cut, the id tells
    which of those it is that begin alike; if that sound has gone since, they come again.
    """

    passed: int = 0
    value: float = math.inf
    path: str = ""
    sound: str = ""

    @classmethod
    def after(cls, passed: int, value: float, path: str, sound: str) -> Self:
        """The place after a sound."""
        return cls(passed, value, path[:PATH_KEPT], sound)

    @property
    def cut(self) -> bool:
        """Whether the path may be only the beginning of one."""
        return len(self.path) >= PATH_KEPT


@dataclass(frozen=True)
class Cursor:
    """Where the answer to a question goes on.

    `question` names the question that was asked (`question_of`). `given` are the marks (`mark_of`) of sounds that
    were given: those after the `place` that came before their turn, or of a text search, whose scores change with
    the library, the last of the page.
    """

    question: str
    place: RankPlace = RankPlace()
    given: str = ""

    @property
    def before(self) -> int:
        """How many sounds of a ranking were given until here."""
        return self.place.passed + len(self.given) // _MARK

    def marks(self) -> list[str]:
        """The marks of `given`, one by one."""
        return [self.given[start : start + _MARK] for start in range(0, len(self.given), _MARK)]

    def __str__(self) -> str:
        place = self.place
        value = None if math.isinf(place.value) else place.value
        values = [self.question, place.passed, value, place.path, place.sound, self.given]
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, question: str) -> Self:
        """The cursor that `str` wrote. Raises FilterError where it is none, or of another question."""
        try:
            if len(text) > _LONGEST:
                raise ValueError
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
            found = cls._of(json.loads(raw))
        except (ValueError, TypeError, RecursionError) as error:
            raise FilterError("this is not a cursor that Thud gave", "cursor") from error
        if found.question != question:
            raise FilterError("the cursor belongs to another question; ask anew without it", "cursor")
        return found

    @classmethod
    def _of(cls, values: Any) -> Self:
        question, passed, value, path, sound, given = values
        texts = all(isinstance(one, str) for one in (question, path, sound, given)) and len(given) % _MARK == 0
        if texts:
            (path + sound + given).encode()  # lone surrogates are no text: ValueError
        counts = type(passed) is int and 0 <= passed < 2**31
        if not (texts and counts and (value is None or (type(value) is float and math.isfinite(value)))):
            raise ValueError
        return cls(question, RankPlace(passed, math.inf if value is None else value, path, sound), given)


def mark_of(sound_id: str) -> str:
    """What tells a sound from the few hundred beside which it is given."""
    return sound_id[:_MARK]


def question_of(*parts: object) -> str:
    """A name for a question, from all that decides its answer but the index."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
