"""Fetching sounds of Freesound, from a server on this machine that speaks its documented interface."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue.filters import SoundFilter
from index.fetching.fetch import fetch_sounds, file_name
from index.fetching.freesound import FoundSound, Freesound
from index.fetching.licences import has_licence, is_open
from model.errors import FetchError
from model.manifest import read_rows
from tests.tiny_bundle import write_tiny_bundle

KEY = "k" * 40
ACCESS = "a" * 30
DEEDS = {
    "Creative Commons 0": "http://creativecommons.org/publicdomain/zero/1.0/",
    "Attribution": "https://creativecommons.org/licenses/by/4.0/",
    "Attribution NonCommercial": "https://creativecommons.org/licenses/by-nc/3.0/",
}


@cache  # Ogg numbers its streams at random
def struck(number: int, kind: str = "OGG") -> bytes:
    time = np.arange(16_000) / 16_000
    sound = 0.5 * np.exp(-20 * time) * np.sin(2 * np.pi * (300 + 40 * number) * time)
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format=kind)
    return file.getvalue()


@dataclass
class Site:
    """What the server has, what it was asked, and by path what it does in place of answering."""

    sounds: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    instead: dict[str, list[Callable[[BaseHTTPRequestHandler], None]]] = field(default_factory=dict)
    url: str = ""

    def add(self, count: int, licence: str = "Creative Commons 0", **fields: Any) -> None:
        for _ in range(count):
            number = len(self.sounds) + 1
            base = f"{self.url}/data/previews/{number}"
            self.sounds.append(
                {
                    "id": number,
                    "url": f"https://freesound.org/people/anna/sounds/{number}/",
                    "name": f"Wood Impact {number}.wav",
                    "tags": ["wood", "impact"],
                    "description": "a plank\r\nfalls; twice",
                    "license": DEEDS[licence],
                    "type": "wav",
                    "filesize": len(struck(number, "WAV")),
                    "duration": 1.0,
                    "username": "anna b",
                    "previews": {"preview-hq-ogg": f"{base}-hq.ogg", "preview-hq-mp3": f"{base}-hq.mp3"},
                    "filter": licence,
                    **fields,
                }
            )

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    """The interface, as it is documented."""

    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        authorization = self.headers.get("Authorization", "")
        self.site.asked.append((address.path, query, authorization))
        if waiting := self.site.instead.get(address.path):
            waiting.pop(0)(self)
        elif address.path.startswith("/data/previews/"):
            number = int(re.findall(r"\d+", address.path)[0])
            self.reply(200, struck(number), "audio/ogg")
        elif authorization not in (f"Token {KEY}", f"Bearer {ACCESS}"):
            self.reply(401, {"detail": "Invalid token"})
        elif address.path == "/apiv2/search/text/":
            self.search(query)
        elif found := re.fullmatch(r"/apiv2/sounds/(\d+)/download/", address.path):
            if authorization.startswith("Token"):
                self.reply(401, {"detail": "Authentication credentials were not provided."})
            else:
                self.reply(200, struck(int(found[1]), "WAV"), "audio/x-wav")
        else:
            self.reply(404, {"detail": "Not found"})

    def search(self, query: dict[str, str]) -> None:
        allowed = re.findall(r'"([^"]+)"', query.get("filter", "")) or list(DEEDS)
        found = [one for one in self.site.sounds if one["filter"] in allowed]
        size, page = min(150, int(query.get("page_size", "15"))), int(query.get("page", "1"))
        part = found[(page - 1) * size : page * size]
        if page > 1 and not part:
            self.reply(404, {"detail": "Not found"})
            return
        more = page * size < len(found)
        wanted = query.get("fields", "id,name,tags,username,license").split(",")
        results = [{name: one[name] for name in wanted if name in one} for one in part]
        self.reply(200, {"count": len(found), "next": f"{self.site.url}/x" if more else None, "results": results})

    def reply(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "*")
    made = Site()
    handler = type("OfThisSite", (Handler,), {"site": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def thud_fetch(
    site: Site, out: Path, *options: str, token: str | None = KEY, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUD_")} | environment
    if token is not None:
        env["THUD_FREESOUND_TOKEN"] = token
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "thud",
            "fetch",
            "freesound",
            "wood impact",
            str(out),
            "--api",
            f"{site.url}/apiv2",
            *options,
        ],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def connection(site: Site, *, oauth: bool = False) -> Iterator[tuple[Freesound, list[str], list[float]]]:
    """A connection that does not really wait; what it said, and how long it waited."""
    said: list[str] = []
    slept: list[float] = []
    token = ACCESS if oauth else KEY
    with Freesound(token, oauth=oauth, api=f"{site.url}/apiv2/", say=said.append, sleep=slept.append) as made:
        yield made, said, slept


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def throttled(detail: str, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(
            429,
            {"detail": f"Request was throttled because of exceeding a request limit rate ({detail})"},
            **headers,
        )

    return answer


def status(code: int, body: Any = None, kind: str = "application/json") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(code, body or {"detail": "no"}, kind)

    return answer


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Half of a sound, then the connection is gone."""
    content = struck(1)
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/ogg")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.close_connection = True


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


@pytest.mark.parametrize(
    ("detail", "headers", "waited"),
    [
        ("60/minute", {}, [60.0] * 6),
        ("60/minute", {"Retry_After": "7"}, [7.0, 7.0, 7.0, 8.0, 16.0, 32.0]),
        ("60/second", {}, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]),
        ("60/minute", {"Retry_After": "0"}, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]),
    ],
)
def test_a_limit_is_waited_for(
    site: Site, tmp_path: Path, detail: str, headers: dict[str, str], waited: list[float]
) -> None:
    site.add(1)
    site.instead["/apiv2/search/text/"] = [throttled(detail, **headers)] * 6
    with connection(site) as (freesound, said, slept):
        assert fetch_sounds(freesound, "wood", tmp_path, 1).fetched == 1
    assert slept == waited
    assert f"going on in {waited[0]:g} s" in said[0]


@pytest.mark.parametrize("after", ["0", "1", "60", "599"])
def test_a_limit_that_never_ends_is_not_waited_for_without_end(site: Site, tmp_path: Path, after: str) -> None:
    site.add(1)
    site.instead["/apiv2/search/text/"] = [throttled("60/minute", Retry_After=after)] * 50
    with connection(site) as (freesound, _, slept), pytest.raises(FetchError, match="again later"):
        fetch_sounds(freesound, "wood", tmp_path, 1)
    assert site.times("/apiv2/search/text/") <= 9
    assert 0 < sum(slept) <= 600
    assert min(slept) >= 1


def test_the_limit_of_a_day_ends_it_and_what_came_is_kept(site: Site, tmp_path: Path) -> None:
    site.add(3)
    site.instead["/apiv2/sounds/2/download/"] = [throttled("500/day")]
    with connection(site, oauth=True) as (freesound, _, slept), pytest.raises(FetchError, match="again later"):
        fetch_sounds(freesound, "wood", tmp_path, 3, originals=True)
    assert slept == []
    assert [row["path"] for row in rows(tmp_path)] == ["1__anna_b__Wood_Impact_1.wav"]
    with connection(site, oauth=True) as (freesound, _, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 3, originals=True)
    assert (report.fetched, report.there) == (2, 1)


ANSWERS = {
    "wrong token": (status(401, {"detail": "Invalid token"}), "does not accept the token.*Invalid token"),
    "a page of HTML": (status(200, b"<html>login</html>", "text/html"), "not JSON but text/html; is --api right"),
    "a list": (status(200, b"[1]"), "not what its documentation says"),
    "no results": (status(200, {"count": 1}), "has no results"),
    "bad request": (status(400, {"detail": "Invalid filter\nx"}), "answered 400: Invalid filter x$"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_good_is_one_line(site: Site, tmp_path: Path, name: str) -> None:
    answer, message = ANSWERS[name]
    site.instead["/apiv2/search/text/"] = [answer]
    with connection(site) as (freesound, _, slept), pytest.raises(FetchError, match=message) as error:
        fetch_sounds(freesound, "wood", tmp_path / "out", 1)
    assert "\n" not in str(error.value)
    assert slept == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_server_that_has_trouble_is_asked_four_times(site: Site, tmp_path: Path) -> None:
    site.add(1)
    site.instead["/apiv2/search/text/"] = [status(502, b"<html>", "text/html")] * 3
    with connection(site) as (freesound, _, slept):
        assert fetch_sounds(freesound, "wood", tmp_path, 1).fetched == 1
    assert slept == [1.0, 3.0, 9.0]
    site.instead["/apiv2/search/text/"] = [status(503)] * 4
    with connection(site) as (freesound, _, _), pytest.raises(FetchError, match="tried 4 times: it answered 503"):
        fetch_sounds(freesound, "wood", tmp_path, 1)


def test_a_server_that_is_not_there(tmp_path: Path, site: Site) -> None:
    site.url = "http://127.0.0.1:9"
    with connection(site) as (freesound, _, _), pytest.raises(FetchError, match=r"127\.0\.0\.1:9 did not answer"):
        fetch_sounds(freesound, "wood", tmp_path, 1)


def test_a_sound_that_is_gone_is_left_out(site: Site, tmp_path: Path) -> None:
    site.add(3)
    site.instead["/data/previews/2-hq.ogg"] = [status(404)]
    site.instead["/data/previews/3-hq.ogg"] = [status(200, b"<html>", "text/html; charset=utf-8")]
    out = tmp_path / "out"
    done = thud_fetch(site, out)
    assert done.returncode == 1
    assert "1 sounds" in done.stdout
    assert "left out 2__anna_b__Wood_Impact_2.ogg: 127.0.0.1 has nothing at" in done.stderr
    assert "sent text/html" in done.stderr
    assert "2 sounds could not be fetched; run the same command again" in done.stderr
    assert [row["path"] for row in rows(out)] == ["1__anna_b__Wood_Impact_1.ogg"]


def test_three_failures_in_a_row_end_it(site: Site, tmp_path: Path) -> None:
    site.add(9)
    for number in range(2, 10):
        site.instead[f"/data/previews/{number}-hq.ogg"] = [status(404)] * 9
    with connection(site) as (freesound, _, _), pytest.raises(FetchError, match="4-hq"):
        fetch_sounds(freesound, "wood", tmp_path, 9)
    assert len(rows(tmp_path)) == 1


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


def test_a_preview_elsewhere_gets_no_token(site: Site, tmp_path: Path) -> None:
    site.add(1)
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    site.sounds[0]["previews"] = {"preview-hq-mp3": f"{elsewhere}/data/previews/1-hq.mp3"}
    with connection(site) as (freesound, _, _):
        fetch_sounds(freesound, "wood", tmp_path, 1)
    assert [authorization for path, _, authorization in site.asked if "previews" in path] == [""]


@pytest.mark.parametrize("url", ["http://example.org/1.ogg", "file:///etc/passwd", "no address", "https://[::1"])
def test_a_preview_that_is_at_no_safe_address_is_left_out(site: Site, tmp_path: Path, url: str) -> None:
    site.add(1)
    site.sounds[0]["previews"] = {"preview-hq-ogg": url}
    with connection(site) as (freesound, said, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 1, say=said.append)
    assert len(report.failed) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_host_of_previews_that_forbids_one_says_nothing_about_the_token(
    site: Site, tmp_path: Path, code: int
) -> None:
    site.add(4)
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    site.sounds[0]["previews"] = {"preview-hq-ogg": f"{elsewhere}/data/previews/1-hq.ogg"}
    for number in (1, 3):
        site.instead[f"/data/previews/{number}-hq.ogg"] = [status(code)] * 9
    with connection(site) as (freesound, said, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 4, say=said.append)
    assert report.fetched == 2
    assert [one.partition("__")[0] for one in report.failed] == ["1", "3"]
    assert f"left out 1__anna_b__Wood_Impact_1.ogg: localhost answered {code}: no" in said


def test_an_original_that_its_host_forbids_says_nothing_about_the_token(site: Site, tmp_path: Path) -> None:
    site.add(2)
    elsewhere = site.url.replace("127.0.0.1", "localhost")

    def moved(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(302, {}, Location=f"{elsewhere}/data/originals/1")

    site.instead["/apiv2/sounds/1/download/"] = [moved]
    site.instead["/data/originals/1"] = [status(403)]
    with connection(site, oauth=True) as (freesound, _, _):
        report = fetch_sounds(freesound, "wood", tmp_path, 2, originals=True)
    assert (report.fetched, len(report.failed)) == (1, 1)


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


def test_a_token_is_needed_and_sent_by_https_only(site: Site, tmp_path: Path) -> None:
    done = thud_fetch(site, tmp_path / "out", token=None)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "THUD_FREESOUND_TOKEN holds no token" in done.stderr
    for api in ("http://example.org/apiv2/", "ftp://example.org", "nothing"):
        with pytest.raises(FetchError):
            Freesound(KEY, api=api)
    for token in ("a b", "a\nb", "ä"):
        with pytest.raises(FetchError, match="token"):
            Freesound(token)


def test_which_licences_are_open() -> None:
    assert is_open("https://creativecommons.org/licenses/by-sa/4.0/")
    assert not is_open("https://creativecommons.org/licenses/by-nc/4.0/")
    assert has_licence("https://creativecommons.org/licenses/by/3.0/", ("by", "cc0"))
    assert not has_licence("https://creativecommons.org/licenses/by-nc/3.0/", ("by",))


def test_a_name_without_letters_is_the_id() -> None:
    sound = FoundSound(7, "u", "…", "?", (), "", "l", "wav", 0, 1.0, "https://x/7.mp3?a=b.exe")
    assert file_name(sound, original=False) == "7.mp3"
    assert file_name(sound, original=True) == "7.wav"
