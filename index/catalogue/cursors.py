"""Cursors: where an answer goes on, as text that a client hands back unread."""

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Self

from model.errors import FilterError

_MARK = 8
_LONGEST = 12_000  # a path of 4,096 bytes, escaped, fits


@dataclass(frozen=True)
class Cursor:
    """A place in a ranking of sounds.

    `question` names the question that was asked (`question_of`). The place is after `passed` sounds, of which the
    last had this `score` (larger is better) and this `path`. Sounds of the same score stand in the order of their
    paths, so that the place is found again in any generation of the index: of what both generations have, nothing
    is repeated or lost. `given` are the marks (`mark_of`) of sounds that were given: those after the place that
    came before their turn, or of a text search, whose scores change with the library, the last of the page.
    """

    question: str
    passed: int = 0
    score: float = math.inf
    path: str = ""
    given: str = ""

    @property
    def before(self) -> int:
        """How many sounds of a ranking were given until here."""
        return self.passed + len(self.given) // _MARK

    def marks(self) -> list[str]:
        """The marks of `given`, one by one."""
        return [self.given[start : start + _MARK] for start in range(0, len(self.given), _MARK)]

    def __str__(self) -> str:
        score = None if math.isinf(self.score) else self.score
        values = [self.question, self.passed, score, self.path, self.given]
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
        question, passed, score, path, given = values
        texts = all(isinstance(one, str) for one in (question, path, given)) and len(given) % _MARK == 0
        if texts:
            (path + given).encode()  # lone surrogates are no text: ValueError
        counts = type(passed) is int and 0 <= passed < 2**31
        if not (texts and counts and (score is None or (type(score) is float and math.isfinite(score)))):
            raise ValueError
        return cls(question, passed, math.inf if score is None else score, path, given)


def mark_of(sound_id: str) -> str:
    """What tells a sound from the few hundred beside which it is given."""
    return sound_id[:_MARK]


def question_of(*parts: object) -> str:
    """A name for a question, from all that decides its answer but the index."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
