"""Embedding the sounds of a library in parallel; what is finished is kept, so that an interrupted run continues."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.library import Skipped
from index.vectors import is_unit
from model.errors import LibraryError, SoundError
from model.progress import progress
from model.runtime import EmbeddedSound, TowerRuntime
from model.sound import SoundLimits
from model.sound_format.silent_decoders import silent_decoders

FINISHED_FILE = "building.sqlite"
ID_DIGITS = 20
_COMMIT_EVERY = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS finished_5 (
    bundle TEXT NOT NULL,
    id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    embeddings BLOB NOT NULL,
    hits TEXT NOT NULL,
    hit REAL NOT NULL,
    ends TEXT NOT NULL,
    seconds REAL NOT NULL,
    sample_rate INTEGER NOT NULL,
    channels INTEGER NOT NULL,
    format TEXT NOT NULL,
    playable INTEGER NOT NULL,
    peak REAL NOT NULL,
    loudness REAL NOT NULL,
    brightness REAL NOT NULL,
    PRIMARY KEY (bundle, id)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class FileState:
    """A sound file as it was found: its POSIX path under the root, and what changes when the file does.

    The size and the time of writing (`written_ns`) can be set back after a change; `changed_ns` and `inode` cannot.
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
    """Finished embeddings in INDEX/building.sqlite, by bundle and by content of the file, not by its path or time.

    While it is open no other process can open it, so that two runs never build the same index at once. Use it as a
    context manager and from one thread; only `may_have` may be called from others. `discard` removes the file.
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
            "SELECT embeddings, hits, hit, ends, seconds, sample_rate, channels, format, "
            "playable, peak, loudness, brightness FROM finished_5 WHERE bundle = ? AND id = ?"
        )
        row = self._database.execute(query, (self._bundle, identity)).fetchone()
        if row is None:
            return None
        stored, hits, hit, ends, seconds, sample_rate, channels, kind, playable, *rest = row
        times = tuple(json.loads(hits))
        embeddings = np.frombuffer(stored, np.float32).reshape(len(times), -1)
        until = tuple(json.loads(ends))
        sound = EmbeddedSound(
            embeddings, times, hit, until, seconds, sample_rate, channels, kind, bool(playable), *rest
        )
        return FinishedSound(file, identity, sound)

    def add(self, sounds: Iterable[FinishedSound]) -> None:
        """Write finished sounds to the disk. Raises LibraryError if it is full."""
        rows = [
            (
                self._bundle,
                one.id,
                one.file.bytes,
                one.sound.embeddings.tobytes(),
                json.dumps(one.sound.hits),
                one.sound.hit,
                json.dumps(one.sound.ends),
                one.sound.seconds,
                one.sound.sample_rate,
                one.sound.channels,
                one.sound.format,
                one.sound.playable,
                one.sound.peak,
                one.sound.loudness,
                one.sound.brightness,
            )
            for one in sounds
        ]
        try:
            with self._database:
                self._database.executemany(
                    "INSERT OR REPLACE INTO finished_5 VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows
                )
        except sqlite3.OperationalError as error:
            raise LibraryError(f"{self._path} cannot be written: {error}") from error

    def discard(self) -> None:
        """Remove the file; called when the index that it was for is published."""
        self._path.unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=0)
        try:
            # In this mode SQLite holds the lock of the first write until the connection is closed.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.execute(_SCHEMA)
            sizes = database.execute("SELECT DISTINCT bytes FROM finished_5 WHERE bundle = ?", (self._bundle,))
            self._sizes = {size for (size,) in sizes}
            database.commit()
        except BaseException:
            database.close()
            raise
        return database


Outcome = FinishedSound | Skipped


def embed_sounds(
    runtime: TowerRuntime,
    root: Path,
    paths: Sequence[str],
    *,
    finished: FinishedSounds,
    limits: SoundLimits,
    workers: int,
    say: Callable[[str], None],
) -> tuple[list[Outcome], int]:
    """Embed the sounds at `paths` under `root`; one outcome per path, in the order of `paths`.

    What `finished` holds is not embedded again. What is embedded is added to it every 256 sounds and when the run
    is interrupted. A sound that cannot be used becomes a `Skipped`, and `say` is called with the reason. The second
    value is the number of sounds taken from `finished`.
    """
    outcomes: list[Outcome] = []
    resumed = 0

    def embed(file: FileState) -> Outcome:
        return _embed(runtime, root, file, limits)

    with (
        silent_decoders(),
        ThreadPoolExecutor(workers) as pool,
        progress("embedding", len(paths), "sound") as bar,
    ):
        for start in range(0, len(paths), _COMMIT_EVERY):
            found = pool.map(lambda path: _find(root, path, finished), paths[start : start + _COMMIT_EVERY])
            known = [_known(one, finished, limits) for one in found]
            waiting = [one for one in known if isinstance(one, FileState)]
            resumed += sum(isinstance(one, FinishedSound) for one in known)
            embedded: list[FinishedSound] = []
            results = pool.map(embed, waiting)
            try:
                for one in known:
                    outcome = next(results) if isinstance(one, FileState) else one
                    outcomes.append(outcome)
                    if isinstance(outcome, Skipped):
                        say(f"skipped {outcome.path}: {outcome.reason}")
                    elif outcome is not one:
                        embedded.append(outcome)
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                finished.add(embedded)
    return outcomes, resumed


def _find(root: Path, path: str, finished: FinishedSounds) -> tuple[FileState, str | None] | Skipped:
    """The state of a file, and the id of its content where an earlier run may have finished it."""
    try:
        file = FileState.of(root, path)
        identity = sound_id(root / path) if finished.may_have(file) else None
        return file, identity if identity and FileState.of(root, path) == file else None
    except OSError as error:
        return Skipped(path, f"cannot be read: {error.strerror or error}")


def _known(
    found: tuple[FileState, str | None] | Skipped, finished: FinishedSounds, limits: SoundLimits
) -> Outcome | FileState:
    """What is known of a sound before it is embedded: its outcome from an earlier run, or only the file's state."""
    if isinstance(found, Skipped):
        return found
    file, identity = found
    earlier = finished.get(file, identity) if identity is not None else None
    # The earlier run may have had wider limits.
    return file if earlier is None or earlier.sound.seconds > limits.max_seconds else earlier


def _embed(runtime: TowerRuntime, root: Path, file: FileState, limits: SoundLimits) -> Outcome:
    path = root / file.path
    try:
        # Decoding comes first: it refuses a sound of hours by its header, while hashing would read the whole file.
        sound = runtime.embed_sound(path, limits)
        identity = sound_id(path)
        if FileState.of(root, file.path) != file:
            return Skipped(file.path, "changed while it was being read; run thud index again")
    except SoundError as error:
        return Skipped(file.path, str(error))
    except OSError as error:
        return Skipped(file.path, f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return Skipped(file.path, "there is not enough memory to read it")
    if sound.embeddings.dtype != np.float32 or not all(map(is_unit, sound.embeddings)):
        return Skipped(file.path, "the bundle's sound tower gave it an embedding that is not of length 1")
    return FinishedSound(file, identity, sound)


def sound_id(path: Path) -> str:
    """A sound's id: the first 20 hex digits of the SHA-256 of the file's bytes. Raises OSError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:ID_DIGITS]
