"""A service over a Milvus that is killed, paused, emptied and given other generations, while people ask."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.address import MilvusAddress
from index.answers.search import SoundIndex
from index.building.build import build_index
from model.errors import LibraryError
from tests.engines.servers import MilvusServer, wait_until
from tests.service.conftest import Library, Server, make_library, running
from tests.tiny_bundle import write_shade

_CLIENTS = 4
_PATIENCE_SECONDS = 60.0
_DRAIN_SECONDS = 4.0

Answer = tuple[Any, ...]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The library with its index in a folder, whose answers are right."""
    return make_library(tmp_path_factory.mktemp("library"))


@dataclass
class Load:
    """What clients were answered: when, with which status, the index and the sounds."""

    answers: list[tuple[float, int, Answer]] = field(default_factory=list)

    def since(self, moment: float) -> list[tuple[float, int, Answer]]:
        return [one for one in self.answers if one[0] >= moment]

    def wrong(self, expected: dict[str, Answer]) -> list[tuple[float, int, Answer]]:
        """Answers that are neither right nor 503."""
        return [
            one for one in self.answers if not (one[1] == 503 or (one[1] == 200 and expected[one[2][0]] == one[2]))
        ]


@contextmanager
def under_load(server: Server, picture: bytes) -> Iterator[Load]:
    load, stop = Load(), threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=30) as client:
            while not stop.is_set():
                load.answers.append((time.monotonic(), *asked(server, picture, client)))
                time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def asked(server: Server, picture: bytes, client: httpx.Client) -> tuple[int, Answer]:
    response = client.post(f"{server.url}/recommend?k=5", content=picture, headers={"Content-Type": "image/png"})
    if response.status_code != 200:
        assert response.status_code != 503 or int(response.headers["Retry-After"]) >= 1
        return response.status_code, ()
    answer = response.json()
    return 200, (answer["index"], *((one["id"], one["score"]) for one in answer["results"]))


def right(library: Library, picture: bytes) -> dict[str, Answer]:
    """The answer of the index in the folder, by the index's id."""
    with running(library) as server, httpx.Client(timeout=30) as client:
        status, answer = asked(server, picture, client)
        assert status == 200
        return {str(answer[0]): answer}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("picture") / "shade.png"
    write_shade(file, 90)
    return file.read_bytes()


@contextmanager
def served(files: Library, address: MilvusAddress, *flags: str) -> Iterator[Server]:
    in_milvus = replace(files, index=address)  # type: ignore[arg-type]
    token = {"THUD_MILVUS_TOKEN": address.token}
    own = ("--watch-seconds", "0.5", "--milvus-seconds", "2", *flags)
    with running(in_milvus, *own, env=token, says=True) as server:
        yield server


def published(files: Library, address: MilvusAddress, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(files.index.parent / "caches"))
    build_index(files.bundle, sounds, replace(address, seconds=20))


def ready(server: Server) -> int:
    return httpx.get(f"{server.url}/readyz", timeout=30).status_code


def recovers(server: Server, load: Load, returned: float) -> None:
    """Wait until answers are right again, and ready is said, by itself."""
    wait_until(lambda: any(status == 200 for _, status, _ in load.since(returned)), "no answer", _PATIENCE_SECONDS)
    wait_until(lambda: ready(server) == 200, "not ready", _PATIENCE_SECONDS)
    settled = time.monotonic()
    time.sleep(1)
    assert {status for _, status, _ in load.since(settled)} == {200}


def test_it_is_killed_and_paused_and_emptied(
    milvus: MilvusServer, files: Library, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = milvus.address("killed", drain_seconds=_DRAIN_SECONDS)
    published(files, address, files.sounds, monkeypatch)
    expected = right(files, picture)
    with served(files, address) as service, under_load(service, picture) as load:
        wait_until(lambda: len(load.answers) > 20, "nobody is answered")
        assert {status for _, status, _ in load.answers} == {200}
        milvus.kill()
        away = time.monotonic()
        wait_until(lambda: any(status == 503 for _, status, _ in load.since(away)), "it is not noticed")
        wait_until(lambda: ready(service) == 503, "it is still ready")
        milvus.start()
        recovers(service, load, time.monotonic())

        milvus.signal(signal.SIGSTOP)
        time.sleep(20)
        assert ready(service) == 503
        assert load.answers[-1][1] == 503
        milvus.signal(signal.SIGCONT)
        recovers(service, load, time.monotonic())

        milvus.kill()
        shutil.rmtree(milvus.folder / "data" / "data")
        milvus.start()
        emptied = time.monotonic()
        time.sleep(3)
        assert {status for _, status, _ in load.since(emptied)} == {503}
        assert ready(service) == 503
        published(files, address, files.sounds, monkeypatch)
        recovers(service, load, time.monotonic())
        assert not load.wrong(expected)


def test_generations_are_swapped(
    milvus: MilvusServer, files: Library, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = milvus.address("swapped", drain_seconds=_DRAIN_SECONDS)
    published(files, address, files.sounds, monkeypatch)
    expected = right(files, picture)
    first = next(iter(expected))
    # The library without what was recommended first.
    best = expected[first][1][0]
    shutil.copytree(files.sounds, tmp_path / "sounds")
    with SoundIndex.open(files.index, files.bundle) as index:
        record = index.sound(best)
        assert record is not None
        (tmp_path / "sounds" / record.path).unlink()
    build_index(files.bundle, tmp_path / "sounds", tmp_path / "index")
    expected |= right(Library(files.bundle, tmp_path / "sounds", tmp_path / "index"), picture)
    assert len(expected) == 2
    with served(files, address, "--sounds", str(files.sounds)) as service, under_load(service, picture) as load:
        wait_until(lambda: len(load.answers) > 20, "nobody is answered")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other caches"))
        build_index(files.bundle, tmp_path / "sounds", replace(address, seconds=20), replace=True)
        dropped = time.monotonic()
        time.sleep(2)
        assert not load.wrong(expected)
        assert {status for _, status, _ in load.answers} == {200}  # not one was refused
        assert {answer[0] for _, _, answer in load.since(dropped)} == set(expected) - {first}
        indexes = [answer[0] for _, _, answer in sorted(load.answers)]
        assert indexes.count(first) > 0


def test_a_wrong_token_is_said(
    milvus: MilvusServer, files: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "caches"))
    for token in ("", "root:wrong-secret"):
        with pytest.raises(LibraryError) as refused:
            build_index(files.bundle, files.sounds, milvus.address("guarded", token=token, seconds=3))
        assert "does not answer" in str(refused.value)
        assert "wrong-secret" not in str(refused.value)
