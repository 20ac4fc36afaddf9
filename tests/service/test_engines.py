"""The service over an index in a Milvus and over sounds in a store: the same answers, and 503 while one is away."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from index.building.build import build_index
from index.building.content import sound_id
from index.milvus.connection import MilvusConnection
from index.milvus.pointers import current_of
from tests.index.milvus.lite import new_address
from tests.index.stored import Store, moto_server, new_store
from tests.service.conftest import Library, make_library, running
from tests.tiny_bundle import write_shade
from tests.waiting import within


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    write_shade(tmp_path / "shade.png", 90)
    return (tmp_path / "shade.png").read_bytes()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    return new_store(server, monkeypatch)


def test_an_index_in_a_milvus(
    library: Library, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    address = new_address()
    build_index(library.bundle, library.sounds, address)
    answers = []
    for one in (library, replace(library, index=address)):  # type: ignore[arg-type]
        flags = ("--watch-seconds", "0.2", "--milvus-seconds", "5")
        with running(one, *flags, says=True) as server, httpx.Client(base_url=server.url, timeout=30) as client:
            asked = client.post("/recommend?k=7", content=picture)
            assert asked.status_code == 200
            page = client.get("/sounds?q=pan&limit=5").json()
            one_id = page["sounds"][0]["id"]
            similar = client.get(f"/sounds/{one_id}/similar").json()["results"]
            answers.append((asked.json()["results"], similar, client.get("/materials").json(), page["total"]))
            assert client.get(f"/sounds/{one_id}").status_code == 200
            if one is library:
                continue
            with closing(MilvusConnection(address)) as connection:
                connection.call("drop_collection", current_of(connection).collection)
            gone = client.post("/recommend", content=picture)
            assert (gone.status_code, gone.json()["detail"]) == (503, "the library does not answer at the moment")
            assert int(gone.headers["Retry-After"]) >= 1
            for path in (f"/sounds/{one_id}", "/sounds", f"/sounds/{one_id}/similar", "/readyz"):
                assert client.get(path).status_code == 503, path
            assert "does not exist" in client.get("/readyz?verbose").json()["detail"]
            metrics = client.get("/metrics").text
            assert 'reason="engine_away"' in metrics
            build_index(library.bundle, library.sounds, address)
            within(20, lambda: client.get("/readyz").status_code == 200)
            assert client.post("/recommend?k=7", content=picture).json()["results"] == answers[0][0]
    assert answers[0] == answers[1]


def test_sounds_in_a_store(library: Library, store: Store, tmp_path: Path) -> None:
    store.put_folder(library.sounds, "in/")
    build_index(library.bundle, store.address("in/"), tmp_path / "index")
    in_store = replace(library, index=tmp_path / "index")
    by_id = {sound_id(file): file.read_bytes() for file in library.sounds.rglob("*") if file.is_file()}
    with running(in_store, says=True) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        for sound in client.get("/sounds?limit=40").json()["sounds"][::7]:
            record = client.get(f"{sound['url']}/info").json()
            whole = client.get(sound["url"])
            content = by_id[record["id"]]
            assert whole.content == content
            part = client.get(sound["url"], headers={"Range": "bytes=44-99"})
            assert (part.status_code, part.content) == (206, content[44:100])
            assert client.get(f"{sound['url']}/clip").status_code == 200
        ids = [sound["id"] for sound in client.get("/sounds?limit=3").json()["sounds"]]
        assert client.get("/sounds.zip", params={"id": ids}).content[:2] == b"PK"
    with running(in_store, "--sounds-link-seconds", "60", says=True) as server:
        first = httpx.get(f"{server.url}/sounds").json()["sounds"][0]
        linked = httpx.get(f"{server.url}{first['url']}")
        assert (linked.status_code, linked.headers["Cache-Control"]) == (307, "no-store")
        tag = httpx.head(f"{server.url}{first['url']}")
        assert tag.status_code == 200
        had = httpx.get(f"{server.url}{first['url']}", headers={"If-None-Match": tag.headers["ETag"]})
        assert had.status_code == 304
        assert (
            httpx.get(linked.headers["Location"]).content
            == httpx.get(f"{server.url}{first['url']}", headers={"Sec-Fetch-Site": "same-origin"}).content
        )
    # The same sounds on the disk, for an index that was made of a store.
    with running(in_store, "--sounds", str(library.sounds)) as server:
        assert httpx.get(f"{server.url}{first['url']}").status_code == 200
