"""The catalogue: what was written is read back, every sound on exactly one page."""

import base64
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import Catalogue, SoundRecord, write_catalogue
from index.catalogue.cursors import Cursor
from index.catalogue.filters import UNLABELLED, SoundFilter
from model.errors import DamagedIndexError, FilterError, LibraryError
from model.materials import MATERIALS

NAMES = [material.name for material in MATERIALS]


def record(
    row: int, material: str | None = None, path: str | None = None, objects: tuple[str, ...] = ()
) -> SoundRecord:
    return SoundRecord(
        id=hashlib.sha256(str(row).encode()).hexdigest()[:20],
        copies=(f"copies/{row}.wav",) if row % 2 else (),
        description=None,
        tags=("struck", "a; b") if row % 2 else (),
        label_from=None if material is None else "manifest",
        action="hit" if row % 2 else None,
        origin=None,
        author=None,
        attribution=None,
        brightness=1200.5,
        path=path or f"folder/sound_{row:05}.wav",
        title=f"sound {row}",
        material=material,
        seconds=0.5 + row,
        hit=0.05,
        hits=(0.05,),
        ends=(0.45,),
        sample_rate=44_100,
        channels=2,
        format="WAV",
        media_type="audio/wav",
        playable=True,
        bytes=1000 + row,
        peak=0.25,
        loudness=-20.5,
        source="a recorder" if row % 2 else None,
        licence="CC0" if row % 2 else None,
        objects=objects,
    )


@contextmanager
def catalogue_of(records: list[SoundRecord]) -> Iterator[Catalogue]:
    with TemporaryDirectory() as folder:
        write_catalogue(Path(folder, "catalogue.sqlite"), records)
        with closing(Catalogue(Path(folder, "catalogue.sqlite"))) as catalogue:
            yield catalogue


def test_what_was_written_is_read_back() -> None:
    strange = record(2, "plastic-bag", path="Ü ber/it's %41?#.wav", objects=("bottle", "drinking glass"))
    records = [record(0, "metal"), record(1, objects=("bottle",)), strange]
    with catalogue_of(records) as catalogue:
        assert len(catalogue) == 3
        assert catalogue.rows([2, 0, 1]) == [records[2], records[0], records[1]]
        assert catalogue.rows([]) == []
        assert [catalogue.sound(one.id) for one in records] == records
        assert catalogue.sound("0" * 20) is None
        assert catalogue.naming("bottle").tolist() == [1, 2]
        assert catalogue.naming("drinking glass").tolist() == [2]
        assert catalogue.naming("door").tolist() == []


def test_a_path_with_signs_that_mean_something_in_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%41 é" / "catalogue.sqlite"
    path.parent.mkdir()
    write_catalogue(path, [record(0)])
    with closing(Catalogue(path)) as catalogue:
        assert len(catalogue) == 1


def test_materials_are_counted_in_the_order_of_their_ids_and_the_unlabelled_last() -> None:
    materials = [None, "wood", "plastic", "wood", None, None, "metal"]
    with catalogue_of([record(row, name) for row, name in enumerate(materials)]) as catalogue:
        assert list(catalogue.materials().items()) == [("plastic", 1), ("metal", 1), ("wood", 2), (None, 3)]


@settings(max_examples=60, deadline=None)
@given(
    materials=st.lists(st.sampled_from([None, "wood", "metal", "plastic-bag"]), max_size=40),
    limit=st.integers(1, 50),
)
def test_every_sound_is_on_exactly_one_page(materials: list[str | None], limit: int) -> None:
    records = [record(row, material) for row, material in enumerate(materials)]
    filters: list[tuple[str | None, list[SoundRecord]]] = [(None, records)]
    filters += [(name, [one for one in records if one.material == name]) for name in ("wood", "metal", "glass")]
    filters += [("Plastic Bag", [one for one in records if one.material == "plastic-bag"])]
    filters += [(UNLABELLED, [one for one in records if one.material is None])]
    with catalogue_of(records) as catalogue:
        for material, expected in filters:
            seen: list[SoundRecord] = []
            after: str | None = None
            while True:
                page = catalogue.page(SoundFilter(material=(material,) if material else ()), after, limit)
                assert page.total == len(expected)
                assert len(page.sounds) <= limit
                seen += page.sounds
                if page.next is None:
                    break
                assert len(page.sounds) == limit
                after = page.next
            assert seen == expected


def test_a_page_of_what_does_not_exist_is_refused() -> None:
    with catalogue_of([record(0, "wood")]) as catalogue:
        with pytest.raises(LibraryError, match="no material 'rubber'"):
            catalogue.page(SoundFilter(material=("rubber",)))
        with pytest.raises(LibraryError, match="not a cursor"):
            catalogue.page(cursor="gone")
        with pytest.raises(LibraryError, match="at least 1"):
            catalogue.page(limit=0)


def test_more_rows_than_sqlite_takes_parameters() -> None:
    records = [record(row, NAMES[row % 17]) for row in range(40_000)]
    with catalogue_of(records) as catalogue:
        assert catalogue.rows(range(39_999, -1, -1)) == records[::-1]


def test_many_threads_read_one_catalogue() -> None:
    records = [record(row, NAMES[row % 17]) for row in range(500)]

    def read(number: int) -> bool:
        row = (number * 7) % 500
        same = catalogue.rows([row]) == [records[row]] and catalogue.sound(records[row].id) == records[row]
        return (
            same
            and Counter(
                one.material for one in catalogue.page(SoundFilter(material=(NAMES[row % 17],))).sounds
            ).total()
            > 0
        )

    with catalogue_of(records) as catalogue, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(800)))


def test_it_stays_readable_after_its_folder_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    records = [record(row) for row in range(2000)]
    write_catalogue(path, records)
    with closing(Catalogue(path)) as catalogue, ThreadPoolExecutor(1) as pool:
        path.unlink()
        assert pool.submit(catalogue.rows, range(2000)).result() == records


def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LibraryError, match="cannot be read"):
        Catalogue(path)
    with pytest.raises(LibraryError, match="cannot be read"):
        Catalogue(tmp_path / "missing.sqlite")
    assert not (tmp_path / "missing.sqlite").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE sounds SET title = x'fffe' WHERE row = 7", "row 7 of the catalogue"),
        ("UPDATE sounds SET seconds = 'long' WHERE row = 7", "row 7 of the catalogue"),
        ("UPDATE sounds SET bytes = 'many' WHERE row = 7", "row 7 of the catalogue"),
        ("UPDATE sounds SET bytes = -1 WHERE row = 7", "row 7 of the catalogue"),
        ("UPDATE sounds SET media_type = 'audio/wav' || char(13, 10) || 'X: y'", "row 0 of the catalogue"),
        ("UPDATE sounds SET media_type = 'audio/' || char(9731)", "row 0 of the catalogue"),
        (
            "ALTER TABLE sounds RENAME TO others; CREATE VIEW sounds AS SELECT * FROM others",
            "does not have the tables",
        ),
    ],
)
def test_what_no_answer_could_be_made_of_is_refused(tmp_path: Path, change: str, said: str) -> None:
    path = tmp_path / "catalogue.sqlite"
    write_catalogue(path, [record(row) for row in range(9)])
    with closing(sqlite3.connect(path)) as database:
        database.executescript(change)
    with pytest.raises(LibraryError, match=said):
        Catalogue(path)


def test_the_content_of_a_file_does_as_well(tmp_path: Path) -> None:
    records = [record(row, "wood") for row in range(300)]
    write_catalogue(tmp_path / "catalogue.sqlite", records)
    content = bytearray((tmp_path / "catalogue.sqlite").read_bytes())
    (tmp_path / "catalogue.sqlite").unlink()
    with closing(Catalogue(memoryview(content))) as catalogue:
        assert catalogue.rows(range(300)) == records
        content[:] = bytes(len(content))  # it has a copy of its own
        assert catalogue.sound(records[7].id) == records[7]
    with pytest.raises(LibraryError, match="cannot be read"):
        Catalogue(memoryview(b"not a database" * 100))


def test_what_turns_out_to_be_broken_is_an_error_of_its_own(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "catalogue.sqlite", [record(row) for row in range(300)])
    with closing(Catalogue(memoryview(with_broken_ids(tmp_path / "catalogue.sqlite")))) as catalogue:
        assert catalogue.rows([7]) == [record(7)]
        with pytest.raises(DamagedIndexError, match="malformed"):
            catalogue.sound(record(7).id)
        with pytest.raises(DamagedIndexError, match="no row 300"):
            catalogue.rows([7, 300])


def with_broken_ids(path: Path) -> bytes:
    """The catalogue with noise where sounds are found by their ids."""
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sounds_by_id'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"Z" * size
    return bytes(content)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 9000,
        '{"a":' * 1000,
        json.dumps(["q", 0, 0.5, "\ud800", "", ""]),
        json.dumps(["q", 0, 0.5, "a", 7, ""]),
        json.dumps(["q", 0, 0.5, "a", "b", "\ud800" * 8]),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="not a cursor"):
        Cursor.read(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="), "q")
