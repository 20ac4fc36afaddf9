"""The catalogue: what is known about each sound of an index, in one SQLite file that never changes once written."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import DamagedIndexError, LibraryError
from model.materials import MATERIALS, material_named

UNLABELLED = "unlabelled"
"""Asks for the sounds without a material, in place of a material's name."""

_SCHEMA = """
CREATE TABLE sounds (
    id TEXT NOT NULL UNIQUE,
    row INTEGER PRIMARY KEY,
    first INTEGER NOT NULL UNIQUE,
    path TEXT NOT NULL UNIQUE,
    copies TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    material TEXT,
    label_from TEXT,
    action TEXT,
    source TEXT,
    origin TEXT,
    author TEXT,
    licence TEXT,
    attribution TEXT,
    seconds REAL NOT NULL,
    hit REAL NOT NULL,
    hits TEXT NOT NULL,
    ends TEXT NOT NULL,
    sample_rate INTEGER NOT NULL,
    channels INTEGER NOT NULL,
    format TEXT NOT NULL,
    media_type TEXT NOT NULL,
    playable INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    peak REAL NOT NULL,
    loudness REAL NOT NULL,
    brightness REAL NOT NULL,
    objects TEXT NOT NULL
);
CREATE INDEX sounds_by_material ON sounds (material, row);
"""


@dataclass(frozen=True)
class SoundRecord:
    """One sound of an index.

    `id` names its content: the first 20 hex digits of the SHA-256 of the file's bytes. `row` is its row in the
    catalogue; its vectors, one for each of its `hits`, begin at row `first` of the vectors. `path` is its POSIX
    path under the library root, `copies` are the paths of other files with the same content. From `title` to
    `attribution` it is what people wrote about it, as in `Facts`; `material` is None for an unlabelled sound.
    `hit` is the second of its main hit, `hits` those of all, rising, and `ends` the seconds until
    which they are to be played; `playable` says whether browsers play the file
    as it is. `bytes` is the size of the file, `peak` the
    largest absolute sample (1.0 is full scale), `loudness` the LUFS of the 0.4 s from the main hit on, `brightness`
    the spectral centroid of its clip in Hz. `objects` are the everyday objects that its name or its tags name
    (model/objects.py).
    """

    id: str
    row: int
    first: int
    path: str
    copies: tuple[str, ...]
    title: str
    description: str | None
    tags: tuple[str, ...]
    material: str | None
    label_from: str | None
    action: str | None
    source: str | None
    origin: str | None
    author: str | None
    licence: str | None
    attribution: str | None
    seconds: float
    hit: float
    hits: tuple[float, ...]
    ends: tuple[float, ...]
    sample_rate: int
    channels: int
    format: str
    media_type: str
    playable: bool
    bytes: int
    peak: float
    loudness: float
    brightness: float
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page of the catalogue: its `sounds` by row, the `total` that match, and what to pass as `after` for
    the next page (None on the last)."""

    sounds: list[SoundRecord]
    total: int
    next: str | None


_COLUMNS = ", ".join(field.name for field in fields(SoundRecord))

# SQLite stores a value of any type in any column, so that types are checked here. The media type and the number of
# bytes become HTTP headers.
_TYPES: dict[Any, str] = {
    str: "'text'",
    int: "'integer'",
    bool: "'integer'",
    float: "'real'",
    str | None: "'text', 'null'",
    tuple[str, ...]: "'text'",
    tuple[float, ...]: "'text'",
}
_LISTS = [place for place, field in enumerate(fields(SoundRecord)) if "tuple" in str(field.type)]
_PLAYABLE = [field.name for field in fields(SoundRecord)].index("playable")
_IMPOSSIBLE = " OR ".join(
    [f"typeof({field.name}) NOT IN ({_TYPES[field.type]})" for field in fields(SoundRecord)]
    + ["media_type GLOB '*[^!-~]*'", "bytes < 0"]
)
_NONE = np.zeros((2, 0), np.int64)


def write_catalogue(path: Path, records: Iterable[SoundRecord]) -> None:
    """Write `records`, whose rows are 0, 1, 2 and so on, into a new SQLite file at `path`.

    Raises LibraryError if the disk is full.
    """
    values = ", ".join("?" for _ in fields(SoundRecord))
    insert = f"INSERT INTO sounds ({_COLUMNS}) VALUES ({values})"  # noqa: S608
    try:
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(_SCHEMA)
            database.executemany(insert, map(_stored, records))
    except sqlite3.OperationalError as error:
        raise LibraryError(f"the catalogue {path} cannot be written: {error}") from error


def _stored(record: SoundRecord) -> tuple[Any, ...]:
    columns = list(astuple(record))
    for place in _LISTS:
        columns[place] = json.dumps(columns[place], ensure_ascii=False)
    return tuple(columns)


def _record(columns: tuple[Any, ...]) -> SoundRecord:
    values = list(columns)
    for place in _LISTS:
        values[place] = _listed(values[place])
    values[_PLAYABLE] = bool(values[_PLAYABLE])
    return SoundRecord(*values)


def _listed(text: str) -> tuple[Any, ...]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise DamagedIndexError("the catalogue has a list that is none; run thud index again")
    return tuple(found)


class Catalogue:
    """Reads a catalogue, from a file or from its content. Safe to use from several threads; close it when done.

    All threads share one connection, behind a lock. It stays open, so that the file can be read after its name is
    gone. Every query raises DamagedIndexError where the database is broken.
    """

    def __init__(self, source: Path | memoryview) -> None:
        self._lock = threading.Lock()
        try:
            if isinstance(source, Path):
                # A catalogue never changes once written, so SQLite may skip its locks (a read-only mount has none).
                uri = f"{source.resolve().as_uri()}?mode=ro&immutable=1"
                self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
            else:
                self._database = sqlite3.connect(":memory:", check_same_thread=False)
                self._database.deserialize(source)
        except sqlite3.Error as error:
            raise LibraryError(f"the catalogue cannot be read: {error}") from error
        try:
            # A view of this name, in a file that somebody else wrote, could compute without end.
            if self._fetch("SELECT type FROM sqlite_master WHERE name = 'sounds'") != [("table",)]:
                raise DamagedIndexError("the catalogue has no table of sounds; run thud index again")
            impossible = self._fetch(f"SELECT row FROM sounds WHERE {_IMPOSSIBLE} LIMIT 1")  # noqa: S608
            if impossible:
                raise DamagedIndexError(
                    f"row {impossible[0][0]} of the catalogue is not what Thud writes; run thud index again"
                )
            counts = dict(self._fetch("SELECT material, COUNT(*) FROM sounds GROUP BY material"))
            naming = self._fetch("SELECT row, objects, material FROM sounds WHERE objects != '[]' ORDER BY row")
        except BaseException:
            self._database.close()
            raise
        names: list[str | None] = [material.name for material in MATERIALS]
        self._counts: dict[str | None, int] = {name: counts[name] for name in [*names, None] if counts.get(name)}
        by_object: dict[str, list[tuple[int, int]]] = {}
        for row, objects, material in naming:
            known = material_named(material or "")
            for name in _listed(objects):
                by_object.setdefault(name, []).append((row, -1 if known is None else known.id))
        self._naming = {name: np.array(found, np.int64).T for name, found in by_object.items()}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def materials(self) -> dict[str | None, int]:
        """Sounds per material, in the order of the materials' ids; None counts the unlabelled, last."""
        return dict(self._counts)

    def naming(self, name: str) -> npt.NDArray[np.int64]:
        """The sounds that name this object, `[2, n]`: rows, in order, and ids of their materials, -1 for none."""
        return self._naming.get(name, _NONE)

    def sound(self, sound_id: str) -> SoundRecord | None:
        """The sound with this id, or None."""
        found = self._fetch(f"SELECT {_COLUMNS} FROM sounds WHERE id = ?", sound_id)  # noqa: S608
        return _record(found[0]) if found else None

    def rows(self, rows: Sequence[int]) -> list[SoundRecord]:
        """The sounds at these rows of the index, in the given order. Every row must exist."""
        # A JSON array is one parameter whatever its length; SQLite bounds the number of parameters.
        query = f"SELECT {_COLUMNS} FROM sounds WHERE row IN (SELECT value FROM json_each(?))"  # noqa: S608
        found = {record.row: record for record in self._records(query, json.dumps(list(rows)))}
        try:
            return [found[row] for row in rows]
        except KeyError as error:
            raise DamagedIndexError(f"the catalogue has no row {error}; run thud index again") from error

    def page(self, material: str | None = None, after: str | None = None, limit: int = 50) -> Page:
        """Up to `limit` (at least 1) sounds by row: all, those of `material`, or the `UNLABELLED`.

        `after` is the id of the last sound already seen. Raises LibraryError for a material or an id that
        does not exist.
        """
        if limit < 1:
            raise LibraryError("a page has at least 1 sound")
        start = -1 if after is None else self._row_of(after)
        where, parameters, total = self._filter(material)
        query = f"SELECT {_COLUMNS} FROM sounds WHERE row > ? AND {where} ORDER BY row LIMIT ?"  # noqa: S608
        # One more than the limit shows whether there is a next page.
        found = self._records(query, start, *parameters, limit + 1)
        sounds = found[:limit]
        return Page(sounds, total, sounds[-1].id if len(found) > limit else None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _filter(self, material: str | None) -> tuple[str, tuple[str, ...], int]:
        """SQL condition, its parameters, and how many sounds meet it."""
        if material is None:
            return "TRUE", (), len(self)
        if material == UNLABELLED:
            return "material IS NULL", (), self._counts.get(None, 0)
        known = material_named(material)
        if known is None:
            raise LibraryError(f"there is no material {material!r}")
        return "material = ?", (known.name,), self._counts.get(known.name, 0)

    def _row_of(self, sound_id: str) -> int:
        found = self._fetch("SELECT row FROM sounds WHERE id = ?", sound_id)
        if not found:
            raise LibraryError(f"there is no sound {sound_id!r} in this index to go on after")
        return int(found[0][0])

    def _records(self, query: str, *parameters: Any) -> list[SoundRecord]:
        return [_record(found) for found in self._fetch(query, *parameters)]

    def _fetch(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._database.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise DamagedIndexError(f"the catalogue cannot be read: {error}; run thud index again") from error
