"""Chosen sounds as a zip, as a table and as JSON."""

import asyncio
import csv
import io
import itertools
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.answers.attribution import COLUMNS
from index.answers.recommender import Recommender
from tests.service.conftest import Library, running
from tests.service.labelled import make_labelled_library
from tests.service.test_app import other, started
from tests.service.test_bad_requests import check_problem
from tests.service.test_schema import KEY

FILES = ("ATTRIBUTION.txt", "sounds.csv")


@pytest.fixture
def labelled(tmp_path: Path) -> Library:
    """A library that the test may change."""
    return make_labelled_library(tmp_path)


@contextmanager
def asking(library: Library) -> Iterator[httpx.Client]:
    with (
        running(library, "--max-export-bytes", "1048576", says=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def own(labelled: Library) -> Iterator[httpx.Client]:
    with asking(labelled) as client:
        yield client


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library whose sounds stay as they are."""
    return make_labelled_library(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def whole(kept: Library) -> Iterator[httpx.Client]:
    with asking(kept) as client:
        yield client


def listed(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/sounds", params={"limit": 200, **query}).json()["sounds"]
    return found


def unpacked(answer: httpx.Response, name: str = "sounds.zip") -> dict[str, bytes]:
    """The files of a zip, whose sums are right and which any system can write."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.casefold() for name in names}) == len(names)
        for entry in archive.infolist():
            assert re.fullmatch(r'[^<>:"/\\|?*\x00-\x1f]{1,200}', entry.filename)
            assert entry.filename.isascii() or entry.flag_bits & 0x800  # its name is UTF-8, it says
            assert entry.date_time[0] > 2000
        return {name: archive.read(name) for name in names}


def rows_of(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def test_a_zip_has_the_files_and_what_must_be_said_of_them(whole: httpx.Client, kept: Library) -> None:
    chosen = [one for one in listed(whole) if one["path"].startswith(("kitchen/", "Straße/"))][:20]
    # Each twice: it is sent once.
    answer = whole.get("/sounds.zip", params={"id": [one["id"] for one in [*chosen, *chosen]]})

    files = unpacked(answer)
    credits_text, table = files.pop(FILES[0]).decode(), rows_of(files.pop(FILES[1]))
    assert len(files) == len(chosen)
    assert list(files.values()) == [(kept.sounds / one["path"]).read_bytes() for one in chosen]
    assert [row["id"] for row in table] == [one["id"] for one in chosen]
    paragraphs = credits_text.strip().split("\n\n")
    assert [one.split("\n    ") for one in paragraphs] == [
        [name, sound["attribution"]] for name, sound in zip(files, chosen, strict=True)
    ]
    assert any("Жюль Верн" in one["attribution"] and "https://example.org/" in one["attribution"] for one in chosen)


def test_files_of_one_name_are_told_apart(whole: httpx.Client, kept: Library) -> None:
    chosen = [one for one in listed(whole) if "/take " in one["path"] or one["path"].startswith("take ")]
    names = [Path(one["path"]).name for one in chosen]
    (kept.sounds / "kitchen" / "TAKE 1.WAV").write_bytes(b"is not indexed")

    files = unpacked(whole.get("/sounds.zip", params={"id": [one["id"] for one in chosen]}))

    assert [name for name in files if name not in FILES] == names
    assert len(set(names)) == len(names) >= 4


def test_what_cannot_be_sent_is_named(own: httpx.Client, labelled: Library) -> None:
    chosen = listed(own)[:6]
    changed, gone, outside = (labelled.sounds / chosen[place]["path"] for place in (0, 2, 4))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    gone.unlink()
    outside.unlink()
    outside.symlink_to("/etc/hostname")

    answer = own.get("/sounds.zip", params={"id": [one["id"] for one in chosen]})
    files = unpacked(answer, "sounds, incomplete.zip")

    credits_text = files.pop(FILES[0]).decode()
    assert len(rows_of(files.pop(FILES[1]))) == 6
    missing = files.pop("MISSING.txt").decode()
    assert list(files.values()) == [(labelled.sounds / chosen[n]["path"]).read_bytes() for n in (1, 3, 5)]
    assert missing.startswith("NOT IN THIS ARCHIVE, 3 of 6 sounds:")
    assert all(one.name in missing and one.name not in credits_text for one in (changed, gone, outside))
    assert "has changed" in missing
    assert "no longer in" in missing
    assert str(labelled.sounds) not in missing


def test_a_table_and_json_say_what_the_records_say(whole: httpx.Client) -> None:
    chosen = listed(whole)[3:30]
    ids = [one["id"] for one in chosen]

    table = whole.get("/sounds.csv", params={"id": ids})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = rows_of(table.content)
    assert tuple(rows[0]) == COLUMNS
    for row, one in zip(rows, chosen, strict=True):
        # No text is a formula to a spreadsheet.
        assert row["title"] == ("'" if one["title"].startswith("=") else "") + one["title"]
        assert not any(text.startswith(("=", "+", "@")) for text in row.values())
        assert (row["id"], row["path"], row["tags"]) == (one["id"], one["path"], ", ".join(one["tags"]))
        assert (float(row["duration"]), float(row["hit"])) == (one["duration"], one["hit"])
        assert row["attribution"].lstrip("'") == one["attribution"]
        for name in ("author", "licence", "source", "origin", "action"):
            assert row[name] == (one[name] or "")
    assert any(one["title"].startswith("=") for one in listed(whole))

    assert whole.get("/sounds.json", params={"id": ids}).json() == {"sounds": chosen}


@pytest.mark.parametrize("kind", ["zip", "csv", "json"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "required"),
        ("id=", "pattern"),
        ("id=00000000000000000000", "00000000000000000000"),
        ("id={id}&id=00000000000000000000", "00000000000000000000"),
        ("id={id}&id=../../etc/passwd", "pattern"),
        ("id=0000000000000000000g", "pattern"),
        ("&".join(["id={id}"] * 101), "100"),
    ],
)
def test_sounds_that_there_are_not(client: httpx.Client, kind: str, query: str, words: str) -> None:
    sound = client.get("/sounds?limit=1").json()["sounds"][0]["id"]

    problem = check_problem(client.get(f"/sounds.{kind}?{query.format(id=sound)}"), 422, words)

    assert {error["field"] for error in problem["errors"]} == {"query.id"}


def test_so_many_bytes_at_most(whole: httpx.Client, kept: Library) -> None:
    every = [one["id"] for one in listed(whole)]
    size = sum(one["bytes"] for one in listed(whole))
    assert size > 1_048_576

    check_problem(whole.get("/sounds.zip", params={"id": every}), 422, f"{size:,}", "1,048,576")
    assert whole.get("/sounds.csv", params={"id": every}).status_code == 200


def test_its_head_says_what_the_zip_would(own: httpx.Client, labelled: Library) -> None:
    """Also how many sounds are missing, in the file's name, which a person sees; and that none is there."""
    chosen = listed(own)[:3]
    address = f"/sounds.zip?{'&'.join('id=' + one['id'] for one in chosen)}"
    for gone, name in enumerate(("sounds.zip", "sounds, incomplete.zip", "sounds, incomplete.zip")):
        for answer in (own.head(address), own.get(address)):
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
            assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
            assert "content-length" not in answer.headers
        (labelled.sounds / chosen[gone]["path"]).unlink()
    check_problem(own.get(address), 410, "none of these sounds")
    assert own.head(address).status_code == 410


def test_a_library_that_goes_away_at_this_moment_is_no_empty_zip(own: httpx.Client, labelled: Library) -> None:
    """The look at the folder that others have just had does not count."""
    sound = listed(own)[0]["id"]
    assert own.get(f"/sounds.zip?id={sound}").status_code == 200
    labelled.sounds.rename(labelled.sounds.with_name("elsewhere"))
    labelled.sounds.mkdir()
    check_problem(own.get(f"/sounds.zip?id={sound}"), 503, "cannot be reached")


def test_slow_zips_are_few_and_keep_no_index(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    closed: list[bool] = []

    def slow(*_: object) -> Iterator[bytes]:
        yield b"PK"
        assert go_on.wait(30)

    monkeypatch.setattr("service.routes.export.zip_of", slow)

    async def ask() -> tuple[list[httpx.Response], bool]:
        async with started(library) as (client, served):
            first = served.recommender
            monkeypatch.setattr(first, "close", lambda: closed.append(True))
            sound = first.index.page(limit=1).sounds[0].id
            zips = [asyncio.ensure_future(client.get(f"/sounds.zip?id={sound}")) for _ in range(7)]
            try:
                async with asyncio.timeout(10):
                    for one in itertools.islice(asyncio.as_completed(zips), 3):
                        await one
                served.replace(other(Recommender, library))
                for _ in range(1000):
                    if not closed:  # it is closed aside
                        await asyncio.sleep(0.01)
                closed_meanwhile = bool(closed)
            finally:
                go_on.set()
            answers = await asyncio.gather(*zips)
            first.index.close()
            return answers, closed_meanwhile

    answers, closed_meanwhile = asyncio.run(ask())
    assert closed_meanwhile
    refused = [one for one in answers if one.status_code != 200]
    assert len(refused) == 3
    for one in refused:
        check_problem(one, 503, "4 zips are sent already")
        assert int(one.headers["retry-after"]) >= 1


def test_sounds_that_are_away(own: httpx.Client, labelled: Library) -> None:
    sound = listed(own)[0]["id"]
    labelled.sounds.rename(labelled.sounds.with_name("elsewhere"))

    answer = own.get(f"/sounds.zip?id={sound}")

    check_problem(answer, 503, "cannot be reached")
    assert answer.headers["retry-after"]


def test_a_key_is_wanted(labelled: Library) -> None:
    with running(labelled, env={"THUD_API_KEYS": KEY}) as server:
        for path in ("/sounds.zip", "/sounds.csv", "/sounds.json", "/sounds/00000000000000000000/similar"):
            check_problem(httpx.get(server.url + path, timeout=60), 401)
        check_problem(httpx.post(f"{server.url}/similar", content=b"x", timeout=60), 401)
