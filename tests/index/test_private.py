"""What is open is right whatever becomes of its files, in small indexes and large ones; where copies lie."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from index import private
from index.answers.matches import Match
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.generation import CATALOGUE
from index.nearest.vectors import VECTORS
from model.bundle import Bundle
from model.errors import LibraryError
from model.files import file_record

ROOT = Path(__file__).parents[2]
QUERY = np.eye(1, 128, dtype=np.float32)[0]

Harm = Callable[[Path], object]


@pytest.fixture
def built(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Path:
    """Makes every index a large one; the folder for copies."""
    monkeypatch.setattr(private, "IN_MEMORY_BYTES", 0)
    return temporary


@pytest.fixture(params=["small", "large"])
def opened(request: pytest.FixtureRequest, built: Path, tiny_bundle: Bundle) -> Iterator[SoundIndex]:
    if request.param == "large":
        request.getfixturevalue("large")
    index = SoundIndex.open(built, tiny_bundle)
    yield index
    index.close()


def write_over(file: Path) -> None:
    """Noise of the same size in place, and the times put back."""
    state = file.stat()
    with file.open("r+b") as handle:
        handle.write(np.random.default_rng(0).bytes(state.st_size))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def put_in_place(file: Path) -> None:
    other = file.with_suffix(".other")
    other.write_bytes(b"other" * 1000)
    other.replace(file)


@pytest.mark.parametrize("harm", [write_over, lambda file: os.truncate(file, 0), put_in_place, Path.unlink])
def test_what_is_open_answers_as_before(opened: SoundIndex, built: Path, harm: Harm) -> None:
    def everything() -> tuple[list[Match], object, object]:
        found = opened.search(QUERY, 9)
        page = opened.page()
        return found, page, [opened.sound(record.id) for record in page.sounds]

    before = everything()
    for name in (VECTORS, CATALOGUE):
        harm(built / "generations" / opened.id / name)
    assert everything() == before


def test_the_numbers_of_a_small_index_begin_a_cache_line(built: Path) -> None:
    file = next((built / "generations").iterdir()) / VECTORS
    content = private.private_content(file, file_record(file))
    assert bytes(content) == file.read_bytes()
    numbers = np.frombuffer(content, np.uint8)
    assert (len(numbers), numbers.ctypes.data % 64) == (9 * 128 * 4, 0)


@pytest.mark.parametrize("name", [VECTORS, CATALOGUE])
def test_the_very_copy_is_checked(built: Path, tiny_bundle: Bundle, large: Path, name: str) -> None:
    write_over(next((built / "generations").iterdir()) / name)
    with pytest.raises(LibraryError, match=f"{name} is damaged: its SHA-256 is not the one in index.json;"):
        SoundIndex.open(built, tiny_bundle)
    assert not list(large.iterdir())


def test_a_copy_has_no_name_and_is_gone_when_it_is_closed(built: Path, tiny_bundle: Bundle, large: Path) -> None:
    def copies() -> int:
        files = Path("/proc/self/fd")
        if not files.exists():
            pytest.skip("nothing shows which files are open")
        return sum(str(large) in str(file.readlink()) for file in files.iterdir() if file.is_symlink())

    index = SoundIndex.open(built, tiny_bundle)
    assert len(index.search(QUERY, 3)) == 3
    assert not list(large.iterdir())
    # Of the catalogue one for each of its connections, of the vectors the map's and the one that is closed last.
    assert copies() == 4
    index.close()
    del index
    until = time.monotonic() + 30
    while copies() and time.monotonic() < until:  # they are closed aside
        time.sleep(0.01)
    assert copies() == 0


def test_small_indexes_take_no_room_on_disk(built: Path, tiny_bundle: Bundle, temporary: Path) -> None:
    temporary.rmdir()
    index = SoundIndex.open(built, tiny_bundle)
    assert len(index.search(QUERY, 3)) == 3
    index.close()


def test_no_room_for_a_copy(built: Path, tiny_bundle: Bundle, large: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(LibraryError, match=r"has no room for a copy of .*vectors\.f32, [\d,]+ bytes: "):
            SoundIndex.open(built, tiny_bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(large.iterdir())
    large.rmdir()
    with pytest.raises(LibraryError, match=r"has no room for a copy of .*vectors\.f32.*TMPDIR"):
        SoundIndex.open(built, tiny_bundle)


def test_what_a_process_left_that_was_killed_while_it_copied_is_removed(
    built: Path, tiny_bundle: Bundle, large: Path
) -> None:
    record = file_record(next((built / "generations").iterdir()) / VECTORS)
    (large / f"thud-{record.sha256}-abcd_123").write_bytes(b"half")
    SoundIndex.open(built, tiny_bundle).close()
    assert not list(large.iterdir())


OTHER = """
import sys, tempfile
from pathlib import Path
from index import private
from model.files import file_record
private.IN_MEMORY_BYTES = 0
content = private.private_content(Path(sys.argv[1]), file_record(Path(sys.argv[1])))
print([line.split()[4] for line in open("/proc/self/maps") if "/thud-" in line][0])
sys.stdin.read()
"""


@pytest.mark.skipif(not list(Path("/proc/self/task").glob("*/children")), reason="nothing shows its children")
def test_the_processes_of_one_service_share_a_copy(built: Path, large: Path) -> None:
    """Two that start at the same time, as the children of this one."""
    file = next((built / "generations").iterdir()) / VECTORS
    command = [sys.executable, "-c", OTHER, str(file)]
    env = os.environ | {"TMPDIR": str(large)}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        inodes = {process.stdout.readline() for process in started if process.stdout is not None}
    finally:
        for process in started:
            process.communicate("")
    assert len(inodes) == 1
    assert inodes != {""}
    assert not list(large.iterdir())


def test_a_copy_that_is_not_what_it_says_is_not_shared(built: Path, large: Path) -> None:
    """What looks like the copy of another process, but holds something else."""
    file = next((built / "generations").iterdir()) / VECTORS
    record = file_record(file)
    false = large / f"thud-{record.sha256}-abcd_123"
    with false.open("w+b") as handle:
        false.chmod(0o600)
        handle.write(b"x" * record.bytes)
        handle.flush()
        false.unlink()
        assert private.private_content(file, record)[:] == file.read_bytes()


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.float32])
def test_a_large_array_is_put_aside(temporary: Path, kind: type[np.generic]) -> None:
    array = np.arange(2**21).astype(kind).reshape(2, -1)
    aside = private.put_aside(array)
    assert np.array_equal(aside, array)
    assert (aside.dtype, aside.shape, aside.flags.writeable) == (array.dtype, array.shape, False)
    assert list(temporary.iterdir()) == []
    if (maps := Path("/proc/self/maps")).exists():
        assert str(temporary) in maps.read_text()
        del aside
        assert str(temporary) not in maps.read_text()
    few = np.arange(5)
    assert private.put_aside(few) is few


def test_an_array_stays_where_there_is_no_folder_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    array = np.arange(2**20)
    assert private.put_aside(array) is array
