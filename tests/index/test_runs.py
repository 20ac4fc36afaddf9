"""What a run reads of an index and its library: after others are done, whatever the dates of files, and no more."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import index.building.build
import index.building.cache
import index.building.look
import index.building.reading
import index.building.records
import index.building.run
import index.library.facts
from index.building.build import build_index, change_index
from index.building.cache import CACHE_FILE, IndexCache
from index.building.content import tags_version
from index.building.lock import only_writer
from index.building.look import problems_of, records_of
from model.bundle import Bundle
from model.errors import LibraryError
from tests.index.conftest import Strike


def while_walking(monkeypatch: pytest.MonkeyPatch, module: Any, work: Callable[[], object]) -> list[str]:
    """Do the work once, when the files were found and before they are indexed; the errors that it raised."""
    errors: list[str] = []
    find = module.find_library

    def found_and_worked(*arguments: Any, **options: Any) -> object:
        library = find(*arguments, **options)
        monkeypatch.setattr(module, "find_library", find)
        try:
            work()
        except LibraryError as error:
            errors.append(str(error))
        return library

    monkeypatch.setattr(module, "find_library", found_and_worked)
    return errors


def paths(index: Path) -> set[str]:
    return {record.path for record in records_of(index)}


def test_what_is_taken_out_while_a_run_walks_is_not_undone(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_folder = tmp_path / "index"
    build_index(tiny_bundle, sounds, index_folder)

    def remove() -> object:
        return change_index(index_folder, remove=["metal"])

    refused = while_walking(monkeypatch, index.building.run, remove)
    build_index(tiny_bundle, sounds, index_folder)
    assert len(refused) == 1
    assert "another thud index is at work" in refused[0]
    remove()
    build_index(tiny_bundle, sounds, index_folder)
    assert not any(path.startswith("metal/") for path in paths(index_folder))


def test_what_is_added_while_another_is_taken_out_stays(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_folder = tmp_path / "index"
    build_index(tiny_bundle, sounds, index_folder)
    new = strike(sounds / "glass/new.wav", 1500)
    refused = while_walking(monkeypatch, index.building.build, lambda: change_index(index_folder, add=[str(new)]))
    change_index(index_folder, remove=["metal"])
    assert len(refused) == 1
    change_index(index_folder, add=[str(new)])
    assert "glass/new.wav" in paths(index_folder)


@pytest.mark.parametrize("year", [1890, 1969, 2262, 2300, 2440])
def test_a_file_of_any_date_is_indexed_and_known_again(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, year: int
) -> None:
    seconds = round((year - 1970 + 0.5) * 365.2425 * 86_400)
    file = sounds / "metal/pan_0.wav"
    os.utime(file, ns=(seconds * 10**9, seconds * 10**9))
    if file.stat().st_mtime_ns != seconds * 10**9:
        pytest.skip("this file system has no such dates")
    time.sleep(2.1)  # so that its state stands for its content
    assert build_index(tiny_bundle, sounds, tmp_path / "index").spec.sounds == 9
    again = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert (again.embedded, again.changed) == (0, False)
    with closing(sqlite3.connect(tmp_path / "index" / CACHE_FILE)) as database:
        (written,) = database.execute("SELECT written_ns FROM files WHERE path = 'metal/pan_0.wav'").fetchone()
    assert written == seconds * 10**9 % 2**63


def test_states_of_files_that_are_there_are_kept_when_those_of_others_are_pruned(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    index_folder = tmp_path / "index"
    time.sleep(2.1)  # so that states stand for contents
    build_index(tiny_bundle, sounds, index_folder)
    with closing(sqlite3.connect(index_folder / CACHE_FILE)) as database, database:
        ((before,),) = database.execute("SELECT COUNT(*) FROM files")
        database.executemany(
            "INSERT INTO files VALUES (?, 1, 1, 1, 1, NULL, 'gone', '')", ((f"gone/{n}",) for n in range(1100))
        )
    strike(sounds / "new.wav", 1234)
    build_index(tiny_bundle, sounds, index_folder)
    with closing(sqlite3.connect(index_folder / CACHE_FILE)) as database:
        known = {path for (path,) in database.execute("SELECT path FROM files")}
    assert before == 9
    assert not any(path.startswith("gone/") for path in known)
    assert len(known - {"new.wav"}) == 9


def test_tags_that_other_code_read_are_read_again(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_folder = tmp_path / "index"
    time.sleep(2.1)  # so that the states of most files stand for their contents
    shutil.copy(sounds / "metal/pan_0.wav", sounds / "copy.wav")
    os.utime(sounds / "metal/pan_1.wav")
    before = build_index(tiny_bundle, sounds, index_folder)
    assert build_index(tiny_bundle, sounds, index_folder).changed is False
    monkeypatch.setattr(index.building.reading, "read_tags", lambda path: {"title": "read anew"})
    assert build_index(tiny_bundle, sounds, index_folder).changed is False
    tinytag = metadata.version("tinytag")
    versions = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: f"{tinytag}.1" if name == "tinytag" else versions(name))
    tags_version.cache_clear()
    try:
        after = build_index(tiny_bundle, sounds, index_folder)
        again = build_index(tiny_bundle, sounds, index_folder)
    finally:
        monkeypatch.undo()
        tags_version.cache_clear()
    assert (after.embedded, after.reused, after.changed) == (0, 9, True)
    assert after.spec.id != before.spec.id
    assert {record.title for record in records_of(index_folder)} == {"read anew"}
    assert again.changed is False


def test_another_decoding_is_another_generation(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build_index(tiny_bundle, sounds, tmp_path / "index")
    monkeypatch.setattr(index.building.cache, "_DECODING", -1)
    after = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert (after.embedded, after.changed) == (9, True)
    assert after.spec.id != before.spec.id


def test_an_index_is_checked_while_another_process_writes_it_and_nothing_is_written(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_folder = tmp_path / "index"
    build_index(tiny_bundle, sounds, index_folder)
    with only_writer(index_folder):
        assert list(problems_of(index_folder)) == []
    (index_folder / ".lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in (index_folder, *index_folder.rglob("*"))}
    assert list(problems_of(index_folder)) == []
    assert {path: path.stat().st_mtime_ns for path in (index_folder, *index_folder.rglob("*"))} == before
    # Half of what a run writes looks like damage as long as its journal is there.
    monkeypatch.setattr(index.building.look, "_AGAIN_SECONDS", 0)
    journal = index_folder / f"{CACHE_FILE}-journal"
    journal.write_bytes(b"x")
    os.truncate(index_folder / CACHE_FILE, (index_folder / CACHE_FILE).stat().st_size // 2)
    assert list(problems_of(index_folder)) == []
    journal.unlink()
    (problem,) = problems_of(index_folder)
    assert "cache.sqlite is damaged" in problem
    (index_folder / CACHE_FILE).write_bytes(b"")
    (problem,) = problems_of(index_folder)
    assert "the next run makes it anew" in problem


def test_a_run_makes_each_record_once_and_asks_its_cache_for_many_at_a_time(
    tiny_bundle: Bundle, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(70):
        strike(tmp_path / f"sounds/{number:02}.wav", 300 + 10 * number, seconds=0.1)
    build_index(tiny_bundle, tmp_path / "sounds", tmp_path / "index")
    strike(tmp_path / "sounds/99.wav", 2000, seconds=0.1)
    made: list[str] = []
    asked: list[int] = []
    facts_of, contents = index.library.facts.facts_of, IndexCache.contents

    def noted(sound: Any, tags: Any) -> Any:
        made.append(sound.path)
        return facts_of(sound, tags)

    def counted(cache: IndexCache, ids: Any) -> Any:
        asked.append(len(ids))
        return contents(cache, ids)

    monkeypatch.setattr(index.building.records, "facts_of", noted)
    monkeypatch.setattr(IndexCache, "contents", counted)
    report = build_index(tiny_bundle, tmp_path / "sounds", tmp_path / "index")
    assert report.embedded == 1
    assert made == sorted(paths(tmp_path / "index"))
    assert asked == [71]
