"""`--zip` and `--csv`: the sounds that a command has found, to take away; and the names that their files get."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.answers.attribution import attribution_line
from index.answers.export import file_names
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue import SoundRecord
from model.bundle import Bundle
from tests.index.commands import thud


@pytest.fixture
def index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def record(index: Path, tiny_bundle: Bundle) -> SoundRecord:
    with SoundIndex.open(index, tiny_bundle) as opened:
        return opened.page(limit=1).sounds[0]


def folders(index: Path, tiny_bundle: Bundle) -> list[str | Path]:
    return ["--bundle", tiny_bundle.folder, "--index", index]


def test_what_was_recommended_is_in_the_zip_and_in_the_table(
    index: Path, tiny_bundle: Bundle, picture: Path, sounds: Path, tmp_path: Path
) -> None:
    packed, table = tmp_path / "new" / "sounds.zip", tmp_path / "sounds.csv"
    asked = thud(
        "recommend", picture, *folders(index, tiny_bundle), "-k", "4", "--json", "--zip", packed, "--csv", table
    )

    results = json.loads(asked.stdout)["results"]
    assert (len(results), asked.stderr) == (4, b"")
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        *names, credits_name, table_name = archive.namelist()
        assert (credits_name, table_name) == ("ATTRIBUTION.txt", "sounds.csv")
        files = [archive.read(name) for name in names]
        assert archive.read(table_name) == table.read_bytes()
        credits_text = archive.read(credits_name).decode()
    assert files == [(sounds / result["path"]).read_bytes() for result in results]
    assert all(name in credits_text for name in names)
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"))))
    assert [row["id"] for row in rows] == [result["id"] for result in results]


def test_so_is_what_was_found(index: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    table = tmp_path / "found.csv"

    asked = thud("find", "--material", "wood", *folders(index, tiny_bundle), "--json", "--csv", table)

    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"))))
    assert [row["id"] for row in rows] == [one["id"] for one in json.loads(asked.stdout)["sounds"]]
    assert {row["material"] for row in rows} == {"wood"}


def test_a_file_that_is_gone_is_said_and_one_that_cannot_be_written(
    index: Path, tiny_bundle: Bundle, picture: Path, sounds: Path, tmp_path: Path, record: SoundRecord
) -> None:
    packed, asked = tmp_path / "sounds.zip", ["recommend", picture, *folders(index, tiny_bundle), "-k", "1000"]
    data = (sounds / record.path).read_bytes()
    (sounds / record.path).unlink()
    try:
        done = thud(*asked, "--zip", packed)
    finally:
        (sounds / record.path).write_bytes(data)

    assert done.returncode == 0
    assert b"1 of " in done.stderr
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist()[-1] == "MISSING.txt"
        assert Path(record.path).name in archive.read("MISSING.txt").decode()
        assert Path(record.path).name not in archive.read("ATTRIBUTION.txt").decode()
    before = packed.read_bytes()
    for option in ("--zip", "--csv"):
        refused = thud(*asked, option, packed)
        assert (refused.returncode, refused.stderr.count(b"\n")) == (1, 1)
        assert b"sounds.zip is there already and is not replaced" in refused.stderr
        assert packed.read_bytes() == before
    refused = thud(*asked, "--zip", packed.parent / "both", "--csv", packed.parent / "." / "x" / ".." / "both")
    assert (refused.returncode, refused.stderr.count(b"\n")) == (1, 1)
    assert b"--zip and --csv both name" in refused.stderr
    assert not (packed.parent / "both").exists()
    refused = thud(*asked, "--zip", picture / "sounds.zip")
    assert (refused.returncode, refused.stderr.count(b"\n")) == (1, 1)
    assert b"sounds.zip cannot be written" in refused.stderr


def test_a_name_is_one_that_every_system_can_write(record: SoundRecord) -> None:
    odd = {
        "a/Türe.wav": "Türe.wav",
        "a/b/tu\u0308re.WAV": "türe (2).WAV",
        "c/.wav": ".wav",
        "d/a\\b:c*?.wav": "a_b_c__.wav",
        "e/line\nend\x1b[2J.wav": "line_end_[2J.wav",
        "f/con.wav": "_con.wav",
        "g/" + "ü" * 150 + ".flac": "ü" * 97 + ".flac",
        "h/" + "ü" * 140 + ".flac": "ü" * 95 + " (2).flac",
        "i/attribution.TXT": "attribution (2).TXT",
        "j/ends. . ": "ends",
        "k/... ": "_",
        "l/\u202ecod.wav": "_cod.wav",
    }
    records = [replace(record, id=f"{number:020}", path=path) for number, path in enumerate(odd)]

    assert list(file_names(records).values()) == list(odd.values())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, '"A knock", licence not stated'),
        ({"author": "Ada", "licence": "CC-BY-4.0"}, '"A knock" by Ada, CC-BY-4.0'),
        (
            {"author": "Ada", "origin": "https://example.org/1", "source": "freesound", "licence": "CC0-1.0"},
            '"A knock" by Ada (https://example.org/1 of freesound), CC0-1.0',
        ),
        ({"author": "Ada", "attribution": "A knock,\n  by  Ada\r\n"}, "A knock, by Ada"),
    ],
)
def test_an_attribution_is_one_line(record: SoundRecord, changes: dict[str, Any], line: str) -> None:
    unknown = dict.fromkeys(("author", "origin", "source", "licence", "attribution"))

    assert attribution_line(replace(record, **{"title": "A knock", **unknown, **changes})) == line
