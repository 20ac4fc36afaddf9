"""Atomic writing, also where the process is killed or the power fails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.atomic import atomic_file, atomic_folder

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from model.atomic import atomic_file, atomic_folder
with atomic_file(Path(sys.argv[1]) / "a.json") as file, atomic_folder(Path(sys.argv[1]) / "folder") as folder:
    file.write_text("half"), (folder / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is writing `a.json` and `folder`, until it is killed."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_leftovers_of_a_killed_process_are_removed_but_not_files_of_a_living_one(tmp_path: Path) -> None:
    mine = {".a.json.original.json", ".folder.mine", ".a.json.thud-"}  # a person's, however alike
    for name in mine:
        (tmp_path / name).touch()
    with writing(tmp_path):
        pass
    left = names(tmp_path) - mine
    assert len(left) == 2
    with writing(tmp_path):
        living = names(tmp_path) - mine - left
        for _ in range(2):
            with atomic_file(tmp_path / "a.json") as file, atomic_folder(tmp_path / "folder") as folder:
                file.write_text("whole")
                (folder / "whole").touch()
            assert len(living) == 2
            assert names(tmp_path) == {"a.json", "folder", *mine, *living}
    assert (tmp_path / "a.json").read_text() == "whole"
    assert names(tmp_path / "folder") == {"whole"}


def test_a_folder_that_a_killed_run_had_moved_away_comes_back(tmp_path: Path) -> None:
    away = tmp_path / ".folder.thud-old-abcd_123"
    (away / "was").mkdir(parents=True)
    (away / "was" / "precious").touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "folder"):
        raise ZeroDivisionError
    assert names(tmp_path / "folder") == {"precious"}
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "new").touch()
    assert names(tmp_path) == {"folder"}
    assert names(tmp_path / "folder") == {"new"}


def test_links_and_folders_in_place_of_a_leftover_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".a.json.thud-abcd_123.json").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / ".a.json.thud-abcd_124.json")
    with atomic_file(tmp_path / "a.json") as file:
        file.write_text("{}")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.json").read_text() == "{}"


def test_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = record_disk(monkeypatch)
    with atomic_folder(tmp_path / "new" / "folder") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("content")
        inner, file = (folder / "inner").stat().st_ino, (folder / "inner" / "file").stat().st_ino
    whole = (tmp_path / "new" / "folder").stat().st_ino
    parents = [tmp_path.stat().st_ino, (tmp_path / "new").stat().st_ino]
    assert happened == [parents[0], inner, file, whole, "folder", parents[1]]
    happened.clear()
    with atomic_file(tmp_path / "file") as aside:
        aside.write_text("content")
    assert happened == [(tmp_path / "file").stat().st_ino, "file", parents[0]]


def record_disk(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """Record what is synced (by inode) and what is renamed (by its new name), in order."""
    happened: list[int | str] = []
    sync, rename, replace = os.fsync, Path.rename, Path.replace

    def synced(handle: int) -> None:
        happened.append(os.fstat(handle).st_ino)
        sync(handle)

    def renamed(path: Path, target: Path) -> Path:
        happened.append(target.name)
        return rename(path, target)

    def replaced(path: Path, target: Path) -> Path:
        happened.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", replaced)
    return happened
