"""Sounds that are swapped, cut or away under a running server."""

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import httpx
import numpy as np
import pytest
import soundfile

import service.readiness
from index.answers.recommender import Recommender
from index.building.build import build_index
from model.errors import SoundsAwayError
from service.hot_swap import ServedRecommender
from service.problems import ProblemError
from service.readiness import SoundsFolder
from tests.service.conftest import Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_metrics import read_metrics, value
from tests.tiny_bundle import write_tiny_bundle
from tests.waiting import within

LONG = "long.wav"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Three short sounds and one of 8 MB, more than the sockets between two processes hold."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "sounds").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 4_000_000)
    for number in range(3):
        soundfile.write(folder / "sounds" / f"{number}.wav", noise[number : 8000 + number], 16_000)
    soundfile.write(folder / "sounds" / LONG, noise, 16_000)
    bundle = write_tiny_bundle(folder / "bundle")
    build_index(bundle, folder / "sounds", folder / "index")
    return Library(bundle, folder / "sounds", folder / "index")


@pytest.fixture(scope="module")
def running_own(own: Library) -> Iterator[Server]:
    with running(own, says=True) as server:
        yield server


@pytest.fixture
def server(running_own: Server, own: Library, tmp_path: Path) -> Iterator[Server]:
    """The server; its folder of sounds is put back afterwards."""
    shutil.copytree(own.sounds, tmp_path / "kept")
    yield running_own
    if own.sounds.is_dir():
        shutil.rmtree(own.sounds)
    else:
        own.sounds.unlink(missing_ok=True)
    shutil.copytree(tmp_path / "kept", own.sounds)
    within(10, lambda: httpx.get(f"{running_own.url}/readyz", timeout=60).status_code == 200)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def sound(client: httpx.Client, path: str) -> str:
    """The address of the sound at `path`."""
    return next(str(one["url"]) for one in client.get("/sounds").json()["sounds"] if one["path"] == path)


def test_a_sound_of_another_content_is_not_sent_whoever_asks(client: httpx.Client, own: Library) -> None:
    file, url = own.sounds / "1.wav", sound(client, "1.wav")
    etag = client.get(url).headers["etag"]
    before = file.stat()
    swapped = file.with_name("swapped")
    swapped.write_bytes(file.read_bytes()[:-2] + b"\0\0")
    os.utime(swapped, ns=(before.st_atime_ns, before.st_mtime_ns))
    swapped.replace(file)
    assert file.stat().st_size == before.st_size

    for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": etag}, {"If-Match": etag}):
        answer = client.get(url, headers=headers)
        check_problem(answer, 410, "1.wav", "changed")
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
    assert client.head(url).status_code == 410
    assert client.get("/readyz").status_code == 200


def _cut(file: Path) -> None:
    os.truncate(file, 1_000_000)


def _written_over(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as handle:
        handle.seek(7_000_000)
        handle.write(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [_cut, _written_over])
def test_an_answer_that_is_broken_off_is_logged_as_one(
    server: Server, client: httpx.Client, own: Library, change: Callable[[Path], None]
) -> None:
    url = sound(client, LONG)
    said, logged = server.said(), len(server.requests)
    right = (own.sounds / LONG).read_bytes()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        reader.settimeout(60)
        reader.connect(server.address)
        reader.sendall(f"GET {url} HTTP/1.1\r\nHost: thud\r\n\r\n".encode())
        got = reader.recv(1000)
        change(own.sounds / LONG)
        while more := reader.recv(2**20):
            got += more

    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-length: {len(right)}".encode() in head
    assert 0 < len(body) < len(right)
    assert right.startswith(body)
    within(
        10,
        lambda: any(f"{url}" in line and "broken off: damaged_sound" in line for line in server.requests[logged:]),
    )
    within(10, lambda: server.said() != said)
    complaint = server.said().removeprefix(said).splitlines()
    assert len(complaint) == 1
    assert "was broken off: long.wav has changed" in complaint[0]
    assert value(read_metrics(client), "thud_rejected_total", reason="damaged_sound") >= 1


def test_a_client_that_goes_while_it_is_sent_a_sound_is_logged(server: Server, client: httpx.Client) -> None:
    url = sound(client, LONG)
    said = server.said()
    with client.stream("GET", url) as answer:
        next(answer.iter_raw(1000))
    within(10, lambda: any(f"{url}" in line and "broken off: client_gone" in line for line in server.requests))
    assert server.said() == said


def _moved(sounds: Path) -> None:
    shutil.rmtree(sounds)


def _empty(sounds: Path) -> None:
    shutil.rmtree(sounds)
    sounds.mkdir()


def _a_file(sounds: Path) -> None:
    shutil.rmtree(sounds)
    sounds.write_text("")


@pytest.mark.parametrize("away", [_moved, _empty, _a_file])
def test_sounds_that_are_away_come_back(
    server: Server, client: httpx.Client, own: Library, tmp_path: Path, away: Callable[[Path], None]
) -> None:
    url = sound(client, "0.wav")
    data, said = client.get(url).content, server.said()
    away(own.sounds)

    for _ in range(3):
        # At once, although it was there when last looked.
        answer = client.get(url)
        check_problem(answer, 503, "cannot be reached")
        assert answer.headers["retry-after"] == "5"
    check_problem(client.get("/sounds/00000000000000000000"), 404)
    check_problem(client.get("/readyz"), 503, "cannot be reached")
    assert str(own.sounds) not in client.get("/readyz").text
    assert str(own.sounds) in client.get("/readyz?verbose").json()["detail"]
    assert client.get("/livez").status_code == 200
    assert client.get("/sounds").json()["total"] == 4

    if own.sounds.is_dir():
        own.sounds.rmdir()
    own.sounds.unlink(missing_ok=True)
    shutil.copytree(tmp_path / "kept", own.sounds)
    within(10, lambda: client.get("/readyz").status_code == 200)
    assert client.get(url).content == data
    within(10, lambda: server.said().removeprefix(said).count("\n") == 2)
    lines = server.said().removeprefix(said).splitlines()
    assert ["no sound is sent" in lines[0], "there again" in lines[1], len(lines)] == [True, True, 2]


def test_a_single_sound_that_is_gone_is_gone(client: httpx.Client, own: Library) -> None:
    url = sound(client, "2.wav")
    (own.sounds / "2.wav").unlink()

    check_problem(client.get(url), 410, "2.wav", "no longer")
    assert client.get("/readyz").status_code == 200


class _Hanging:
    """Stands for a recommender whose share does not answer until it is `there`."""

    def __init__(self) -> None:
        self.index = self
        self.there = threading.Event()
        self.looks = 0

    def check_sounds(self) -> None:
        self.looks += 1
        self.there.wait(30)

    def close(self) -> None:
        """There is nothing to close."""


def test_a_share_that_does_not_answer_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service.readiness, "FOLDER_SECONDS", 0.05)
    hanging = _Hanging()

    async def asked() -> None:
        with closing(SoundsFolder(ServedRecommender(cast("Recommender", hanging)))) as folder:
            for _ in range(5):
                with pytest.raises(ProblemError, match="cannot be reached") as refused:
                    await folder.check()
                assert refused.value.status_code == 503
            assert folder.busy
            assert folder.away is not None
            hanging.there.set()
            await asyncio.to_thread(within, 10, lambda: not folder.busy)
            await folder.check()
            assert folder.away is None

    with caplog.at_level("INFO", logger="thud"):
        asyncio.run(asked())

    # No thread was begun for those who asked while the first one hung.
    assert hanging.looks <= 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_an_index_whose_sounds_are_not_there_is_not_served(own: Library, tmp_path: Path) -> None:
    from service.hot_swap import open_proved
    from service.load.pixels import PixelBudget
    from service.settings import Settings

    (tmp_path / "empty").mkdir()
    settings = Settings(bundle=own.bundle.folder, index=own.index, sounds=tmp_path / "empty")
    with pytest.raises(Exception, match=r"none of 4 sounds .*--sounds") as refused:
        open_proved(settings, PixelBudget(10**8))
    assert not isinstance(refused.value, SoundsAwayError)
