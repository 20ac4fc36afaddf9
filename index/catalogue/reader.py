"""Reading a catalogue: records by row and by id, pages of them, and which rows meet a filter or a text."""

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.catalogue.connection import Connection
from index.catalogue.cursors import Cursor, RankPlace, mark_of, question_of
from index.catalogue.facets import Facets, Rows
from index.catalogue.filters import SoundFilter
from index.catalogue.page import Page
from index.catalogue.record import COLUMNS, POSSIBLE, SoundRecord, from_row, listed
from index.catalogue.text import TextSearch, query_of
from index.catalogue.writer import SCHEMA
from model.errors import DamagedIndexError, LibraryError
from model.materials import MATERIALS

EVERYTHING = SoundFilter()
EVERY_ROW_UP_TO = 20_000
"""Sounds of which all are looked at when a catalogue is opened: 0.1 s of CPU."""
_LOOKED_AT = 10_000
"""Of more sounds so many are looked at, spread over all of them; the others when they are read."""
_ANCHORS = 16
_AT_ONCE = 500
# FTS5 makes the tables `words_…` itself, and not the same in all its versions.
_TABLES = r"SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'words\_%' ESCAPE '\' AND sql NOT NULL"
_FOREIGN = r"SELECT 1 FROM sqlite_master WHERE name LIKE 'words\_%' ESCAPE '\' AND type != 'table' AND sql NOT NULL"


class Catalogue:
    """Reads a catalogue, from a file or from its content. Safe to use from several threads; close it when done.

    All threads share one connection, behind a lock, and a second one for text search. They stay open, so that the
    file can be read after its name is gone. Every query raises DamagedIndexError where the database is broken.

    Up to `EVERY_ROW_UP_TO` sounds, and with `every_row` always, each row is looked at when it is opened: it holds
    values that Thud writes. Of more sounds a sample is, and any row again when it is read. One that turns out to be
    damaged then raises DamagedIndexError, and from then on `check` does.
    """

    def __init__(self, source: Path | memoryview, *, every_row: bool = False) -> None:
        self._damaged: int | None = None  # a row
        self._texts = self._database = Connection(source)
        try:
            if isinstance(source, Path):
                # Looking for a common word among a million sounds takes long enough to be in the way of others.
                self._texts = Connection(source)
            self._sounds = self._counted()
            whole = every_row or self._sounds <= EVERY_ROW_UP_TO
            self._possible = "1" if whole else POSSIBLE  # SQL that is true of a row which can be read
            self._look(whole=whole)
            self._facets = Facets(self._database.fetch, self._sounds)
            self.vectors = self._count_vectors()
            """How many vectors the sounds have together."""
        except BaseException:
            self.close()
            raise
        counts = np.bincount(self._facets.material + 1, minlength=len(MATERIALS) + 1).tolist()
        named: list[tuple[str | None, int]] = [(one.name, counts[one.id + 1]) for one in MATERIALS]
        self._counts = {name: count for name, count in [*named, (None, counts[0])] if count}

    def __len__(self) -> int:
        return self._sounds

    def __iter__(self) -> Iterator[SoundRecord]:
        """All records by row."""
        for start in range(0, self._sounds, _AT_ONCE):
            yield from self.rows(range(start, min(start + _AT_ONCE, self._sounds)))

    def sample(self, most: int) -> list[SoundRecord]:
        """At most so many records, spread over all of them."""
        return self.rows(range(0, self._sounds, max(1, -(-self._sounds // most))))

    def materials(self) -> dict[str | None, int]:
        """Sounds per material, in the order of the materials' ids; None counts the unlabelled, last."""
        return dict(self._counts)

    def materials_of(self, rows: Rows) -> npt.NDArray[np.int64]:
        """The ids of the materials of the sounds at these rows, -1 for none."""
        return self._facets.material[rows].astype(np.int64)

    def recordings_of(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Numbers that tell the recordings of the sounds at these rows from each other (`recording_of`)."""
        return self._facets.recording[rows].astype(np.int64)

    def naming(self, name: str) -> Rows:
        """The rows of the sounds that name this object, rising."""
        return self._facets.posted("object", name).astype(np.int64)

    def rows_of(self, only: SoundFilter | None) -> Rows | None:
        """The rows of the sounds that meet a filter, rising; None for all. Do not write to it."""
        return self._facets.rows_of(only) if only else None

    def vector_rows(self, rows: Rows) -> Rows:
        """The rows of all vectors of the sounds at these rising rows, rising."""
        if self.vectors == self._sounds:
            return rows
        first = self._facets.first
        begin = first[rows].astype(np.int64)
        past = np.where(rows + 1 < self._sounds, first[np.minimum(rows + 1, self._sounds - 1)], self.vectors)
        counts = past - begin
        # Within each sound its vectors follow one another.
        return np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())

    def sounds_of(self, vectors: Rows) -> tuple[Rows, Rows]:
        """For each of these vectors the row of its sound, and which of its hits it is, from 0."""
        if self.vectors == self._sounds:
            return vectors, np.zeros_like(vectors)
        first = self._facets.first
        # In its own type: NumPy would turn all of it into the other, 8 MB for a million sounds.
        rows = np.searchsorted(first, vectors.astype(first.dtype), "right") - 1
        return rows, vectors - first[rows]

    def sound(self, sound_id: str) -> SoundRecord | None:
        """The sound with this id, or None."""
        query = f"SELECT row, {self._possible}, {COLUMNS} FROM sounds WHERE id = ?"  # noqa: S608
        found = self._database.fetch(query, sound_id)
        return from_row(self._as_written(found[0])) if found else None

    def rows(self, rows: Sequence[int]) -> list[SoundRecord]:
        """The sounds at these rows of the index, in the given order. Every row must exist."""
        # A JSON array is one parameter whatever its length; SQLite bounds the number of parameters.
        return [from_row(values) for values in self._at(COLUMNS, rows)]

    def ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of the sounds at these rows, as `rows`."""
        return [values[0] for values in self._at("id", rows)]

    def paths(self) -> set[str]:
        """The paths of all files, copies among them."""
        found = self._database.fetch("SELECT path, copies FROM sounds")
        return {one for path, copies in found for one in (path, *listed(copies))}

    def id_at(self, path: str) -> str | None:
        """The id of the sound that has a file at this path, copies among them; None where there is none."""
        row = self._row_after("path < ?", path)
        found = self._database.fetch("SELECT id FROM sounds WHERE row = ? AND path = ?", row, path)
        if not found:
            # Few sounds have copies: to look at all of these is soon done.
            query = "SELECT sounds.id FROM sounds, json_each(copies) WHERE copies != '[]' AND value = ?"
            found = self._database.fetch(query, path)
        return str(found[0][0]) if found else None

    def row_of(self, sound_id: str) -> int | None:
        """The row of the sound with this id, None where there is none."""
        found = self._database.fetch("SELECT row FROM sounds WHERE id = ?", sound_id)
        return int(found[0][0]) if found else None

    def row_after(self, place: RankPlace) -> int:
        """The first row after a place, also where its sound is gone: rows are in the order of paths."""
        if not place.cut:
            return self._row_after("path <= ?", place.path)
        found = self._database.fetch(
            "SELECT row FROM sounds WHERE id = ? AND substr(path, 1, ?) = ?",
            place.sound,
            len(place.path),
            place.path,
        )
        return int(found[0][0]) + 1 if found else self._row_after("path < ?", place.path)

    def _row_after(self, condition: str, path: str) -> int:
        """How many sounds meet a condition on their paths that the first ones meet."""
        low, high = 0, self._sounds
        query = f"SELECT row, {self._possible}, {condition} FROM sounds WHERE row = ?"  # noqa: S608
        while low < high:
            middle = (low + high) // 2
            found = self._database.fetch(query, path, middle)
            low, high = (middle + 1, high) if found and self._as_written(found[0])[0] else (low, middle)
        return low

    def _at(self, columns: str, rows: Sequence[int]) -> list[tuple[Any, ...]]:
        query = (
            f"SELECT row, {self._possible}, {columns} FROM sounds "  # noqa: S608
            "WHERE row IN (SELECT value FROM json_each(?))"
        )
        found = {values[0]: values for values in self._database.fetch(query, json.dumps(list(rows)))}
        try:
            return [self._as_written(found[row]) for row in rows]
        except KeyError as error:
            raise DamagedIndexError(f"the catalogue has no row {error}; run thud index again") from error

    def _as_written(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """What follows a row's number and whether it is possible. Raises DamagedIndexError where it is not."""
        row, possible, *rest = values
        if possible != 1:
            self._damaged = row
            raise _not_written(row)
        return tuple(rest)

    def check(self) -> None:
        """Raise DamagedIndexError where a row that was read was not what Thud writes."""
        if self._damaged is not None:
            raise _not_written(self._damaged)

    def page(self, only: SoundFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """Up to `limit` (at least 1) sounds that meet a filter, in the order of their paths.

        `cursor` is the `next` of the page before. Raises FilterError for a cursor that is none.
        """
        _check_limit(limit)
        question = question_of("page", only or EVERYTHING)
        start = 0 if cursor is None else self.row_after(Cursor.read(cursor, question).place)
        rows = self.rows_of(only)
        if rows is None:
            total, wanted = self._sounds, list(range(start, min(start + limit, self._sounds)))
            more = start + limit < self._sounds
        else:
            place = int(np.searchsorted(rows, start))
            total, wanted, more = len(rows), rows[place : place + limit].tolist(), place + limit < len(rows)
        sounds = self.rows(wanted)
        last = sounds[-1] if more else None
        return Page(sounds, total, None if last is None else str(Cursor(question, _after(last))))

    def find(
        self,
        text: str,
        only: SoundFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        until: float = math.inf,
    ) -> Page:
        """Up to `limit` (at least 1) sounds that have every word of `text` and meet a filter, best first.

        Words are looked for, from their beginning, in titles, tags, paths, materials and descriptions, without
        regard to case and accents. The best is that of bm25. Raises FilterError as `page`, and for more than 32
        words, and TimeoutError where it takes longer than `until`, in seconds of `time.monotonic`.
        """
        _check_limit(limit)
        question = question_of("find", text, only or EVERYTHING)
        after = None if cursor is None else Cursor.read(cursor, question)
        query = query_of(text)
        if query is None:
            return Page([], 0, None)
        kept = None
        if (rows := self.rows_of(only)) is not None:
            kept = np.zeros(self._sounds, np.bool_)
            kept[rows] = True
        search = TextSearch(partial(self._texts.fetch, until=until), query, kept)
        place = (math.inf, 0) if after is None else self._place(after, search)
        # One more than the limit shows whether there is a next page.
        total, found = search.best(limit + 1, *place)
        sounds = self.rows([row for _, row in found[:limit]])
        more = len(found) > limit
        marks = "".join(mark_of(one.id) for one in sounds[-_ANCHORS:])
        last = _after(sounds[-1], found[len(sounds) - 1][0]) if more else None
        return Page(sounds, total, None if last is None else str(Cursor(question, last, marks)))

    def _place(self, after: Cursor, search: TextSearch) -> tuple[float, int]:
        """The score and the row from which a text search goes on.

        In another generation all scores are others. So the place is that of the last sound of the page before that
        is still found.
        """
        for mark in reversed(after.marks()):
            # No hex digit comes after "f".
            for (row,) in self._database.fetch("SELECT row FROM sounds WHERE id BETWEEN ? AND ?", mark, mark + "g"):
                if (score := search.score(row)) is not None:
                    return score, row + 1
        return after.place.value, self.row_after(after.place)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        self._texts.close()

    def _counted(self) -> int:
        """How many sounds there are. Raises DamagedIndexError where the file is not what Thud writes."""
        # A view or a trigger, in a file that somebody else wrote, could compute without end.
        if set(self._database.fetch(_TABLES)) != _expected_tables() or self._database.fetch(_FOREIGN):
            raise DamagedIndexError("the catalogue does not have the tables that Thud writes; run thud index again")
        (ends,) = self._database.fetch("SELECT (SELECT MIN(row) FROM sounds), (SELECT MAX(row) FROM sounds)")
        if ends[0] not in (0, None):
            raise _rows_missing()
        return 0 if ends[1] is None else int(ends[1]) + 1

    def _look(self, *, whole: bool) -> None:
        """Look at all rows, or at a sample. Raises DamagedIndexError unless each is there, as Thud writes it."""
        wanted, possible = (
            (self._sounds, self._possible_rows()) if whole else (_LOOKED_AT, self._possible_of_sample())
        )
        if possible != wanted:
            strange = self._database.fetch(f"SELECT row FROM sounds WHERE ({POSSIBLE}) IS NOT TRUE LIMIT 1")  # noqa: S608
            raise _not_written(strange[0][0]) if strange else _rows_missing()

    def _possible_of_sample(self) -> int:
        """How many of a sample, which is spread over all rows, are as Thud writes them."""
        sample = np.linspace(0, self._sounds - 1, _LOOKED_AT).astype(np.int64).tolist()
        query = f"SELECT COUNT(*) FROM sounds WHERE row IN (SELECT value FROM json_each(?)) AND {POSSIBLE}"  # noqa: S608
        ((possible,),) = self._database.fetch(query, json.dumps(sample))
        return int(possible)

    def _possible_rows(self) -> int:
        """How many of all rows are as Thud writes them.

        Each connection looks through half of them, both at the same time where there are two: this takes 4 s of CPU
        for a million sounds.
        """
        query = f"SELECT COUNT(*) FROM sounds WHERE row >= ? AND row < ? AND {POSSIBLE}"  # noqa: S608
        middle = self._sounds // 2
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(self._texts.fetch, query, middle, self._sounds)
            ((first,),) = self._database.fetch(query, 0, middle)
            return int(first) + int(second.result()[0][0])

    def _count_vectors(self) -> int:
        if not self._sounds:
            return 0
        (last,) = self.rows([self._sounds - 1])
        return int(self._facets.first[-1]) + len(last.hits)


def _after(sound: SoundRecord, value: float = math.inf) -> RankPlace:
    return RankPlace.after(0, value, sound.path, sound.id)


def _not_written(row: int) -> DamagedIndexError:
    return DamagedIndexError(f"row {row} of the catalogue is not what Thud writes; run thud index again")


def _rows_missing() -> DamagedIndexError:
    return DamagedIndexError("the rows of the catalogue are not what Thud writes; run thud index again")


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise LibraryError("a page has at least 1 sound")


def _expected_tables() -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in SCHEMA:
            database.execute(statement)
        return set(database.execute(_TABLES))
