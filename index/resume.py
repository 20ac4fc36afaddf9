"""The embeddings that an unfinished run of indexing has made, kept so that the next run goes on from them."""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from model.errors import LibraryError
from model.runtime import EmbeddedSound

FINISHED_FILE = "building.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS finished_3 (
    bundle TEXT NOT NULL,
    id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    embedding BLOB NOT NULL,
    hit REAL NOT NULL,
    seconds REAL NOT NULL,
    sample_rate INTEGER NOT NULL,
    channels INTEGER NOT NULL,
    format TEXT NOT NULL,
    peak REAL NOT NULL,
    loudness REAL NOT NULL,
    PRIMARY KEY (bundle, id)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class FileState:
    """A sound file as it was found: POSIX path under the root, size, and what tells that it is another since.

    The size and the time of the last change (`written_ns`) can be put back after a change, the others cannot.
    """

    path: str
    bytes: int
    written_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, root: Path, path: str) -> "FileState":
        """The state of `root/path` now. Raises OSError."""
        found = os.stat(root / path)  # noqa: PTH116 -- the one call per file that every run makes
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True)
class FinishedSound:
    """A sound that was embedded, with the `id` of its content."""

    file: FileState
    id: str
    sound: EmbeddedSound


class FinishedSounds:
    """Finished embeddings in INDEX/building.sqlite, by bundle and content of the file: its path and its time say
    nothing of what is in it now.

    While it is open no other process can open it, so that two runs never build one index at once. It is used
    from one thread, but for `may_have`, and as a context manager; `discard` removes it.
    """

    def __init__(self, index_folder: Path, bundle_id: str) -> None:
        """Open or create. Raises LibraryError if another run has it open or the folder cannot be written."""
        self._path = index_folder / FINISHED_FILE
        self._bundle = bundle_id
        try:
            index_folder.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except OSError as error:
            raise LibraryError(f"{index_folder} cannot be written: {error.strerror or error}") from error
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise LibraryError(f"another thud index is at work in {index_folder}") from error
            if error.sqlite_errorname in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
                raise LibraryError(f"{self._path} is damaged; remove it and run thud index again") from error
            raise LibraryError(f"{self._path} cannot be written: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def may_have(self, file: FileState) -> bool:
        """Whether an earlier run finished a file of this size: only then is it worth hashing."""
        return file.bytes in self._sizes

    def get(self, file: FileState, identity: str) -> FinishedSound | None:
        """What an earlier run finished for the content with this id, which `file` has, or None."""
        query = (
            "SELECT embedding, hit, seconds, sample_rate, channels, format, peak, loudness "
            "FROM finished_3 WHERE bundle = ? AND id = ?"
        )
        row = self._database.execute(query, (self._bundle, identity)).fetchone()
        if row is None:
            return None
        embedding, *rest = row
        return FinishedSound(file, identity, EmbeddedSound(np.frombuffer(embedding, np.float32), *rest))

    def add(self, sounds: Iterable[FinishedSound]) -> None:
        """Keep finished sounds; they are on disk when this returns. Raises LibraryError if the disk is full."""
        rows = [
            (
                self._bundle,
                one.id,
                one.file.bytes,
                one.sound.embedding.tobytes(),
                one.sound.hit,
                one.sound.seconds,
                one.sound.sample_rate,
                one.sound.channels,
                one.sound.format,
                one.sound.peak,
                one.sound.loudness,
            )
            for one in sounds
        ]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO finished_3 VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
        except sqlite3.OperationalError as error:
            raise LibraryError(f"{self._path} cannot be written: {error}") from error

    def discard(self) -> None:
        """Remove the file: what it kept has been published."""
        self._path.unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=0)
        try:
            # In this mode the lock that the first write takes is held until the connection is closed.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.execute(_SCHEMA)
            sizes = database.execute("SELECT DISTINCT bytes FROM finished_3 WHERE bundle = ?", (self._bundle,))
            self._sizes = {size for (size,) in sizes}
            database.commit()
        except BaseException:
            database.close()
            raise
        return database
