"""What earlier runs found out about sound files, in INDEX/cache.sqlite, so that a run costs what changed.

Of a content, by its id: its embeddings, what decoding found out, and the tags in its file. Of a path: the state in
which its file was found, and the id of its content or the reason why it is no sound that can be used. All of it can
be computed again from the files: a cache that is damaged is made anew.
"""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple, fields
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from index.building.content import Content, KnownContent, KnownFile, tags_version
from model.errors import LibraryError
from model.file_state import FileState
from model.runtime import EmbeddedSound
from model.sound import SoundLimits

CACHE_FILE = "cache.sqlite"
JOURNAL = f"{CACHE_FILE}-journal"
LARGE = 4 * 2**20
"""A file of more bytes is read whole before it is decoded only where one of its size was a sound before."""

_VERSION = 3
_DECODING = 1
"""Raised by whoever changes what decoding, finding hits or embedding makes of a file."""
_KEPT = 8
"""What no generation used since so many were published is removed."""

_SCHEMA = """
CREATE TABLE hearing (
    number INTEGER PRIMARY KEY,
    bundle TEXT NOT NULL,
    decoding TEXT NOT NULL,
    UNIQUE (bundle, decoding)
);
CREATE TABLE contents (
    number INTEGER PRIMARY KEY,
    hearing INTEGER NOT NULL,
    id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    hits INTEGER NOT NULL,
    decoded TEXT NOT NULL,
    tags TEXT NOT NULL,
    tags_version TEXT NOT NULL,
    crc INTEGER NOT NULL,
    embeddings BLOB NOT NULL,
    UNIQUE (hearing, id)
);
CREATE INDEX by_tags_version ON contents (hearing, tags_version);
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    written_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    id TEXT,
    reason TEXT,
    rules TEXT
) WITHOUT ROWID;
CREATE TABLE unused (content INTEGER PRIMARY KEY, since INTEGER NOT NULL);
CREATE TABLE published (count INTEGER NOT NULL, fingerprint TEXT, generation TEXT);
INSERT INTO published VALUES (0, NULL, NULL);
"""  # fmt: skip

_DECODED = [field.name for field in fields(EmbeddedSound) if field.name != "embeddings"]


def decoding() -> str:
    """What stands for the way in which a file becomes embeddings, beside the bundle."""
    # What an embedded sound consists of is part of it: a row that lacks a field is one of another decoding.
    return f"{_DECODING} {' '.join(_DECODED)}"


class DamagedCacheError(LibraryError):
    """A cache that cannot be read; a run removes it and begins anew."""


class IndexCache:
    """The cache of the index at `index_folder`, for sounds heard with `bundle_id` within `limits`.

    Whoever opens it holds `only_writer` of the index, or reads only: with `read_only` nothing is made or written,
    and what another process writes meanwhile may look like damage. Use it as a context manager and from one thread.
    Each method raises LibraryError where the file cannot be read or written, and DamagedCacheError where it is
    damaged.
    """

    def __init__(self, index_folder: Path, bundle_id: str, limits: SoundLimits, *, read_only: bool = False) -> None:
        """Open or create."""
        self._path, self._read_only = index_folder / CACHE_FILE, read_only
        self._rules = f"{metadata.version('thud')} {limits}"
        with ExitStack() as stack:
            with self._errors():
                self._database = stack.enter_context(closing(_open(self._path, read_only)))
                self._hearing = self._prepare(bundle_id)
                sizes = self._database.execute(
                    "SELECT DISTINCT bytes FROM contents WHERE hearing = ? AND bytes > ?", (self._hearing, LARGE)
                )
                self.sizes = {size for (size,) in sizes}
                """Sizes of large files that were sounds."""
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def files(self, states: Mapping[str, FileState]) -> dict[str, KnownFile]:
        """What is known of the files with these paths, of those that are in the state in which they were found.

        A reason is known only within the same limits and to the same version of Thud. One query for all of them:
        every run asks for each file of the library.
        """
        columns = "path, files.bytes, written_ns, changed_ns, inode, files.id, reason, rules, seconds"
        joined = "files LEFT JOIN contents ON hearing = ? AND contents.id = files.id"
        query = f"SELECT {columns} FROM {joined} WHERE path IN {_places(states)}"  # noqa: S608
        with self._errors():
            rows = self._database.execute(query, (self._hearing, *states)).fetchall()
        return {
            path: KnownFile(identity, reason, seconds)
            for path, *state, identity, reason, rules, seconds in rows
            if FileState(*state) == states[path] and (reason is None or rules == self._rules)
        }

    def seconds(self, identity: str) -> float | None:
        """How long the sound with this id is; None where the content is not known."""
        query = "SELECT seconds FROM contents WHERE hearing = ? AND id = ?"
        with self._errors():
            row = self._database.execute(query, (self._hearing, identity)).fetchone()
        return None if row is None else float(row[0])

    def contents(self, ids: Collection[str]) -> dict[str, KnownContent]:
        """What is known of the contents with these ids, all of which must be known; a few hundred at a time."""
        columns = "id, bytes, decoded, tags, hits, embeddings, crc"
        query = f"SELECT {columns} FROM contents WHERE hearing = ? AND id IN {_places(ids)}"  # noqa: S608
        with self._errors():
            rows = self._database.execute(query, (self._hearing, *ids)).fetchall()
        found = {identity: self._content(*values) for identity, *values in rows}
        if not found.keys() >= set(ids):
            raise DamagedCacheError(f"{self._path} is damaged: it lacks a content that it had")
        return found

    def add(self, content: Content) -> None:
        """Keep a content; it is on the disk after `commit`."""
        sound = content.sound
        decoded = json.dumps({name: getattr(sound, name) for name in _DECODED})
        tags = json.dumps(content.tags, ensure_ascii=False)
        blob = sound.embeddings.tobytes()
        size = (content.bytes, sound.seconds, len(sound.hits))
        row = (self._hearing, content.id, *size, decoded, tags, tags_version(), zlib.crc32(blob), blob)
        insert = (
            "INSERT OR REPLACE INTO contents "
            "(hearing, id, bytes, seconds, hits, decoded, tags, tags_version, crc, embeddings) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        with self._errors():
            self._database.execute(insert, row)
        if content.bytes > LARGE:
            self.sizes.add(content.bytes)

    def with_old_tags(self) -> set[str]:
        """The ids of the contents whose tags another version of the code has read."""
        query = "SELECT id FROM contents WHERE hearing = ? AND tags_version"
        key = (self._hearing, tags_version())
        with self._errors():
            rows = self._database.execute(f"{query} < ? UNION {query} > ?", key + key)
            return {str(identity) for (identity,) in rows}

    def replace_tags(self, identity: str, tags: dict[str, str]) -> None:
        """Keep other tags of a content that is known; they are on the disk after `commit`."""
        update = "UPDATE contents SET tags = ?, tags_version = ? WHERE hearing = ? AND id = ?"
        values = (json.dumps(tags, ensure_ascii=False), tags_version(), self._hearing, identity)
        with self._errors():
            self._database.execute(update, values)
            # The records are others now, though all that the fingerprint is made of is the same.
            self._database.execute("UPDATE published SET fingerprint = NULL")

    def remember(self, path: str, state: FileState, known: KnownFile) -> None:
        """Keep what a file in this state is; it is on the disk after `commit`."""
        with self._errors():
            self._database.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (path, *astuple(state), known.id, known.reason, self._rules),
            )

    def commit(self) -> None:
        """Bring what was added to the disk."""
        with self._errors():
            self._database.commit()

    def published(self, ids: Iterable[str], paths: Collection[str]) -> None:
        """Note that a generation of the contents `ids` was published, and prune what none has used for long.

        `paths` are those of the library's sounds: what is known of others goes once they are as many.
        """
        with self._errors(), self._database as database:
            database.execute("UPDATE published SET count = count + 1")
            ((count,),) = database.execute("SELECT count FROM published")
            database.execute("CREATE TEMP TABLE used (content INTEGER PRIMARY KEY)")
            database.executemany(
                "INSERT OR IGNORE INTO used SELECT number FROM contents WHERE hearing = ? AND id = ?",
                ((self._hearing, identity) for identity in ids),
            )
            database.execute("DELETE FROM unused WHERE content IN (SELECT content FROM used)")
            database.execute(
                "INSERT OR IGNORE INTO unused SELECT number, ? FROM contents "
                "WHERE number NOT IN (SELECT content FROM used)",
                (count,),
            )
            old = "SELECT content FROM unused WHERE since <= ?"
            database.execute(f"DELETE FROM contents WHERE number IN ({old})", (count - _KEPT,))  # noqa: S608
            database.execute("DELETE FROM unused WHERE since <= ?", (count - _KEPT,))
            database.execute("DROP TABLE used")
            ((known,),) = database.execute("SELECT COUNT(*) FROM files")
            if known > 2 * len(paths) + 1000:
                database.execute("CREATE TEMP TABLE there (path TEXT PRIMARY KEY) WITHOUT ROWID")
                database.executemany("INSERT INTO there VALUES (?)", ((path,) for path in paths))
                database.execute("DELETE FROM files WHERE path NOT IN (SELECT path FROM there)")
                database.execute("DROP TABLE there")

    def generation_of(self, fingerprint: str) -> str | None:
        """The generation that a run with this fingerprint made, if it was the last one that kept it."""
        query = "SELECT generation FROM published WHERE fingerprint = ?"
        with self._errors():
            row = self._database.execute(query, (fingerprint,)).fetchone()
        return None if row is None else str(row[0])

    def keep_generation(self, fingerprint: str, generation: str) -> None:
        """Keep which generation the run with this fingerprint made."""
        with self._errors(), self._database:
            update = "UPDATE published SET fingerprint = ?, generation = ?"
            self._database.execute(update, (fingerprint, generation))

    def check(self) -> None:
        """Read all of it. Raises DamagedCacheError where something in it is not as it was written."""
        with self._errors():
            found = self._database.execute("PRAGMA integrity_check(1)").fetchall()
            if found != [("ok",)]:
                raise DamagedCacheError(f"{self._path} is damaged: {str(found[0][0]).splitlines()[-1]}")
            ids = self._database.execute("SELECT id FROM contents WHERE hearing = ?", (self._hearing,)).fetchall()
        for (identity,) in ids:
            self.contents([identity])

    def _content(self, size: Any, decoded: Any, tags: Any, hits: Any, stored: Any, crc: Any) -> KnownContent:
        try:
            facts = {
                name: tuple(one) if isinstance(one, list) else one for name, one in json.loads(decoded).items()
            }
            told = json.loads(tags)
        except (AttributeError, TypeError, ValueError) as error:
            raise DamagedCacheError(f"{self._path} is damaged: {error}") from error
        if not isinstance(stored, bytes) or zlib.crc32(stored) != crc or hits < 1 or len(stored) % (4 * hits):
            raise DamagedCacheError(f"{self._path} is damaged: it has other embeddings than were written")
        return KnownContent(size, facts, told, np.frombuffer(stored, np.float32).reshape(hits, -1))

    def _prepare(self, bundle_id: str) -> int:
        """Make the tables of a new file; the number of this bundle with this way of decoding."""
        ((version,),) = self._database.execute("PRAGMA user_version")
        if version not in ((_VERSION,) if self._read_only else (0, _VERSION)):
            raise DamagedCacheError(f"{self._path} is of another version of Thud")
        if version == 0:
            self._database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")
        key = (bundle_id, decoding())
        if not self._read_only:
            with self._database:
                self._database.execute("INSERT OR IGNORE INTO hearing (bundle, decoding) VALUES (?, ?)", key)
        row = self._database.execute("SELECT number FROM hearing WHERE bundle = ? AND decoding = ?", key).fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", None) or "SQLITE_CORRUPT"
            if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR", "SQLITE_CONSTRAINT")):
                raise DamagedCacheError(f"{self._path} is damaged: {error}") from error
            done = "read" if self._read_only else "written"
            raise LibraryError(f"{self._path} cannot be {done}: {error}") from error


def _places(values: Collection[str]) -> str:
    """A list of as many parameters, as SQL."""
    return f"({', '.join('?' * len(values))})"


def _open(path: Path, read_only: bool) -> sqlite3.Connection:
    # Without SQLite's own locks, which some file systems do not have: the lock file is there before it is opened.
    how = "mode=ro&immutable=1" if read_only else "vfs=unix-none"
    database = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=0)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA temp_store = MEMORY")
    return database


def quiet_state(index_folder: Path) -> FileState | None:
    """The state of the cache's file, None while something is being written to it. Raises OSError."""
    journal = index_folder / JOURNAL
    return None if journal.exists() and journal.stat().st_size else FileState.of(index_folder / CACHE_FILE)


def remove_cache(index_folder: Path) -> None:
    """Remove a cache that is damaged."""
    for name in (CACHE_FILE, JOURNAL):
        (index_folder / name).unlink(missing_ok=True)
