"""A new index or bundle while the service runs: taken over without a failed request, or refused."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.build import build_index
from tests.service.conftest import Encode, Library, Server, make_library, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_metrics import read_metrics, value, within
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture
def own(tmp_path: Path) -> Library:
    """A library that the test may change."""
    return make_library(tmp_path)


@pytest.fixture
def watching(own: Library) -> Iterator[tuple[Server, httpx.Client]]:
    with (
        running(own, "--watch-seconds", "0.05", says=True) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield server, client


def more_sounds(own: Library) -> str:
    """Index the library with one sound less; the new generation's id."""
    next(iter(sorted(own.sounds.rglob("*.wav")))).unlink()
    return build_index(own.bundle, own.sounds, own.index).spec.id


def details(client: httpx.Client) -> dict[str, Any]:
    ready = client.get("/readyz?verbose")
    assert ready.status_code == 200, ready.text
    found: dict[str, Any] = ready.json()["details"]
    return found


def test_a_new_generation_is_taken_over_without_a_failed_request(
    own: Library, watching: tuple[Server, httpx.Client], encode: Encode
) -> None:
    server, client = watching
    before = client.get("/readyz").json()["index"]
    picture = encode()
    enough = threading.Event()
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        while not enough.is_set():
            answer = client.post("/recommend?k=3", content=picture)
            seen.append((answer.status_code, answer.json().get("index", answer.text)))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            within(60, lambda: len(seen) > 200)
            after = more_sounds(own)
            within(60, lambda: client.get("/readyz").json()["index"] == after and len(seen) > 1000)
        finally:
            enough.set()
        for one in asking:
            one.result()

    assert set(seen) == {(200, before), (200, after)}
    samples = read_metrics(client)
    assert value(samples, "thud_swaps_total", result="taken") >= 1
    assert value(samples, "thud_loaded", bundle=own.bundle.id, index=after) == 1
    assert value(samples, "thud_loaded", bundle=own.bundle.id, index=before) == 0
    files = Path(f"/proc/{server.process.pid}/fd")
    if files.exists():
        # The one before was closed when its last request was done.
        assert not [link for link in files.iterdir() if before in str(link.readlink())]


def test_a_broken_index_is_refused_and_the_one_before_serves_on(
    own: Library, watching: tuple[Server, httpx.Client], encode: Encode
) -> None:
    _, client = watching
    before = client.get("/readyz").json()["index"]
    assert "refused" not in details(client)
    pointer = own.index / "current"

    pointer.write_text("0123456789abcdef\n")
    within(10, lambda: "0123456789abcdef" in details(client).get("refused", {}).get("reason", ""))
    assert client.post("/recommend", content=encode()).json()["index"] == before
    assert value(read_metrics(client), "thud_swaps_total", result="refused") == 1

    copy = own.index / "generations" / "0123456789abcdef"
    shutil.copytree(own.index / "generations" / before, copy)
    within(10, lambda: "belongs to generation" in details(client)["refused"]["reason"])

    pointer.write_text(before + "\n")
    after = more_sounds(own)
    within(10, lambda: client.get("/readyz").json()["index"] == after)


def test_what_may_pass_is_tried_again(own: Library, watching: tuple[Server, httpx.Client]) -> None:
    server, client = watching
    elsewhere = own.sounds.with_name("elsewhere")
    after = more_sounds(own)
    within(10, lambda: client.get("/readyz").json()["index"] == after)
    # An index is there before the sounds of its library are, and nothing of it changes any more.
    own.sounds.rename(elsewhere)
    pointer = own.index / "current"
    before = pointer.read_text()
    pointer.unlink()
    within(10, lambda: "refused" in details(client))
    pointer.write_text(before)
    within(10, lambda: "--sounds" in details(client)["refused"]["reason"])
    taken = value(read_metrics(client), "thud_swaps_total", result="taken")
    elsewhere.rename(own.sounds)
    within(60, lambda: value(read_metrics(client), "thud_swaps_total", result="taken") == taken + 1)
    assert server.said().count("--sounds") == 1


def test_a_bundle_and_its_index_are_taken_over_together(
    own: Library, watching: tuple[Server, httpx.Client], encode: Encode, tmp_path: Path
) -> None:
    _, client = watching
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    shutil.copytree(other.folder, own.bundle.folder, dirs_exist_ok=True)
    within(10, lambda: own.bundle.id in details(client).get("refused", {}).get("reason", ""))
    assert client.post("/recommend", content=encode()).json()["model"] == own.bundle.id

    build_index(other, own.sounds, own.index)

    within(10, lambda: client.get("/readyz").json()["model"] == other.id)
    assert client.post("/recommend", content=encode()).json()["model"] == other.id


def test_a_hangup_looks_at_once(own: Library) -> None:
    with running(own, "--watch-seconds", "0", says=True) as server, httpx.Client(base_url=server.url) as client:
        after = more_sounds(own)
        assert client.get("/readyz").json()["index"] != after
        server.process.send_signal(signal.SIGHUP)
        within(10, lambda: client.get("/readyz").json()["index"] == after)


@pytest.mark.parametrize("name", ["vectors.faiss", "catalogue.sqlite"])
def test_an_index_cut_short_under_the_server(
    own: Library, watching: tuple[Server, httpx.Client], encode: Encode, name: str
) -> None:
    _, client = watching
    before = client.get("/readyz").json()["index"]
    os.truncate(own.index / "generations" / before / name, 100)

    for answer in (client.post("/recommend", content=encode()), client.get("/sounds")):
        check_problem(answer, 503, "library cannot be read")
        assert answer.headers["retry-after"]
    assert client.get("/livez").status_code == 200
    within(10, lambda: client.get("/readyz").status_code == 503)
    assert name in client.get("/readyz?verbose").json()["detail"]

    build_index(own.bundle, own.sounds, own.index)  # mends it

    within(10, lambda: client.get("/readyz").status_code == 200)
    assert client.post("/recommend", content=encode()).status_code == 200


def test_what_may_pass_is_tried_again_where_nothing_is_watched(own: Library) -> None:
    with running(own, "--watch-seconds", "0", says=True) as server, httpx.Client(base_url=server.url) as client:
        elsewhere = own.sounds.with_name("elsewhere")
        after = more_sounds(own)
        own.sounds.rename(elsewhere)
        server.process.send_signal(signal.SIGHUP)
        within(10, lambda: "--sounds" in server.said())
        elsewhere.rename(own.sounds)
        within(30, lambda: client.get("/readyz").json().get("index") == after)
