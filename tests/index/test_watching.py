"""An index that goes with its library while that changes: `thud index --watch`."""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from index.building import watching
from index.building.build import build_index
from index.building.look import records_of
from index.building.run import BuildReport
from index.building.watching import watch_library
from model.bundle import Bundle
from model.errors import LibraryError
from tests.index.conftest import Strike

THUD = [sys.executable, str(Path(__file__).parents[2] / "thud.py"), "index"]
SECONDS = 45


class Watching:
    """`thud index --watch` in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self._lines = process, queue.Queue[str]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for told in self.process.stderr:
            self._lines.put(told)

    def line(self, pattern: str) -> str:
        """The next line with the pattern."""
        told: list[str] = []
        while not told or not re.search(pattern, told[-1]):
            try:
                told.append(self._lines.get(timeout=SECONDS))
            except queue.Empty:
                raise AssertionError(f"no line {pattern} after {told}") from None
        return told[-1]


@contextmanager
def watching_of(bundle: Bundle, sounds: Path, index: Path) -> Iterator[Watching]:
    command = [*THUD, str(bundle.folder), str(sounds), str(index), "--watch"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


def materials(index: Path) -> dict[str, str | None]:
    return {record.path: record.material for record in records_of(index)}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_watch_goes_with_the_library(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, sent: signal.Signals
) -> None:
    with watching_of(tiny_bundle, sounds, tmp_path / "index") as watched:
        watched.line("^9 sounds, 9 embedded")
        strike(sounds / "glass/one.wav", 1500)
        watched.line("^10 sounds, 1 embedded")
        (sounds / "glass/one.wav").rename(sounds / "glass/two.wav")
        (sounds / "metal/pan_0.wav").unlink()
        watched.line("^9 sounds, 0 embedded")
        (sounds / "manifest.csv").write_text("path,material\nglass/two.wav,water\n")
        watched.line("^9 sounds, 0 embedded, .* index")
        watched.process.send_signal(sent)
        watched.line("watching has ended")
        assert watched.process.wait(30) == 0
    found = materials(tmp_path / "index")
    assert found["glass/two.wav"] == "water"
    assert "metal/pan_0.wav" not in found


@pytest.mark.parametrize("at_once", [False, True])
def test_a_folder_that_was_deleted_and_made_again_is_watched_again(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, at_once: bool
) -> None:
    shutil.copytree(sounds, tmp_path / "saved" / "sounds")
    with watching_of(tiny_bundle, sounds, tmp_path / "index") as watched:
        watched.line("^9 sounds, 9 embedded")
        shutil.rmtree(sounds)
        if not at_once:
            watched.line("^not indexed")
        shutil.copytree(tmp_path / "saved" / "sounds", sounds)
        strike(sounds / "glass/one.wav", 1500)
        watched.line("^10 sounds")
        for number in range(3):
            strike(sounds / f"glass/{number}.wav", 1700 + 50 * number)
            watched.line(f"^{11 + number} sounds")


@pytest.fixture
def no_longer_than() -> Iterator[None]:
    """Ends a watch that would go on for ever."""
    timer = threading.Timer(SECONDS, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.cancel()


def seeing_nothing(*arguments: Any, stop_event: threading.Event, **options: Any) -> Iterator[set[Any]]:
    """Stands for a network file system, of whose changes by others nothing is told."""
    while not stop_event.wait(0.05):
        yield set()


def passes(*steps: Callable[[], BuildReport]) -> Callable[[Any], BuildReport]:
    """Does a step for each pass, and after the last one ends the watch."""
    left = list(steps)

    def run(say: Any) -> BuildReport:
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)()

    run.left = left  # type: ignore[attr-defined]
    return run


def test_labels_that_are_lost_are_said(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    """As in a single run: that the manifest is not read any more, or why it cannot be, and that it is again."""
    manifest = sounds.parent / "manifest.csv"
    labels = "path,material\nsounds/metal/pan_0.wav,glass\n"
    manifest.write_text(labels)
    with watching_of(tiny_bundle, sounds, tmp_path / "index") as watching:
        watching.line("labels are taken from")
        watching.line("^9 sounds")
        manifest.write_text(labels.replace("path", "what"))
        watching.line("has no column named path .* and is not used")
        watching.line("^9 sounds")
        manifest.write_text(labels.replace("material", "stuff"))
        watching.line("not indexed: .* has no column named material")
        manifest.write_text(labels)
        watching.line("labels are taken from")
        watching.line("^9 sounds")
        manifest.unlink()
        watching.line("there is no manifest")


@pytest.mark.usefixtures("no_longer_than")
def test_what_the_system_tells_nobody_of_is_seen_after_a_while(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "watch", seeing_nothing)
    monkeypatch.setattr(watching, "_RESCAN_SECONDS", 0.2, raising=False)
    monkeypatch.setattr(watching, "_RESCAN_SHARE", 0, raising=False)

    def build() -> BuildReport:
        return build_index(tiny_bundle, sounds, tmp_path / "index")

    def change() -> BuildReport:
        report = build()
        strike(sounds / "glass/one.wav", 1500)
        return report

    said: list[str] = []
    run = passes(build, build, change, build, build)
    watch_library(sounds, tmp_path / "index", None, run, said.append)
    # No line for a pass that nothing led to and that found nothing.
    assert [line.split(",")[0] for line in said] == [
        "9 sounds",
        "10 sounds",
        "watching has ended; the index is as the last line says",
    ]
    assert run.left == []  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_longer_than")
def test_a_watch_that_broke_is_begun_again(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, broken = threading.Event(), threading.Event()

    def breaking(folder: Path, **options: Any) -> Iterator[Any]:
        if folder != sounds or broken.is_set():
            yield from watchfiles.watch(folder, **options)
            return
        yield set()
        running.wait(SECONDS)
        broken.set()
        raise OSError("the watch broke")

    monkeypatch.setattr(watching, "watch", breaking)

    def build() -> BuildReport:
        running.set()
        return build_index(tiny_bundle, sounds, tmp_path / "index")

    def change_later() -> BuildReport:
        report = build()
        assert broken.is_set()
        threading.Timer(1.0, strike, (sounds / "glass/one.wav", 1500)).start()
        return report

    said: list[str] = []
    run = passes(build, change_later, build)

    def ended(line: str) -> None:
        said.append(line)
        if line.startswith("10 sounds"):
            raise KeyboardInterrupt

    watch_library(sounds, tmp_path / "index", None, run, ended)
    assert [line[:10] for line in said] == ["9 sounds, ", "9 sounds, ", "10 sounds,", "watching h"]


def test_a_folder_that_cannot_be_watched_at_first_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be watched"):
        watch_library(tmp_path / "nothing", tmp_path / "index", None, passes(), print)
