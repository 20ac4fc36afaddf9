"""A row of a large catalogue that proves damaged while it is served; how an index is opened beside requests."""

import asyncio
import os
import sys
from io import FileIO
from pathlib import Path

import httpx
import pytest

from index import private
from index.building.build import build_index
from index.catalogue import reader
from model.files import FileRecord
from tests.index.catalogues import damage_row
from tests.service.conftest import Encode, Library, make_library
from tests.service.test_app import started
from tests.service.test_bad_requests import check_problem

ROW = 4
SAID = f"row {ROW} of the catalogue is not what Thud writes"


@pytest.fixture
def own(tmp_path: Path) -> Library:
    """A library that the test may change."""
    return make_library(tmp_path)


async def ready_with(client: httpx.AsyncClient, index: str) -> bool:
    for _ in range(1000):
        answer = await client.get("/readyz")
        if answer.status_code == 200 and answer.json()["index"] == index:
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_row_that_turns_out_to_be_damaged(
    own: Library, encode: Encode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "EVERY_ROW_UP_TO", 0)
    monkeypatch.setattr(reader, "_LOOKED_AT", 3)
    monkeypatch.setattr("service.readiness._FRESH_SECONDS", 0.0)
    damage_row(own.index, ROW)

    async def ask() -> None:
        async with started(own, watch_seconds=0.05) as (client, _):
            assert (await client.get("/readyz")).status_code == 200
            first = (await client.get("/sounds", params={"limit": ROW})).json()["sounds"]
            assert len(first) == ROW
            assert SAID not in caplog.text

            damaged = await client.get("/sounds", params={"limit": ROW + 1})
            check_problem(damaged, 503, "the library cannot be read")
            assert damaged.headers["retry-after"]
            assert caplog.text.count(SAID) == 1

            unready = await client.get("/readyz?verbose")
            check_problem(unready, 503, SAID)
            check_problem(await client.get("/readyz"), 503, "cannot recommend sounds at the moment")
            # What does not need the row is answered while others take over.
            assert (await client.get(f"/sounds/{first[0]['id']}/info")).status_code == 200
            check_problem(await client.post("/recommend?k=200", content=encode()), 503, "library cannot be read")

            next(iter(sorted(own.sounds.rglob("*.wav")))).unlink()
            mended = build_index(own.bundle, own.sounds, own.index).spec.id
            assert await ready_with(client, mended)
            assert (await client.get("/sounds", params={"limit": ROW + 1})).status_code == 200

    asyncio.run(ask())
    assert "Traceback" not in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_the_files_of_an_index_are_copied_with_lower_priority_beside_requests(
    own: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[tuple[str, int]] = []
    fill = private._fill

    def noting(out: FileIO, path: Path, record: FileRecord) -> None:
        copied.append((path.name, os.getpriority(os.PRIO_PROCESS, 0)))
        fill(out, path, record)

    monkeypatch.setattr(private, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(private, "_fill", noting)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    lower = min(19, usual + 10)

    async def swap() -> None:
        async with started(own, watch_seconds=0.05) as (client, _):
            # A start is what everybody waits for.
            assert sorted(copied) == [("catalogue.sqlite", usual), ("vectors.f32", usual)]
            copied.clear()
            next(iter(sorted(own.sounds.rglob("*.wav")))).unlink()
            assert await ready_with(client, build_index(own.bundle, own.sounds, own.index).spec.id)
            assert sorted(copied) == [("catalogue.sqlite", lower), ("vectors.f32", lower)]
            assert await asyncio.to_thread(os.getpriority, os.PRIO_PROCESS, 0) == usual

    asyncio.run(swap())
