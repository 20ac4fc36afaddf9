"""The records of a generation in a Milvus, looked up, in pages and by their words."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any

from index.catalogue import Page, SoundRecord
from index.catalogue.cursors import Cursor, RankPlace, mark_of, question_of
from index.catalogue.filters import SoundFilter
from index.catalogue.text import words_looked_for
from index.milvus.connection import MilvusConnection
from index.milvus.entities import (
    both,
    condition_of,
    folder_condition,
    key_of,
    number_of,
    record_of,
    searched_texts,
    word_number,
    words_of,
)
from index.milvus.pointers import EVENTUALLY, MOST_FOUND, Published, count_of
from model.errors import DamagedIndexError, LibraryError
from model.hits import MOST_HITS
from model.materials import MATERIALS

_FIRST_HIT = "hit == 0"
_MOST_RANKED = 2000
_MOST_WIDTH = 2**20
_AT_ONCE = 500
_WEIGHTS = {"title": 8.0, "tags": 6.0, "material": 4.0, "path": 2.0, "description": 1.0}
"""How much a word counts by where it stands, as in an index's files."""


class MilvusRecords:
    """The `Records` of a generation in a Milvus. Its rows are those of the paths in their order."""

    def __init__(self, connection: MilvusConnection, published: Published) -> None:
        self._connection, self._published = connection, published
        self._has_folder: Callable[[str], bool] = lru_cache(1024)(self._look_for_folder)

    def __len__(self) -> int:
        return self._published.spec.sounds

    def __iter__(self) -> Iterator[SoundRecord]:
        """See `Records`."""
        for start in range(0, len(self), _AT_ONCE):
            yield from self.rows(range(start, min(start + _AT_ONCE, len(self))))

    def sample(self, most: int) -> list[SoundRecord]:
        """See `Records`."""
        return self.rows(range(0, len(self), max(1, -(-len(self) // most))))

    def sound(self, sound_id: str) -> SoundRecord | None:
        """See `Records`."""
        found = self._of_id(sound_id)
        return None if found is None else found[1]

    def id_at(self, path: str) -> str | None:
        """See `Records`."""
        condition = both(_FIRST_HIT, f"array_contains_any(paths, [{number_of('path', path)}])")
        for _, record in self._query(condition):
            if path in (record.path, *record.copies):
                return record.id
        return None

    def paths(self) -> set[str]:
        """See `Records`."""
        return {path for record in self for path in (record.path, *record.copies)}

    def materials(self) -> dict[str | None, int]:
        """See `Records`."""
        spec = self._published.spec
        counts: dict[str | None, int] = {one.name: spec.materials.get(one.name, 0) for one in MATERIALS}
        return {name: count for name, count in (counts | {None: spec.unlabelled}).items() if count}

    def page(self, only: SoundFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """See `Records`."""
        _check_limit(limit)
        question = question_of("page", only or SoundFilter())
        start = 0 if cursor is None else self.row_after(Cursor.read(cursor, question).place)
        condition = self.condition(only)
        if condition is None:
            return Page([], 0, None)
        total = self._count(condition)
        found = self._following(condition, start, limit + 1, total)
        sounds = [record for _, record in found[:limit]]
        following = None if len(found) <= limit else str(Cursor(question, _after(sounds[-1])))
        return Page(sounds, total, following)

    def find(
        self,
        text: str,
        only: SoundFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        until: float = math.inf,
    ) -> Page:
        """See `Records`. The best are those with the words in title, tags, material, path and description, in this
        order; of more than 2,000 sounds those first in the order of their paths are compared, the others follow.

        Of more than these, `total` counts words by their first 8 letters alone.
        """
        _check_limit(limit)
        question = question_of("find", text, only or SoundFilter())
        after = None if cursor is None else Cursor.read(cursor, question)
        wanted = words_looked_for(text)
        words = [word for one in wanted for word in words_of(one)]
        condition = self.condition(only)
        if not words or condition is None:
            return Page([], 0, None)
        numbers = sorted({word_number(word) for word in words})
        condition = both(condition, f"array_contains_all(words, {numbers})")
        total = self._count(condition)
        ranked, begun = self._ranked(condition, wanted, total, until)
        if begun == len(self):
            total = len(ranked)
        passed = 0 if after is None else _passed(ranked, after)
        sounds = ranked[passed : passed + limit + 1]
        if len(sounds) <= limit and begun < len(self):
            row = begun
            if after is not None and passed >= len(ranked):
                row = max(begun, self.row_after(after.place))
            fitting = (one for one in self._each_following(condition, row, total) if _fits(one[1], wanted))
            for _, record in fitting:
                if len(sounds) > limit:
                    break
                if monotonic() >= until:
                    raise TimeoutError
                sounds.append(record)
        following = None
        if len(sounds) > limit:
            sounds = sounds[:limit]
            following = str(Cursor(question, _after(sounds[-1], passed + limit), mark_of(sounds[-1].id)))
        return Page(sounds, total, following)

    def rows(self, rows: Sequence[int]) -> list[SoundRecord]:
        """The sounds at these rows, in the given order. Every row must exist."""
        found = dict(self.by_ids([row * MOST_HITS for row in rows]))
        try:
            return [record_of(found[row * MOST_HITS]["record"]) for row in rows]
        except KeyError as error:
            raise DamagedIndexError(
                f"{self._connection.address} lacks a sound of the index; run thud index again"
            ) from error

    def by_ids(
        self, ids: Sequence[int], fields: Sequence[str] = ("record",)
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """The entities with these ids that there are, in any order."""
        for start in range(0, len(ids), _AT_ONCE):
            found = self._connection.call(
                "get", self._published.collection, list(ids[start : start + _AT_ONCE]), output_fields=list(fields)
            )
            yield from ((int(one["id"]), one) for one in found)

    def condition(self, only: SoundFilter | None) -> str | None:
        """What entities meet that are asked for: see `condition_of`."""
        return condition_of(only, self._has_folder)

    def rows_of(self, ids: Collection[str]) -> dict[str, int]:
        """The rows of the sounds with these ids, of those that there are."""
        keys = sorted({key for one in ids if (key := key_of(one)) is not None})
        found: dict[str, int] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = self._query(both(_FIRST_HIT, f"key in {keys[start : start + _AT_ONCE]}"))
            found |= {record.id: row for row, record in some if record.id in ids}
        return found

    def row_after(self, place: RankPlace) -> int:
        """The first row after a place, also where its sound is gone."""
        found = self._of_id(place.sound) if place.sound else None
        if found is not None and (found[1].path[: len(place.path)] if place.cut else found[1].path) == place.path:
            return found[0] + 1
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            (record,) = self.rows([middle])
            before = record.path < place.path if place.cut else record.path <= place.path
            low, high = (middle + 1, high) if before else (low, middle)
        return low

    def _of_id(self, sound_id: str) -> tuple[int, SoundRecord] | None:
        key = key_of(sound_id)
        found = [] if key is None else self._query(both(_FIRST_HIT, f"key in [{key}]"))
        return next((one for one in found if one[1].id == sound_id), None)

    def _query(self, condition: str) -> list[tuple[int, SoundRecord]]:
        """The rows and records of the entities that meet a condition, in the order of their rows."""
        found = self._connection.call(
            "query",
            self._published.collection,
            filter=condition,
            output_fields=["id", "record"],
            limit=MOST_FOUND,
            consistency_level=EVENTUALLY,
        )
        return sorted(((int(one["id"]) // MOST_HITS, record_of(one["record"])) for one in found), key=_row)

    def _count(self, condition: str) -> int:
        if not condition:
            return len(self)
        return count_of(self._connection, self._published.collection, both(_FIRST_HIT, condition))

    def _following(self, condition: str, start: int, most: int, total: int) -> list[tuple[int, SoundRecord]]:
        """The first `most` sounds from a row on that meet a condition, which `total` of all do."""
        if not condition:
            rows = range(start, min(start + most, len(self)))
            return list(zip(rows, self.rows(rows), strict=True))
        found = []
        for one in self._each_following(condition, start, total, most):
            found.append(one)
            if len(found) == most:
                break
        return found

    def _each_following(
        self, condition: str, start: int, total: int, most: int = _AT_ONCE
    ) -> Iterator[tuple[int, SoundRecord]]:
        """The sounds from a row on that meet a condition, in the order of their rows.

        By ranges of rows: nothing tells in which order Milvus gives the entities that it finds.
        """
        width = max(1, round(1.5 * most * len(self) / max(1, total)))
        while total and start < len(self):
            width = min(width, _MOST_WIDTH)
            past = min(start + width, len(self))
            among = f"id >= {start * MOST_HITS} and id < {past * MOST_HITS}"
            found = self._query(both(condition, _FIRST_HIT, among))
            if len(found) == MOST_FOUND:  # there may be more
                width = max(1, width // 4)
                continue
            yield from found
            start, width = past, 2 * width

    def _ranked(
        self, condition: str, wanted: Sequence[str], total: int, until: float
    ) -> tuple[list[SoundRecord], int]:
        """The sounds that are compared, best first, and the row from which on others follow."""
        compared: list[tuple[float, int, SoundRecord]] = []
        past = len(self)
        for row, record in self._each_following(condition, 0, total):
            if monotonic() >= until:
                raise TimeoutError
            if len(compared) == _MOST_RANKED:
                past = row
                break
            if (value := _fits(record, wanted)) > 0:
                compared.append((-value, row, record))
        return [record for _, _, record in sorted(compared, key=lambda one: one[:2])], past

    def _look_for_folder(self, folder: str) -> bool:
        condition = both(_FIRST_HIT, folder_condition(folder))
        return count_of(self._connection, self._published.collection, condition) > 0


def _fits(record: SoundRecord, wanted: Sequence[str]) -> float:
    """How well a sound fits the words, 0 where it lacks one; what punctuation joins must stand side by side."""
    texts = {name: f" {' '.join(words_of(text))}" for name, text in searched_texts(record).items()}
    value = 0.0
    for one in wanted:
        phrase = f" {' '.join(words_of(one))}"
        best = max((_WEIGHTS[name] for name, text in texts.items() if phrase in text), default=0.0)
        if not best:
            return 0.0
        value += best
    return value


def _passed(ranked: Sequence[SoundRecord], after: Cursor) -> int:
    """How many of the sounds were given already: up to the last one that was."""
    for number, record in enumerate(ranked, 1):
        if mark_of(record.id) in after.marks():
            return number
    return min(len(ranked), after.place.passed)  # it is gone since


def _after(sound: SoundRecord, passed: int = 0) -> RankPlace:
    return RankPlace.after(passed, math.inf, sound.path, sound.id)


def _row(one: tuple[int, SoundRecord]) -> int:
    return one[0]


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise LibraryError("a page has at least 1 sound")
