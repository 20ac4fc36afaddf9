"""What holds for the application as a whole: its documentation, its probes, its behaviour when it breaks."""

import asyncio
import itertools
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import httpx
import pytest

from index.answers.recommendation import Recommendation
from index.answers.recommender import Recommender
from index.answers.search import SoundIndex
from index.catalogue import Page
from model.errors import BundleError, DamagedIndexError
from model.picture_format import PictureLimits
from model.runtime import TowerRuntime
from service.app import create_app
from service.hot_swap import ServedRecommender
from service.load.pixels import PixelBudget
from service.metrics import Metrics
from service.settings import Settings
from service.state import state_of
from tests.service.conftest import LIBRARY_SIZE, Encode, Library, running
from tests.service.test_bad_requests import check_problem


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_the_probes(client: httpx.Client, library: Library) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["model"], ready["library"]) == ("ready", library.bundle.id, LIBRARY_SIZE)


def test_a_ready_service_says_in_what_it_computes(client: httpx.Client) -> None:
    assert client.get("/readyz?verbose").json()["details"]["precision"] == "float32"
    assert "details" not in client.get("/readyz").json()


def test_the_documentation_needs_no_internet(client: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        page = client.get(path)
        assert page.status_code == 200
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert loaded
        for address in loaded:
            assert address.startswith("/"), address
            assert client.get(address).status_code == 200


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/recommend",
        "/recommend/map",
        "/similar",
        "/sounds",
        "/sounds.csv",
        "/sounds.json",
        "/sounds.zip",
        "/sounds/{sound_id}",
        "/sounds/{sound_id}/clip",
        "/sounds/{sound_id}/peaks",
        "/sounds/{sound_id}/similar",
        "/sounds/{sound_id}/info",
        "/materials",
        "/livez",
        "/readyz",
        "/metrics",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation.get("description"), path
            for status, response in operation["responses"].items():
                if status != "default" and int(status) < 400:
                    continue
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (path, status)
                assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            found = {part["$ref"]} if "$ref" in part else set()
            return found.union(*(references(value) for value in part.values()))
        return set().union(*(references(value) for value in part)) if isinstance(part, list) else set()

    found = references(document)
    assert "#/components/schemas/Problem" in found
    for reference in found:
        part = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_both_kinds_of_body_are_described(document: dict[str, Any]) -> None:
    body = document["paths"]["/recommend"]["post"]["requestBody"]

    form = body["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"]["format"] == "binary"  # by this Swagger UI offers to choose a file
    assert form["required"] == ["image"]
    for kind in ("image/jpeg", "image/png", "image/webp", "application/octet-stream"):
        assert body["content"][kind]["schema"] == {"type": "string", "format": "binary"}


def test_the_page_may_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")

    policy = page.headers["content-security-policy"]
    for rule in ("default-src 'self'", "img-src 'self' blob:", "media-src 'self'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert client.head("/").status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"page.js", "base.css"} <= {address.rpartition("/")[2] for address in loaded}
    for address in loaded:
        assert client.get(address).status_code == 200
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", page.text)


def test_under_a_prefix(library: Library, encode: Encode) -> None:
    with (
        running(library, "--root-path", "/thud") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        # A reverse proxy may take the prefix away or leave it.
        for prefix in ("", "/thud"):
            answer = client.post(f"{prefix}/recommend?k=1", files={"image": encode()}).json()
            url = answer["results"][0]["url"]
            assert url == f"/thud/sounds/{answer['results'][0]['id']}"
            assert client.get(f"{prefix}/page/page.js").status_code == 200
            assert client.get(f"{prefix}/static-offline-docs/swagger-ui.css").status_code == 200
        assert client.get("/thud").headers["location"] == "/thud/"
        assert client.get("/thud/").text == client.get("/").text
        assert client.get(url).status_code == 200
        assert client.get(f"{url}/info").json()["url"] == url
        page = client.get("/thud/sounds?limit=30").json()
        assert page["next"].startswith("/thud/sounds?")
        assert client.get(page["next"]).status_code == 200
        assert "/thud/openapi.json" in client.get("/thud/docs").text
        assert client.get("/thud/openapi.json").json()["servers"] == [{"url": "/thud"}]


class _BrokenRecommender(Recommender):
    def recommend(self, *_: object, **__: object) -> Recommendation:
        raise RuntimeError("secret words in /a/secret/place")


class _HangingRecommender(Recommender):
    go_on = threading.Event()

    def recommend(self, *_: object, **__: object) -> Recommendation:
        self.go_on.wait()
        raise BundleError("it hung")


@asynccontextmanager
async def started(library: Library, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, ServedRecommender]]:
    """The application without a server, and a client of it."""
    app = create_app(Settings(bundle=library.bundle.folder, index=library.index, **settings), Metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://thud", timeout=30) as client,
    ):
        yield client, state_of(app).served


def other(kind: type[Recommender], library: Library) -> Recommender:
    index = SoundIndex.open(library.index, library.bundle)
    return kind(TowerRuntime(library.bundle), None, index, PictureLimits(), PixelBudget(10**9))


def test_a_clock_that_jumps_changes_nothing(
    library: Library, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> list[int]:
        async with started(library, rate=0.001, burst=3) as (client, _):
            statuses, now = [], time.time()
            for seconds in (0.0, 1e9, -1e9, 0.0):
                monkeypatch.setattr(time, "time", partial(float, now + seconds))
                statuses.append((await client.post("/recommend", content=encode())).status_code)
                statuses.append((await client.get("/readyz")).status_code)
            return statuses

    assert asyncio.run(ask()) == [200, 200, 200, 200, 200, 200, 429, 200]


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_a_picture_of_an_iphone_is_told_what_to_do(
    library: Library, monkeypatch: pytest.MonkeyPatch, brand: bytes
) -> None:
    monkeypatch.setattr("model.picture_format.reads_heic", lambda: False)
    picture = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + b"x" * 500

    async def ask() -> httpx.Response:
        async with started(library) as (client, _):
            return await client.post("/recommend", files={"image": picture})

    check_problem(asyncio.run(ask()), 415, "JPEG, PNG, WebP or AVIF", "HEIC", "iPhone", "as JPEG")


def test_a_service_that_hangs_is_not_ready_but_alive(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.readiness.PROBE_SECONDS", 0.1)

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        async with started(library) as (client, served):
            served.replace(other(_HangingRecommender, library))
            try:
                return await client.get("/readyz"), await client.get("/livez")
            finally:
                _HangingRecommender.go_on.set()

    unready, alive = asyncio.run(ask())

    check_problem(unready, 503)
    assert alive.status_code == 200


def test_a_crash_is_a_problem_that_tells_nothing(library: Library, encode: Encode) -> None:
    async def ask() -> tuple[httpx.Response, ...]:
        async with started(library) as (client, served):
            served.replace(other(_BrokenRecommender, library))
            during = [
                await client.post("/recommend", files={"image": encode()}),
                await client.get("/readyz"),
                await client.get("/livez"),
            ]
            served.replace(other(Recommender, library))
            await asyncio.sleep(1.1)  # a probe is shared for a second
            return *during, await client.get("/readyz")

    crashed, unready, alive, recovered = asyncio.run(ask())

    check_problem(crashed, 500)
    check_problem(unready, 503)
    for response in (crashed, unready):
        assert "secret" not in response.text
    assert (alive.status_code, recovered.status_code) == (200, 200)


def test_an_index_that_cannot_be_read_is_no_failure_of_the_service(
    library: Library,
    encode: Encode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(self: object, query: str, *parameters: object, **options: object) -> list[Any]:
        raise DamagedIndexError("malformed /a/secret")

    sound = "00112233445566778899"

    async def ask() -> list[httpx.Response]:
        async with started(library) as (client, _):
            monkeypatch.setattr("index.catalogue.connection.Connection.fetch", broken)
            paths = ["/sounds", "/sounds?q=pan", f"/sounds.zip?id={sound}"]
            paths += [f"/sounds/{sound}{rest}" for rest in ("", "/info", "/similar")]
            found = [await client.get(path) for path in paths]
            return [*found, await client.post("/recommend", files={"image": encode()})]

    for response in asyncio.run(ask()):
        check_problem(response, 503, "the library cannot be read")
        assert int(response.headers["retry-after"]) > 0
        assert "secret" not in response.text
    assert caplog.text.count("/a/secret") == 7
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/static-offline-docs/swagger-ui.css", "/openapi.json"])
def test_whatever_is_no_sound_is_sent_as_a_whole(client: httpx.Client, path: str) -> None:
    whole = client.get(path)
    assert "accept-ranges" not in whole.headers
    for given in ("foo", "=-", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=0-3", "bytes=0-1,3-4", "bytes=99999999-"):
        for method in ("GET", "HEAD"):
            answer = client.request(method, path, headers={"Range": given})
            assert (answer.status_code, "content-range" in answer.headers) == (200, False)
            assert answer.headers["content-length"] == whole.headers["content-length"]
            assert answer.content == (whole.content if method == "GET" else b"")


class _Slow:
    """A text search that takes until the test, or its deadline, ends it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, _: SoundIndex, *__: object, until: float) -> Page:
        if not self.go_on.wait(until - monotonic()):
            raise TimeoutError
        return Page([], 0, None)


def test_many_searches_for_words_hold_nothing_else_up(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = _Slow()
    monkeypatch.setattr(SoundIndex, "find", slow)

    async def ask() -> tuple[list[httpx.Response], httpx.Response]:
        async with started(library) as (client, served):
            sound = served.recommender.index.page(limit=1).sounds[0].id
            texts = [asyncio.ensure_future(client.get("/sounds?q=a")) for _ in range(60)]
            async with asyncio.timeout(20):
                for one in itertools.islice(asyncio.as_completed(texts), 30):
                    await one
            audio = await asyncio.wait_for(client.get(f"/sounds/{sound}"), 10)
            slow.go_on.set()
            return await asyncio.gather(*texts), audio

    texts, audio = asyncio.run(ask())
    assert audio.status_code == 200
    refused = [one for one in texts if one.status_code != 200]
    assert 0 < len(texts) - len(refused) < 30
    for one in refused:
        check_problem(one, 503, "wait already")
        assert int(one.headers["retry-after"]) >= 1


def test_a_search_for_words_has_a_deadline(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoundIndex, "find", _Slow())
    monkeypatch.setattr("service.routes.library._TEXT_SECONDS", 0.2)

    async def ask() -> list[httpx.Response]:
        async with started(library) as (client, _):
            return await asyncio.gather(*(client.get("/sounds?q=a") for _ in range(5)))

    for answer in asyncio.run(ask()):
        check_problem(answer, 503, "within 0.2 s")
        assert int(answer.headers["retry-after"]) >= 1
