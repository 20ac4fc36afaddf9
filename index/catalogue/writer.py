"""Writing a catalogue: the sounds, and beside them what filters and text search look into.

sounds     a row for each sound, in the order of their paths
numbers    a column of the sounds as one blob each, little-endian: `COLUMNS_KEPT`
postings   for each value of a facet its rows, as one blob of int32: `FACETS`
folders    for each folder the rows of the sounds in it, `[first, past)`, and those of which a copy lies in it
words      the FTS5 index of titles, tags, paths without their endings, materials and descriptions
"""

import sqlite3
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np

from index.catalogue.filters import WORDS, folded
from index.catalogue.record import INSERT, TABLE, SoundRecord, recording_of, to_row
from model.errors import LibraryError
from model.materials import material_named

FACETS: Final = (*WORDS, "object")
COLUMNS_KEPT: Final = {
    "first": "<i4",
    "material": "|i1",
    "recording": "<i4",
    "seconds": "<f4",
    "loudness": "<f4",
}
"""The columns in `numbers` and their types.

`material` is its id, -1 for none; `recording` a checksum of `recording_of`, at least 0.
"""

SCHEMA: Final = (
    TABLE,
    "CREATE TABLE numbers (name TEXT PRIMARY KEY, packed BLOB NOT NULL)",
    "CREATE TABLE postings (facet TEXT NOT NULL, value TEXT NOT NULL, sounds BLOB NOT NULL, "
    "PRIMARY KEY (facet, value))",
    "CREATE TABLE folders (folder TEXT PRIMARY KEY, folded TEXT NOT NULL, first INTEGER NOT NULL, "
    "past INTEGER NOT NULL, copies BLOB NOT NULL)",
    # The texts are in `sounds` already; FTS5 keeps none of its own.
    "CREATE VIRTUAL TABLE words USING fts5(title, tags, path, material, description, content='', "
    "tokenize='unicode61 remove_diacritics 2')",
    "CREATE UNIQUE INDEX sounds_by_id ON sounds (id)",
    "CREATE INDEX folders_by_name ON folders (folded)",
)
_INDEXES = len(SCHEMA) - 2  # made last: sorting once is faster than keeping in order

# A path without its ending: rtrim takes away all that is no dot, then the dot.
_WORDS = """
INSERT INTO words (rowid, title, tags, path, material, description)
SELECT row, title, tags, rtrim(rtrim(path, replace(path, '.', '')), '.'), material, description FROM sounds
"""


def write_catalogue(path: Path, records: Iterable[SoundRecord]) -> None:
    """Write `records` into a new SQLite file at `path`; their rows are 0, 1, 2 and so on, their paths rise.

    The vectors of a sound, one for each of its hits, follow those of the sound before it. Raises LibraryError if
    the disk is full, ValueError where the paths are not in order.
    """
    columns = _Columns()
    try:
        # Without locks, which some file systems do not have: no other process knows the file yet.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?vfs=unix-none", uri=True)) as database:
            # Nobody reads the file before it is whole, and a file that was not finished is thrown away.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            with database:
                for statement in SCHEMA[:_INDEXES]:
                    database.execute(statement)
                database.executemany(INSERT, columns.rows_of(records))
                database.execute(_WORDS)
                database.execute("INSERT INTO words (words) VALUES ('optimize')")
                database.executemany("INSERT INTO numbers VALUES (?, ?)", columns.numbers())
                database.executemany("INSERT INTO postings VALUES (?, ?, ?)", columns.postings())
                database.executemany("INSERT INTO folders VALUES (?, ?, ?, ?, ?)", columns.folders())
                for statement in SCHEMA[_INDEXES:]:
                    database.execute(statement)
    except sqlite3.OperationalError as error:
        raise LibraryError(f"the catalogue {path} cannot be written: {error}") from error


class _Columns:
    """Collects, while records pass, what is stored by column rather than by sound: some 40 bytes for each."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[Any]] = {
            name: array({"i4": "i", "i1": "b", "f4": "f"}[kind[1:]]) for name, kind in COLUMNS_KEPT.items()
        }
        self._postings: dict[tuple[str, str], array[int]] = defaultdict(lambda: array("i"))
        self._ranges: dict[str, tuple[int, int]] = {}
        self._copies: dict[str, array[int]] = defaultdict(lambda: array("i"))

    def rows_of(self, records: Iterable[SoundRecord]) -> Iterator[tuple[Any, ...]]:
        """The row of each record in the table `sounds`, after it was taken in."""
        inside: list[str] = []  # the folders that the record before lies in, outermost first
        before, row, first = "", -1, 0
        for row, record in enumerate(records):
            if row and record.path <= before:
                raise ValueError(f"record {row}, {record.path!r}, comes after {before!r}")
            self._take(row, first, record)
            folders = _folders(record.path)
            for folder in inside[_shared(inside, folders) :]:
                self._ranges[folder] = (self._ranges[folder][0], row)
            for folder in folders[_shared(inside, folders) :]:
                self._ranges[folder] = (row, row)
            inside, before = folders, record.path
            yield to_row(row, first, record)
            first += len(record.hits)
        for folder in inside:
            self._ranges[folder] = (self._ranges[folder][0], row + 1)

    def numbers(self) -> Iterator[tuple[str, bytes]]:
        """Rows of the table `numbers`."""
        for name, values in self._numbers.items():
            yield name, np.asarray(values).astype(COLUMNS_KEPT[name]).tobytes()

    def postings(self) -> Iterator[tuple[str, str, bytes]]:
        """Rows of the table `postings`."""
        for (facet, value), rows in sorted(self._postings.items()):
            yield facet, value, _packed(rows)

    def folders(self) -> Iterator[tuple[str, str, int, int, bytes]]:
        """Rows of the table `folders`."""
        for folder in sorted({*self._ranges, *self._copies}):
            yield folder, folded(folder), *self._ranges.get(folder, (0, 0)), _packed(self._copies[folder])

    def _take(self, row: int, first: int, record: SoundRecord) -> None:
        material = None if record.material is None else material_named(record.material)
        self._numbers["first"].append(first)
        self._numbers["material"].append(-1 if material is None else material.id)
        self._numbers["recording"].append(zlib.crc32(recording_of(record.path).encode()) & 0x7FFFFFFF)
        self._numbers["seconds"].append(record.seconds)
        self._numbers["loudness"].append(record.loudness)
        for facet, values in (
            ("action", (record.action,)),
            ("source", (record.source,)),
            ("licence", (record.licence,)),
            ("tag", record.tags),
        ):
            for value in {folded(value) for value in values if value}:
                self._postings[facet, value].append(row)
        for value in set(record.objects):
            self._postings["object", value].append(row)
        for folder in {folder for path in record.copies for folder in _folders(path)}:
            self._copies[folder].append(row)


def _folders(path: str) -> list[str]:
    """The folders that a path lies in, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _shared(one: list[str], other: list[str]) -> int:
    """How many folders both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _packed(rows: "array[int]") -> bytes:
    return np.asarray(rows, "<i4").tobytes()
