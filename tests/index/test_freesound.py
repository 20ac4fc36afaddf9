"""Fetching sounds of Freesound, from a server on this machine that speaks its documented interface."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue.filters import SoundFilter
from index.fetching.fetch import fetch_sounds, file_name
from index.fetching.freesound import FoundSound
from index.fetching.licences import has_licence, is_open
from model.manifest import read_rows
from tests.index.freesound import (
    ACCESS,
    DEEDS,
    KEY,
    Handler,
    Site,
    connection,
    cut,
    loopback,
    rows,
    status,
    struck,
    throttled,
    thud_fetch,
)
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with loopback(monkeypatch) as found:
        yield found


def test_a_library_from_the_command_line(site: Site, tmp_path: Path) -> None:
    site.add(3)
    site.add(2, "Attribution")
    site.add(2)
    site.instead["/apiv2/search/text/"] = [throttled("60/minute", Retry_After="1")]
    site.instead["/data/previews/2-hq.ogg"] = [cut]
    out = tmp_path / "out"

    done = thud_fetch(site, out, "--licence", "cc0", "--count", "4")

    assert done.returncode == 0, done.stderr
    assert "4 sounds" in done.stdout
    assert "asks to wait" in done.stderr
    assert "60/minute" in done.stderr
    assert "trying again" in done.stderr
    found = rows(out)
    assert [row["path"] for row in found] == [f"{n}__anna_b__Wood_Impact_{n}.ogg" for n in (1, 2, 3, 6)]
    assert {path.name for path in out.iterdir()} == {row["path"] for row in found} | {"manifest.csv"}
    assert all((out / row["path"]).read_bytes() == struck(n) for n, row in zip((1, 2, 3, 6), found, strict=True))
    first = found[0]
    assert first["licence"] == "CC0-1.0"
    assert first["author"] == "anna b"
    assert first["origin"] == "https://freesound.org/people/anna/sounds/1/"
    assert first["description"] == "a plank falls; twice"
    assert first["tags"] == "wood; impact"
    assert first["open_licence"] == "1"
    assert first["attribution"].startswith('"Wood Impact 1.wav" by anna b (https://freesound.org/')
    assert KEY not in done.stdout + done.stderr
    _, asked, authorization = site.asked[0]
    assert asked["filter"] == 'license:"Creative Commons 0"'
    assert asked["query"] == "wood impact"
    assert authorization == f"Token {KEY}"
    assert KEY not in json.dumps([one for _, one, _ in site.asked])

    site.asked.clear()
    again = thud_fetch(site, out, "--licence", "cc0", "--count", "5")
    assert again.returncode == 0
    assert "1 fetched, 4 there before" in again.stdout
    assert Counter("previews" in path for path, _, _ in site.asked) == {False: 1, True: 1}

    bundle = write_tiny_bundle(tmp_path / "bundle")
    build_index(bundle, out, tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", bundle) as index:
        records = index.page(limit=10).sounds
        for written in ("cc0", "CC0-1.0", "CC0 1.0", DEEDS["Creative Commons 0"]):
            assert index.page(limit=10, only=SoundFilter(licence=(written,))).total == 5
    assert len(records) == 5
    assert {record.licence for record in records} == {"CC0-1.0"}
    assert {record.source for record in records} == {"freesound"}


def test_pages_are_followed(site: Site, tmp_path: Path) -> None:
    site.add(340)
    with connection(site) as (freesound, _, _):
        found = list(freesound.search("wood"))
    assert [one.id for one in found] == list(range(1, 341))
    assert [asked["page"] for _, asked, _ in site.asked] == ["1", "2", "3"]


def test_a_page_that_is_no_longer_there_ends_the_search(site: Site) -> None:
    site.add(160)
    site.sounds[150]["filter"] = "Attribution"
    with connection(site) as (freesound, _, _):
        search = freesound.search("wood")
        assert next(search).id == 1
        del site.sounds[150:]
        assert len(list(search)) == 149


def test_what_somebody_filled_in_stays(site: Site, tmp_path: Path) -> None:
    site.add(2)
    with connection(site) as (freesound, _, _):
        fetch_sounds(freesound, "wood", tmp_path, 1)
        found = rows(tmp_path)
        found[0] |= {"material": "wood", "my notes": "good"}
        with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as handle:
            table = csv.DictWriter(handle, list(found[0]))
            table.writeheader()
            table.writerows(found)
        fetch_sounds(freesound, "wood", tmp_path, 2)
    one, two = read_rows(tmp_path / "manifest.csv")
    assert one.materials[0].name == "wood"
    assert one.columns["my notes"] == "good"
    assert two.materials == ()


def test_no_title_is_a_formula_and_all_are_read_back_as_they_were(site: Site, tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://evil")'
    site.add(1, name=evil, username="@bo", tags=["-6 dB", "=1+1"], description="Größe;=1")
    with connection(site) as (freesound, _, _):
        for count in (1, 1):
            fetch_sounds(freesound, "wood", tmp_path, count)
            assert (tmp_path / "manifest.csv").read_bytes().startswith(b"\xef\xbb\xbf")
            (row,) = rows(tmp_path)
            assert (row["title"], row["author"], row["description"]) == (f"'{evil}", "'@bo", "Größe;'=1")
            assert all(cell[:1] not in set("=+-@") for cell in row.values())
            (read,) = read_rows(tmp_path / "manifest.csv")
            assert (read.get("title"), read.get("author"), read.get("description")) == (evil, "@bo", "Größe;=1")
            assert read.get("tags") == "-6 dB; =1+1"


def test_what_somebody_mended_stays_and_no_row_is_lost(site: Site, tmp_path: Path) -> None:
    site.add(2)
    with connection(site) as (freesound, _, _):
        fetch_sounds(freesound, "wood", tmp_path, 1)
        (first,) = rows(tmp_path)
        first |= {"title": "A plank", "tags": "plank", "material": "wood", "description": ""}
        again = first | {"time": "0.5", "title": "The same, later"}
        with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as handle:
            table = csv.DictWriter(handle, list(again), delimiter=";")
            table.writeheader()
            table.writerows([first, again])
        fetch_sounds(freesound, "wood", tmp_path, 2)
    found = rows(tmp_path)
    assert found[:2] == [first | {"time": ""}, again]
    assert [row["path"][0] for row in found] == ["1", "1", "2"]


def test_originals_need_an_access_token_and_have_their_size(site: Site, tmp_path: Path) -> None:
    site.add(2)
    site.add(1, type="m4a")
    token = tmp_path / "token"
    token.write_text(f"{ACCESS}\n")
    out = tmp_path / "out"
    done = thud_fetch(site, out, "--originals", "--token-file", str(token), token=None)
    assert done.returncode == 0, done.stderr
    assert (out / "1__anna_b__Wood_Impact_1.wav").read_bytes() == struck(1, "WAV")
    assert (out / "3__anna_b__Wood_Impact_3.ogg").read_bytes() == struck(3)
    assert "type m4a" in done.stderr
    (out / "1__anna_b__Wood_Impact_1.wav").write_bytes(b"half")
    again = thud_fetch(site, out, "--originals", token=None, THUD_FREESOUND_ACCESS_TOKEN=ACCESS)
    assert "1 fetched, 2 there before" in again.stdout
    assert (out / "1__anna_b__Wood_Impact_1.wav").read_bytes() == struck(1, "WAV")


def test_an_original_of_another_size_is_not_kept(site: Site, tmp_path: Path) -> None:
    site.add(1, filesize=12_345_678)
    site.add(1)
    with connection(site, oauth=True) as (freesound, said, slept):
        report = fetch_sounds(freesound, "wood", tmp_path, 2, originals=True, say=said.append)
    assert len(report.failed) == 1
    assert slept == [1.0, 3.0, 9.0]
    assert {path.name for path in tmp_path.iterdir()} == {"2__anna_b__Wood_Impact_2.wav", "manifest.csv"}


def test_the_search_at_its_newer_address(site: Site, tmp_path: Path) -> None:
    site.add(1)

    def moved(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(301, {}, Location=f"/apiv2/search/text/?{urlsplit(handler.path).query}")

    site.instead["/apiv2/search/text/"] = [moved]
    with connection(site) as (freesound, _, _):
        assert len(list(freesound.search("wood"))) == 1
    site.instead["/apiv2/search/text/"] = [status(404)]
    site.instead["/apiv2/search/"] = [status(200, {"results": [], "next": None})]
    with connection(site) as (freesound, _, _):
        assert list(freesound.search("wood")) == []


def test_a_sound_of_another_licence_than_was_asked_for_is_not_taken(site: Site, tmp_path: Path) -> None:
    site.add(1)
    site.add(1, license="https://creativecommons.org/licenses/by-nc/4.0/")
    with connection(site) as (freesound, _, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 2, licences=("cc0", "by"))
    assert report.fetched == 1
    assert site.asked[0][1]["filter"] == 'license:("Creative Commons 0" OR "Attribution")'


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b\\c:d*?.wav", "\x1b[31mred\n", "", "…", "x" * 500, "Größe ﬁ.flac"]
)
def test_no_title_makes_a_bad_file_name(site: Site, tmp_path: Path, name: str) -> None:
    site.add(1, name=name, username=f"u/{name}", type="../wav", description=name)
    out = tmp_path / "out"
    with connection(site) as (freesound, _, _):
        fetch_sounds(freesound, "wood", out, 1)
    assert {path.parent for path in tmp_path.rglob("*.ogg")} == {out}
    (row,) = rows(out)
    assert re.fullmatch(r"1[A-Za-z0-9_]*\.ogg", row["path"])
    assert len(row["path"]) <= 90
    assert all(value.isprintable() for value in row.values())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"license": None}, "license"),
        ({"license": ""}, "license"),
        ({"previews": {}}, "preview"),
        ({"previews": {"preview-hq-ogg": None}}, "preview"),
        ({"previews": None}, "not what the documentation says"),
        ({"filesize": float("inf")}, "not what the documentation says"),
    ],
)
def test_a_result_that_lacks_something_is_skipped(
    site: Site, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    site.add(1)
    site.add(1, **fields)
    site.add(1)
    with connection(site) as (freesound, said, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 2)
    assert (report.fetched, report.failed) == (2, ())
    (line,) = said
    assert line.startswith("left out sound 2 of the search: ")
    assert reason in line


def test_which_licences_are_open() -> None:
    assert is_open("https://creativecommons.org/licenses/by-sa/4.0/")
    assert not is_open("https://creativecommons.org/licenses/by-nc/4.0/")
    assert has_licence("https://creativecommons.org/licenses/by/3.0/", ("by", "cc0"))
    assert not has_licence("https://creativecommons.org/licenses/by-nc/3.0/", ("by",))


def test_a_name_without_letters_is_the_id() -> None:
    sound = FoundSound(7, "u", "…", "?", (), "", "l", "wav", 0, 1.0, "https://x/7.mp3?a=b.exe")
    assert file_name(sound, original=False) == "7.mp3"
    assert file_name(sound, original=True) == "7.wav"
