"""Keeping an index up to date while its library changes: `thud index --watch`."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
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
_AGAIN_SECONDS = 60.0
"""A pass that failed, as on a full disk, is tried again after this time."""
_POLL_MILLISECONDS = 200

Say = Callable[[str], None]


def watch_library(
    sounds: Path, index_folder: Path, manifest: Path | None, run: Callable[[Say], "BuildReport"], say: Say
) -> None:
    """Call `run` now and after every change of the sounds or their manifest, until SIGINT or SIGTERM.

    A change while a pass is running leads to another one. `say` is called with a line for each pass, and in the
    first one with what the run says. A pass that fails leaves the index as it was. Raises LibraryError where the
    folder cannot be watched.
    """
    root, ours = sounds.resolve(), index_folder.resolve()
    changed, stop = threading.Event(), threading.Event()

    def sound_changed(change: Change, path: str) -> bool:
        return not Path(path).is_relative_to(ours)

    with ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.callback(stop.set)
        try:
            _watch(root, True, sound_changed, changed, stop)
            for folder, names in _manifests(root, manifest):

                def manifest_changed(change: Change, path: str, names: tuple[str, ...] = names) -> bool:
                    return Path(path).name in names

                _watch(folder, False, manifest_changed, changed, stop)
            say_first = say
            while True:
                changed.clear()
                failed = _pass(run, say_first, say)
                say_first = _nothing
                changed.wait(_AGAIN_SECONDS if failed else None)
                until = time.monotonic() + _PATIENCE_SECONDS
                while time.monotonic() < until and changed.is_set():
                    changed.clear()
                    changed.wait(_QUIET_SECONDS)
        except KeyboardInterrupt:
            say("watching has ended; the index is as the last line says")


def _pass(run: Callable[[Say], "BuildReport"], say_notes: Say, say: Say) -> bool:
    """One pass with its line. Whether it failed."""
    began = time.perf_counter()
    try:
        report = run(say_notes)
    except (ThudError, OSError, MemoryError) as error:
        say(f"not indexed: {error}")
        return True
    spec, seconds = report.spec, time.perf_counter() - began
    what = f"index {spec.id}" if report.changed else "unchanged"
    say(
        f"{spec.sounds:,} sounds, {report.embedded:,} embedded, {spec.duplicates:,} duplicates, "
        f"{spec.skipped:,} skipped, {what}, {seconds:.1f} s"
    )
    return False


def _watch(
    folder: Path,
    recursive: bool,
    keep: Callable[[Change, str], bool],
    changed: threading.Event,
    stop: threading.Event,
) -> None:
    """Set `changed` after each change that is to `keep`, in a thread, until `stop`. Returns once it is on watch."""
    ready = threading.Event()
    errors: list[Exception] = []

    def look() -> None:
        try:
            for changes in watch(
                folder,
                watch_filter=keep,
                stop_event=stop,
                rust_timeout=_POLL_MILLISECONDS,
                yield_on_timeout=True,
                recursive=recursive,
            ):
                ready.set()
                if changes:
                    changed.set()
        except (
            Exception
        ) as error:  # its own errors, such as too many folders to watch, have no class that is public
            errors.append(error)
            # The next pass says what is wrong with the folder; after that, changes are looked for without a watch.
            changed.set()
        finally:
            ready.set()

    threading.Thread(target=look, daemon=True).start()
    ready.wait()
    if errors:
        raise LibraryError(
            f"{folder} cannot be watched: {errors[0]}; with WATCHFILES_FORCE_POLLING=1 in the environment, "
            "it is looked at again and again instead"
        )


def _manifests(root: Path, manifest: Path | None) -> list[tuple[Path, tuple[str, ...]]]:
    """Folders outside the root in which a manifest can change, with its names."""
    if manifest is None:
        return [(root.parent, MANIFEST_NAMES)]
    folder = manifest.absolute().parent
    return [] if folder.resolve().is_relative_to(root) else [(folder, (manifest.name,))]


def _nothing(line: str) -> None:
    pass
