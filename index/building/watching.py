"""Keeping an index up to date while its library changes: `thud index --watch`."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import Change, watch

from index.library.manifests import MANIFEST_NAMES
from model.errors import LibraryError, ThudError

if TYPE_CHECKING:
    from index.building.run import BuildReport

_QUIET_SECONDS = 1.0
"""A pass begins once nothing has changed for so long, or after `_PATIENCE_SECONDS` of changes."""
_PATIENCE_SECONDS = 30.0
_RESCAN_SECONDS = 60.0
"""After this time there is a pass without a change. One that failed, as on a full disk, is tried again; and what
other machines change on a network file system is seen, of which no system tells."""
_RESCAN_SHARE = 20
"""A pass that took long is repeated after so many times as long, so that it costs little."""
_POLL_MILLISECONDS = 200

Say = Callable[[str], None]
Keep = Callable[[Change, str], bool]


def watch_library(
    sounds: Path, index_folder: Path, manifest: Path | None, run: Callable[[Say], "BuildReport"], say: Say
) -> None:
    """Call `run` now, after every change of the sounds or their manifest, and each minute, until SIGINT or SIGTERM.

    A change while a pass is running leads to another one. `say` is called with a line for each pass, but for one
    that found nothing new though nothing led to it, and with what the run says and the one before it did not, such
    as that there is no manifest any more. A pass that fails
    leaves the index as it was. A folder that was deleted and made again, or mounted again, is watched again. Raises
    LibraryError where the folder cannot be watched at first.
    """
    with ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        watches = _Watches(sounds, index_folder, manifest)
        stack.callback(watches.end)
        try:
            watches.begin()
            due = True
            said: set[str] = set()
            while True:
                began = time.monotonic()
                said = _pass(run, say, said, due)
                due = watches.wait(max(_RESCAN_SECONDS, _RESCAN_SHARE * (time.monotonic() - began)))
                with suppress(LibraryError):  # The pass says what is wrong with the folder.
                    watches.renew()
        except KeyboardInterrupt:
            say("watching has ended; the index is as the last line says")


def _pass(run: Callable[[Say], "BuildReport"], say: Say, before: set[str], due: bool) -> set[str]:
    """One pass with its line, which is left out where the pass was not `due` and found nothing new.

    What the run says, which is returned, is said where it is not among what was said `before`.
    """
    began = time.perf_counter()
    said: set[str] = set()

    def note(line: str) -> None:
        said.add(line)
        if line not in before:
            say(line)

    try:
        report = run(note)
    except (ThudError, OSError, MemoryError) as error:
        say(f"not indexed: {error}")
        return before | said
    spec, seconds = report.spec, time.perf_counter() - began
    what = f"index {spec.id}" if report.changed else "unchanged"
    if due or report.changed or report.embedded:
        say(
            f"{spec.sounds:,} sounds, {report.embedded:,} embedded, {spec.duplicates:,} duplicates, "
            f"{spec.skipped:,} skipped, {what}, {seconds:.1f} s"
        )
    return said


class _Watches:
    """Threads that look at the folder of sounds, and at those in which a manifest can change."""

    def __init__(self, sounds: Path, index_folder: Path, manifest: Path | None) -> None:
        self._sounds, self._ours, self._manifest = sounds, index_folder.resolve(), manifest
        self._changed, self._stop = threading.Event(), threading.Event()
        self._folders: list[Path] = []
        self._threads: list[threading.Thread] = []
        self._tried: object = None

    def begin(self) -> None:
        """Watch, and no longer what was watched before. Raises LibraryError where a folder cannot be watched."""
        self.end()
        self._stop, self._threads = threading.Event(), []
        root = self._sounds.resolve()
        others = _manifests(root, self._manifest)
        self._folders = [self._sounds, *(folder for folder, _ in others)]
        found = self._identities()  # Before the threads begin: a folder that is replaced meanwhile is another one.
        try:
            self._watch(root, True, lambda change, path: not Path(path).is_relative_to(self._ours))
            for folder, names in others:
                self._watch(folder, False, _is_one_of(names))
        finally:
            # Whether all were begun, not whether all still look: one that has broken since then is begun again.
            self._tried = found, len(self._threads) == len(self._folders)

    def renew(self) -> None:
        """Watch again where a folder is another one than was watched, or no thread looks at it any more."""
        self._changed.clear()
        if self._tried != self._state() or not self._alive():
            self.begin()

    def wait(self, seconds: float) -> bool:
        """Until a change is over, or for so many seconds. Whether there was a change."""
        until = time.monotonic() + seconds
        while not self._changed.wait(min(_QUIET_SECONDS, max(until - time.monotonic(), 0))):
            if self._tried != self._state():
                return True
            if time.monotonic() >= until:
                return False
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until and self._changed.is_set():
            self._changed.clear()
            self._changed.wait(_QUIET_SECONDS)
        return True

    def end(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def _state(self) -> object:
        return self._identities(), self._alive()

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_identity(folder) for folder in self._folders]

    def _alive(self) -> bool:
        return len(self._threads) == len(self._folders) and all(thread.is_alive() for thread in self._threads)

    def _watch(self, folder: Path, recursive: bool, keep: Keep) -> None:
        """Set `changed` after each change that is to `keep`, in a thread. Returns once it is on watch."""
        ready, stop = threading.Event(), self._stop
        errors: list[Exception] = []
        # Then nothing is told of a new folder in its place, even if that has the same inode.
        lost = (Change.deleted, str(folder))

        def look() -> None:
            try:
                for changes in watch(
                    folder,
                    watch_filter=lambda change, path: (change, path) == lost or keep(change, path),
                    stop_event=stop,
                    rust_timeout=_POLL_MILLISECONDS,
                    yield_on_timeout=True,
                    recursive=recursive,
                ):
                    ready.set()
                    if changes:
                        self._changed.set()
                    if lost in changes:
                        return
            except (
                Exception
            ) as error:  # its own errors, such as too many folders to watch, have no class that is public
                errors.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        ready.wait()
        if errors:
            raise LibraryError(
                f"{folder} cannot be watched: {errors[0]}; with WATCHFILES_FORCE_POLLING=1 in the environment, "
                "it is looked at again and again instead"
            )
        self._threads.append(thread)


def _is_one_of(names: tuple[str, ...]) -> Keep:
    folded = {name.casefold() for name in names}
    return lambda change, path: Path(path).name.casefold() in folded


def _identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode, None where it is not there: a folder that was made or mounted again has others."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _manifests(root: Path, manifest: Path | None) -> list[tuple[Path, tuple[str, ...]]]:
    """Folders outside the root in which a manifest can change, with its names."""
    if manifest is None:
        return [(root.parent, MANIFEST_NAMES)]
    folder = manifest.absolute().parent
    return [] if folder.resolve().is_relative_to(root) else [(folder, (manifest.name,))]
