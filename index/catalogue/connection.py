"""A connection to a catalogue, which several threads share and which can be told how long it may take."""

import math
import sqlite3
import threading
from pathlib import Path
from time import monotonic
from typing import Any

from model.errors import DamagedIndexError, LibraryError

_STEPS = 1000
"""Of SQLite's virtual machine, between two looks at the time: 0.1 s in a search for a common word."""

_CACHED_PAGES = 64
"""By each connection to a file, 256 KiB: the system keeps the file's pages too, and 2 MB of SQLite's own pages,
spread over the heap, would keep more of it from being given back."""


class Connection:
    """A connection to a catalogue, from a file or from its content, behind a lock."""

    def __init__(self, source: Path | memoryview) -> None:
        self._lock = threading.Lock()
        try:
            if isinstance(source, Path):
                # A catalogue never changes once written, so SQLite may skip its locks (a read-only mount has none).
                uri = f"{source.resolve().as_uri()}?mode=ro&immutable=1"
                self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
                self._database.execute(f"PRAGMA cache_size = {_CACHED_PAGES}")
            else:
                self._database = sqlite3.connect(":memory:", check_same_thread=False)
                self._database.deserialize(source)
        except sqlite3.Error as error:
            raise LibraryError(f"the catalogue cannot be read: {error}") from error

    def fetch(self, query: str, *parameters: Any, until: float = math.inf) -> list[tuple[Any, ...]]:
        """All rows of a query's result.

        Raises DamagedIndexError where the database is broken, and TimeoutError where there is no result at `until`,
        in seconds of `time.monotonic`, because others ask or because it takes so long.
        """
        if not self._lock.acquire(timeout=min(threading.TIMEOUT_MAX, max(0.0, until - monotonic()))):
            raise TimeoutError
        try:
            late = None if math.isinf(until) else lambda: monotonic() >= until
            if late is not None and late():
                raise TimeoutError
            self._database.set_progress_handler(late, _STEPS)
            return self._database.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError from error
            raise DamagedIndexError(f"the catalogue cannot be read: {error}; run thud index again") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file; once more does no harm."""
        with self._lock:
            self._database.close()
