"""A new index or bundle while the service runs: taken over without a failed request, or refused."""

import asyncio
import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.building.build import build_index
from tests.index.test_catalogue import with_noise
from tests.model.test_files import NO_FILES, Put
from tests.service.conftest import Encode, Library, Server, make_library, open_files, running
from tests.service.test_app import started
from tests.service.test_bad_requests import check_problem
from tests.service.test_metrics import read_metrics, value
from tests.tiny_bundle import write_tiny_bundle
from tests.waiting import within


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
    # The one before was closed when its last request was done.
    assert not [name for name in open_files(server.worker) if before in name]


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
    with (
        running(own, "--watch-seconds", "0", says=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        after = more_sounds(own)
        assert client.get("/readyz").json()["index"] != after
        server.process.send_signal(signal.SIGHUP)
        within(10, lambda: client.get("/readyz").json()["index"] == after)


def write_over(path: Path) -> None:
    """Other bytes of the same size in the same file, and its times put back."""
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(byte ^ 0x5A for byte in path.read_bytes()[100:]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("name", ["vectors.f32", "catalogue.sqlite"])
@pytest.mark.parametrize("harm", [write_over, lambda path: os.truncate(path, 100)])
def test_an_index_damaged_under_the_server(
    own: Library,
    watching: tuple[Server, httpx.Client],
    encode: Encode,
    name: str,
    harm: Callable[[Path], None],
) -> None:
    server, client = watching
    picture = encode()

    def answers() -> list[Any]:
        recommended = client.post("/recommend?k=20", content=picture).json()
        sound = recommended["results"][0]["id"]
        paths = ("/sounds?limit=200", "/materials", f"/sounds/{sound}/info")
        return [recommended["results"], *(client.get(path).json() for path in paths)]

    before = answers()
    index = client.get("/readyz").json()["index"]
    harm(own.index / "generations" / index / name)

    # What is in use is private to it and right; that what lies on disk is not, is said.
    assert answers() == before
    within(10, lambda: f"{name} is damaged" in details(client).get("refused", {}).get("reason", ""))
    within(10, lambda: f"not taken over, the one before serves on: {own.index}" in server.said())
    assert answers() == before

    build_index(own.bundle, own.sounds, own.index)  # mends it

    within(10, lambda: value(read_metrics(client), "thud_swaps_total", result="taken") >= 1)
    assert answers() == before


def break_catalogue(library: Library, at: str) -> None:
    """The catalogue as if it had been broken, at a table or index, when its hash was taken."""
    generation = library.index / "generations" / (library.index / "current").read_text().strip()
    broken = with_noise(generation / "catalogue.sqlite", at)
    (generation / "catalogue.sqlite").write_bytes(broken)
    spec = json.loads((generation / "index.json").read_text())
    spec["files"]["catalogue.sqlite"]["sha256"] = hashlib.sha256(broken).hexdigest()
    (generation / "index.json").write_text(json.dumps(spec))


def test_a_catalogue_that_turns_out_to_be_broken(own: Library, encode: Encode) -> None:
    break_catalogue(own, "words_data")
    with running(own, says=True) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.post("/recommend", content=encode()).status_code == 200
        answer = client.get("/sounds", params={"q": "pan"})
        check_problem(answer, 503, "library cannot be read")
        assert answer.headers["retry-after"]


def test_a_catalogue_that_no_answer_can_be_made_of(own: Library) -> None:
    break_catalogue(own, "sounds_by_id")
    command = [sys.executable, "-m", "thud", "serve", "--port", "0", *own.flags]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (tried.returncode, len(tried.stderr.splitlines())) == (1, 1)
    assert "the catalogue cannot be read" in tried.stderr
    assert "run thud index again" in tried.stderr


def test_whatever_stands_where_the_pointer_should_the_next_good_index_is_taken(
    own: Library, watching: tuple[Server, httpx.Client], encode: Encode
) -> None:
    _, client = watching
    for put, _ in NO_FILES.values():
        check_another_pointer(own, client, encode(), put)


def check_another_pointer(own: Library, client: httpx.Client, picture: bytes, put: Put) -> None:
    def refused() -> float:
        return value(read_metrics(client), "thud_swaps_total", result="refused")

    pointer = own.index / "current"
    index, times = client.get("/readyz").json()["index"], refused()
    pointer.unlink()
    put(pointer)
    within(10, lambda: refused() > times)
    assert client.post("/recommend", content=picture).json()["index"] == index
    if pointer.is_dir():
        pointer.rmdir()
    following = more_sounds(own)
    within(10, lambda: client.get("/readyz").json()["index"] == following)


def test_an_index_that_was_replaced_is_given_back(own: Library) -> None:
    async def swap() -> tuple[object, ...]:
        async with started(own, watch_seconds=0.05) as (client, current):
            # As the server does it when it has started: what a cycle holds from here on, nothing frees any more.
            gc.collect()
            gc.freeze()
            gc.disable()
            try:
                first = weakref.ref(current.recommender), weakref.ref(current.recommender.index._store)
                after = more_sounds(own)
                for _ in range(1000):
                    if (await client.get("/readyz")).json()["index"] == after:
                        break
                    await asyncio.sleep(0.02)
                for _ in range(1000):  # it is closed aside
                    if all(one() is None for one in first):
                        break
                    await asyncio.sleep(0.01)
                return tuple(one() for one in first)
            finally:
                gc.enable()
                gc.unfreeze()

    assert asyncio.run(swap()) == (None, None)


def test_what_may_pass_is_tried_again_where_nothing_is_watched(own: Library) -> None:
    with (
        running(own, "--watch-seconds", "0", says=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        elsewhere = own.sounds.with_name("elsewhere")
        after = more_sounds(own)
        own.sounds.rename(elsewhere)
        server.process.send_signal(signal.SIGHUP)
        within(10, lambda: "--sounds" in server.said())
        elsewhere.rename(own.sounds)
        within(30, lambda: client.get("/readyz").json().get("index") == after)
