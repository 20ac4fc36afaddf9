"""Freesound when it has had enough, is away or answers badly, and where tokens go."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from index.fetching.fetch import fetch_sounds
from index.fetching.freesound import Freesound
from model.errors import FetchError
from tests.index.freesound import KEY, Handler, Site, connection, loopback, rows, status, throttled, thud_fetch


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with loopback(monkeypatch) as found:
        yield found


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
