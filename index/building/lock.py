"""The lock of an index: one process at a time changes it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model.errors import LibraryError, ThudError
from model.locks import exclusive

LOCK_FILE = ".lock"


@contextmanager
def only_writer(index_folder: Path) -> Iterator[None]:
    """Hold the lock of the index inside the block; the folder is made where there is none.

    Whatever a run decides by (options, known paths, files) is read while it holds the lock: what another one writes
    in between would be undone. Raises LibraryError if another process holds it, or if the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            index_folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                exclusive(index_folder, index_folder / LOCK_FILE, "another thud index is at work in")
            )
        except OSError as error:
            raise LibraryError(f"{index_folder} cannot be written: {error.strerror or error}") from error
        except ThudError as error:
            raise LibraryError(str(error)) from error
        yield
