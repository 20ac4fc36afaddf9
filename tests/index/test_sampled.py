"""A large catalogue is opened by looking at a sample of its rows; the others are looked at when they are read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from index.catalogue import Catalogue, SoundRecord, reader, write_catalogue
from model.errors import DamagedIndexError
from tests.index.catalogues import sound

COUNT, SAMPLED = 301, 4  # rows 0, 100, 200 and 300 are looked at
ROW = 150


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes any catalogue for a large one."""
    monkeypatch.setattr(reader, "EVERY_ROW_UP_TO", 10)
    monkeypatch.setattr(reader, "_LOOKED_AT", SAMPLED)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_catalogue(tmp_path / "catalogue.sqlite", [sound(row) for row in range(COUNT)])
    return tmp_path / "catalogue.sqlite"


def damage(file: Path, row: int, change: str = "bytes = 'many'") -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(f"UPDATE sounds SET {change} WHERE row = ?", [row])


def test_not_every_row_is_looked_at(file: Path) -> None:
    for row in range(1, COUNT - 1):
        if row % 100:
            damage(file, row)
    with closing(Catalogue(file)) as catalogue:
        assert len(catalogue) == catalogue.vectors == COUNT
        assert catalogue.rows([100, 200]) == [sound(100), sound(200)]


@pytest.mark.parametrize("row", [0, 100, 300])
def test_a_damaged_row_of_the_sample_is_refused(file: Path, row: int) -> None:
    damage(file, row)
    with pytest.raises(DamagedIndexError, match=f"row {row} of the catalogue"):
        Catalogue(file)


def test_a_missing_row_of_the_sample_is_refused(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM sounds WHERE row = 100")
    with pytest.raises(DamagedIndexError, match="the rows of the catalogue"):
        Catalogue(file)


def test_where_every_row_is_to_be_checked_each_is(file: Path) -> None:
    damage(file, ROW)
    with pytest.raises(DamagedIndexError, match=f"row {ROW} of the catalogue"):
        Catalogue(file, every_row=True)


READS: dict[str, Callable[[Catalogue], object]] = {
    "a page": lambda catalogue: catalogue.page(limit=COUNT),
    "rows": lambda catalogue: catalogue.rows([3, ROW]),
    "ids": lambda catalogue: catalogue.ids([3, ROW]),
    "by its id": lambda catalogue: catalogue.sound(sound(ROW).id),
    "by its words": lambda catalogue: catalogue.find(f"sound {ROW}"),
    "by its path": lambda catalogue: catalogue.id_at(sound(ROW).path),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("change", ["bytes = -1", "media_type = 'audio/wav' || char(13, 10)", "title = x'fffe'"])
def test_a_row_is_looked_at_when_it_is_read(file: Path, read: Callable[[Catalogue], object], change: str) -> None:
    with closing(Catalogue(file)) as catalogue:
        catalogue.check()
        damage(file, ROW, change)
        assert catalogue.rows([3, 4]) == [sound(3), sound(4)]
        catalogue.check()
        for _ in range(2):
            with pytest.raises(DamagedIndexError, match=f"row {ROW} of the catalogue is not what Thud writes"):
                read(catalogue)
            with pytest.raises(DamagedIndexError, match=f"row {ROW} of the catalogue is not what Thud writes"):
                catalogue.check()
        assert catalogue.rows([3, 4]) == [sound(3), sound(4)]


def test_what_is_read_is_the_same(file: Path) -> None:
    records: list[SoundRecord] = [sound(row) for row in range(COUNT)]
    with closing(Catalogue(file)) as catalogue, closing(Catalogue(file, every_row=True)) as whole:
        for one in (catalogue, whole):
            assert one.rows(range(COUNT)) == records
            assert one.page(limit=COUNT).sounds == records
            assert one.sound(records[ROW].id) == records[ROW]
            assert one.id_at(records[ROW].path) == records[ROW].id
