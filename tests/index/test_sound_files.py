"""Sound files that are swapped, written over and taken away, and the folder that they lie in."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from index.answers import sound_files
from index.answers.search import SoundIndex
from index.answers.sound_files import FolderSounds, LocalSound
from index.building.build import build_index
from index.catalogue import SoundRecord
from model.bundle import Bundle
from model.errors import LibraryError, SoundsAwayError


@pytest.fixture(scope="module")
def records(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SoundRecord]]:
    folder = tmp_path_factory.mktemp("indexed")
    for number in range(3):
        _write(folder / "sounds" / f"{number}.wav", number)
    build_index(tiny_bundle, folder / "sounds", folder / "index")
    with closing(SoundIndex.open(folder / "index", tiny_bundle)) as index:
        yield index.page().sounds


@pytest.fixture
def root(records: list[SoundRecord], tmp_path: Path) -> Path:
    for number, record in enumerate(records):
        _write(tmp_path / "sounds" / record.path, number)
        _age(tmp_path / "sounds" / record.path)
    return tmp_path / "sounds"


@pytest.fixture
def files(root: Path, records: list[SoundRecord]) -> FolderSounds:
    return FolderSounds(root, records)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the sounds that were hashed."""
    ids: list[str] = []
    original = LocalSound._hash

    def counted(self: LocalSound) -> str:
        ids.append(self._record.id)
        return original(self)

    monkeypatch.setattr(LocalSound, "_hash", counted)
    return ids


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """States count as settled at once; nobody can make a file look changed some time ago."""
    monkeypatch.setattr(sound_files, "SETTLED_NS", 0)


def _write(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    decay = np.exp(-np.arange(4000) / 400)
    soundfile.write(path, decay * np.sin(np.arange(4000) * (0.1 + 0.1 * number)) * 0.5, 16_000)


def _age(path: Path) -> None:
    os.utime(path, (1_700_000_000, 1_700_000_000))


def _other(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_a_settled_file_is_hashed_once(
    files: FolderSounds, records: list[SoundRecord], hashed: list[str], settled: None
) -> None:
    for _ in range(3):
        for record in records:
            files.open(record).close()

    assert hashed == [record.id for record in records]


def test_a_file_that_was_just_touched_is_not_remembered(
    files: FolderSounds, records: list[SoundRecord], hashed: list[str]
) -> None:
    for _ in range(3):
        files.open(records[0]).close()

    assert len(hashed) == 3


def test_no_more_is_remembered_than_a_bound(
    files: FolderSounds,
    records: list[SoundRecord],
    hashed: list[str],
    settled: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound_files, "_MOST_KNOWN", 2)
    for record in [*records, *records[1:], records[0]]:
        files.open(record).close()

    assert hashed == [record.id for record in [*records, records[0]]]


def _moved_over(path: Path, data: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(data)
    shutil.copystat(path, fresh)
    fresh.replace(path)


def _written_over(path: Path, data: bytes) -> None:
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("swap", [_moved_over, _written_over])
def test_the_same_size_and_time_are_not_the_same_sound(
    files: FolderSounds, root: Path, records: list[SoundRecord], settled: None, swap: Callable[[Path, bytes], None]
) -> None:
    path = root / records[0].path
    files.open(records[0]).close()
    right, before = path.read_bytes(), path.stat()

    swap(path, _other(right))

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(LibraryError, match="has changed since it was indexed"):
        files.open(records[0])
    swap(path, right)
    files.open(records[0]).close()


def test_what_is_read_is_the_sound_whatever_happens_to_its_name(
    files: FolderSounds, root: Path, records: list[SoundRecord]
) -> None:
    path = root / records[0].path
    right = path.read_bytes()
    with closing(files.open(records[0])) as sound:
        parts = [sound.read(0, 100)]
        _moved_over(path, _other(right))
        parts.append(sound.read(100, 100))
        path.unlink()
        parts.append(sound.read(200, len(right)))

    assert b"".join(parts) == right


@pytest.mark.parametrize("cut", [False, True], ids=["written over", "cut short"])
def test_nothing_is_read_of_another_sound(
    files: FolderSounds, root: Path, records: list[SoundRecord], settled: None, cut: bool
) -> None:
    path = root / records[0].path
    right = path.read_bytes()
    with closing(files.open(records[0])) as sound:
        assert sound.read(0, 100) == right[:100]
        if cut:
            os.truncate(path, len(right) // 2)
        else:
            _written_over(path, _other(right))
        with pytest.raises(LibraryError, match="has changed"):
            sound.read(100, 100)


def test_a_file_that_is_written_while_it_is_hashed_is_for_later(
    files: FolderSounds, root: Path, records: list[SoundRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LocalSound._hash

    def written(self: LocalSound) -> str:
        found = original(self)
        os.utime(root / records[0].path)
        return found

    monkeypatch.setattr(LocalSound, "_hash", written)
    with pytest.raises(OSError, match="being written to"):
        files.open(records[0])


@pytest.mark.parametrize("kind", ["fifo", "folder", "nothing", "circle", "link out"])
def test_what_is_no_file_is_refused_and_waited_for_by_nobody(
    files: FolderSounds, root: Path, records: list[SoundRecord], kind: str
) -> None:
    path = root / records[0].path
    path.rename(root.parent / "away.wav")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "link out":
        path.symlink_to(root.parent / "away.wav")

    with pytest.raises(LibraryError, match="leads outside" if kind == "link out" else "no longer in") as refused:
        files.open(records[0])
    assert not isinstance(refused.value, SoundsAwayError)
    files.check()


def test_a_pipe_that_comes_in_between_is_not_waited_for(
    files: FolderSounds, root: Path, records: list[SoundRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / records[0].path
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("index.answers.sound_files.stat.S_ISREG", lambda mode: True)

    with pytest.raises(LibraryError, match="has changed"):
        files.open(records[0])


def _empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _gone(root: Path) -> None:
    shutil.rmtree(root)


def _a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("not mounted")


def _another_folder(root: Path) -> None:
    _empty(root)
    (root / "lost+found").mkdir()
    (root / "other.wav").write_bytes(b"other")


def _a_link_to_nothing(root: Path) -> None:
    shutil.rmtree(root)
    root.symlink_to(root.parent / "nothing")


@pytest.mark.parametrize("away", [_empty, _gone, _a_file, _another_folder, _a_link_to_nothing])
def test_a_folder_that_is_not_the_library(
    files: FolderSounds, root: Path, records: list[SoundRecord], away: Callable[[Path], None]
) -> None:
    files.check()
    away(root)

    with pytest.raises(SoundsAwayError, match=str(root)):
        files.check()
    with pytest.raises(SoundsAwayError):
        files.open(records[0])


def test_one_sound_of_the_sample_is_enough(files: FolderSounds, root: Path, records: list[SoundRecord]) -> None:
    for record in records[:-1]:
        (root / record.path).unlink()

    files.check()
    (root / records[-1].path).unlink()
    with pytest.raises(SoundsAwayError, match="none of 3 sounds"):
        files.check()


def test_a_share_that_answers_with_errors_is_away(
    files: FolderSounds, records: list[SoundRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: object) -> os.stat_result:
        if str(path).endswith(".wav"):
            raise OSError(116, "Stale file handle")
        return Path().stat()

    monkeypatch.setattr("index.answers.sound_files.os.lstat", stale)
    with pytest.raises(SoundsAwayError, match="Stale file handle"):
        files.check()


def test_the_sample_is_spread_over_the_library(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        _write(tmp_path / "sounds" / f"{number}.wav", number)
    build_index(tiny_bundle, tmp_path / "sounds", tmp_path / "index")
    monkeypatch.setattr("index.answers.search.SAMPLE", 3)
    with closing(SoundIndex.open(tmp_path / "index", tiny_bundle)) as index:
        for number in (0, 3):
            (tmp_path / "sounds" / f"{number}.wav").unlink()
        index.check_sounds()
        (tmp_path / "sounds" / "6.wav").unlink()
        with pytest.raises(SoundsAwayError, match="none of 3"):
            index.check_sounds()
