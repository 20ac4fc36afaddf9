"""More like this: by a sound of the library, and by one that is sent in any form that is promised."""

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from index.answers.recommendation import Recommendation
from index.answers.recommender import Recommender
from index.answers.search import SoundIndex
from model.runtime import TowerRuntime
from tests.service.conftest import LIBRARY_SIZE, Encode, Library, running
from tests.service.test_app import other, started
from tests.service.test_bad_requests import check_problem
from tests.service.test_metrics import read_metrics, value
from tests.service.test_queue import has, nobody_may_wait
from tests.waiting import within

MEGABYTE = 2**20


def struck(kind: str = "WAV", seconds: float = 0.8, rate: int = 16_000, channels: int = 1, **options: Any) -> bytes:
    """A sound's file: a ring that fades."""
    time = np.arange(int(rate * seconds)) / rate
    ring = 0.3 * np.sin(2 * np.pi * 700 * time) * np.exp(-9 * time)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(ring[:, None], channels, axis=1), rate, format=kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def records(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/sounds?limit=200").json()["sounds"]
    return found


def test_like_a_sound_of_the_library(client: httpx.Client, sound_index: SoundIndex, library: Library) -> None:
    record = sound_index.page(limit=12).sounds[11]

    response = client.get(f"/sounds/{record.id}/similar?k=5")
    answer = response.json()

    expected = sound_index.similar(record.id, 5)
    assert [result["id"] for result in answer["results"]] == [match.record.id for match in expected]
    assert [result["similarity"] for result in answer["results"]] == [match.similarity for match in expected]
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3, 4, 5]
    assert record.id not in {result["id"] for result in answer["results"]}
    assert (answer["model"], answer["index"]) == (library.bundle.id, sound_index.id)
    assert (answer["k"], answer["returned"], answer["library"]) == (5, 5, LIBRARY_SIZE)
    for result in answer["results"]:
        assert client.get(result["url"]).status_code == 200
        assert result["span"][0] <= result["hit"] <= result["span"][1]
    assert {stage.split(";")[0] for stage in response.headers["server-timing"].split(", ")} >= {"queue", "search"}
    everything = client.get(f"/sounds/{record.id}/similar?k=1000").json()
    assert (everything["returned"], everything["next"]) == (LIBRARY_SIZE - 1, None)


@pytest.mark.parametrize("sound", ["00000000000000000000", "0", "x" * 20, "' OR 1=1 --", "%00"])
def test_like_no_sound(client: httpx.Client, sound: str) -> None:
    check_problem(client.get(f"/sounds/{sound}/similar"), 404, "no sound of this id")


def test_a_sound_of_the_library_that_is_sent_finds_itself(
    client: httpx.Client, library: Library, records: list[dict[str, Any]]
) -> None:
    for record in records[::9]:
        audio = (library.sounds / record["path"]).read_bytes()
        answer = client.post("/similar?k=40", content=audio).json()
        first, *others = answer["results"]
        assert (first["id"], first["similarity"]) == (record["id"], pytest.approx(1, abs=1e-5))
        similar = client.get(f"/sounds/{record['id']}/similar?k=40").json()["results"]
        assert {one["id"] for one in others} == {one["id"] for one in similar}


def test_the_answer_is_what_the_towers_and_the_index_say(
    client: httpx.Client, library: Library, sound_index: SoundIndex, tmp_path: Path
) -> None:
    (tmp_path / "struck.wav").write_bytes(struck())
    embedded = TowerRuntime(library.bundle).embed_sound(tmp_path / "struck.wav")

    answer = client.post("/similar?k=7", content=struck()).json()

    expected = sound_index.search(embedded.embedding, 7)
    assert [one["id"] for one in answer["results"]] == [match.record.id for match in expected]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("sent_as", ["a part", "the body", "octets", "no type"])
def test_every_format_goes_in_every_way(client: httpx.Client, kind: str, sent_as: str) -> None:
    sound = struck(kind)
    media_type = {
        "WAV": "audio/x-wav",
        "FLAC": "audio/flac",
        "OGG": "application/ogg",
        "MP3": "audio/mpeg",
        "AIFF": "audio/x-aiff",
    }[kind]
    if sent_as == "a part":
        response = client.post("/similar", files={"sound": ("sound", sound, media_type)})
    else:
        headers = {"the body": {"Content-Type": media_type}, "octets": {"Content-Type": "application/octet-stream"}}
        response = client.post("/similar", content=sound, headers=headers.get(sent_as, {}))

    assert response.status_code == 200, response.text
    assert response.json()["returned"] == 10


def test_what_the_sound_may_be_of(server_with_heads: Any) -> None:
    answer = httpx.post(f"{server_with_heads.url}/similar", content=struck(), timeout=60).json()

    assert len(answer["materials"]) == 17
    assert (answer["recognised"], answer["objects"]) == (None, None)
    assert all(0 <= result["match"] <= 1 for result in answer["results"])


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"hello, I am a text" * 50, 415, "not a readable sound"),
        (b"\0" * 1000, 415, "not a readable sound"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 500, 415, "not a readable sound"),
        (b"\0\0\0\x20ftypM4A " + b"\0" * 500, 415, "not a readable sound"),
        (b"", 422, "empty"),
        (struck()[:3000], 422, "cut short"),
        (struck("FLAC")[:2000], 422, "cut short"),
        (b"RIFF\0\0\0\0WAVE", 422, "not a readable sound"),
        (struck()[:44] + b"\0" * 20_000, 422, ""),
        (struck(seconds=61, rate=8000), 413, "at most 60 s"),
        (struck("FLAC", 3000, 8000), 413, "at most 60 s"),
        (struck(seconds=0.001), 422, "samples"),
    ],
    ids=["text", "zeros", "png", "m4a", "empty", "wav", "flac", "no data", "silent", "long", "bomb", "short"],
)
def test_what_is_no_sound(client: httpx.Client, data: bytes, status: int, words: str) -> None:
    check_problem(client.post("/similar", content=data), status, words)
    check_problem(client.post("/similar", files={"sound": ("x.wav", data, "audio/wav")}), status, words)
    assert client.post("/similar", content=struck()).status_code == 200


def test_sent_in_a_way_that_is_none(client: httpx.Client) -> None:
    sound = struck()
    for kind in ("text/plain", "image/png", "application/json", "video/mp4", "nonsense"):
        answer = client.post("/similar", content=sound, headers={"Content-Type": kind})
        check_problem(answer, 415, "WAV, FLAC, Ogg, MP3, AIFF, CAF, W64 or AU", "audio/wav")
    part = client.post("/similar", files={"sound": ("a.txt", sound, "text/plain")})
    check_problem(part, 415, "text/plain")
    missing = check_problem(client.post("/similar", files={"image": sound}), 422, "no field sound")
    assert [error["field"] for error in missing["errors"]] == ["body.sound"]
    check_problem(client.post("/similar", files=[("sound", sound), ("sound", sound)]), 422, "one sound")
    check_problem(client.post("/similar", content=b"x" * (40 * MEGABYTE)), 413, "33,554,432")
    check_problem(client.get("/similar"), 405)


def test_a_picture_is_no_sound_and_a_sound_no_picture(client: httpx.Client, encode: Encode) -> None:
    check_problem(client.post("/similar", content=encode()), 415)
    check_problem(client.post("/recommend", content=struck()), 415)


def test_nothing_of_it_is_left(library: Library) -> None:
    with running(library) as server:
        for data in (struck(), b"nonsense", struck(seconds=70, rate=8000)):
            httpx.post(f"{server.url}/similar", content=data, timeout=60)
        assert list(server.spool.iterdir()) == []


class _Hanging(Recommender):
    """Takes as long over a sound as the test wants."""

    go_on = threading.Event()
    begun = threading.Event()

    def recommend_by_sound(self, *_: Any, **__: Any) -> Recommendation:
        self.begun.set()
        self.go_on.wait(60)
        return super().recommend_by_sound(struck(), 3)


def test_sounds_and_pictures_wait_in_one_queue(library: Library, encode: Encode, sound_index: SoundIndex) -> None:
    sound = sound_index.page(limit=1).sounds[0].id

    async def ask() -> list[httpx.Response]:
        async with started(library, threads=1, queue_seconds=60) as (client, served):
            nobody_may_wait(client)
            served.replace(other(_Hanging, library))
            first = asyncio.ensure_future(client.post("/similar", content=struck()))
            await has(_Hanging.begun)
            refused = [
                await client.post("/recommend", content=encode()),
                await client.post("/similar", content=struck()),
                await client.get(f"/sounds/{sound}/similar"),
            ]
            # What is not computed does not wait.
            well = [await client.get("/livez"), await client.get("/sounds"), await client.get(f"/sounds/{sound}")]
            _Hanging.go_on.set()
            return [*refused, *well, await first]

    *refused, livez, listed, audio, first = asyncio.run(ask())
    for answer in refused:
        check_problem(answer, 503, "a request would wait for longer than 60 s")
        assert int(answer.headers["retry-after"]) >= 1
    assert {one.status_code for one in (livez, listed, audio, first)} == {200}


def test_all_searches_count_against_the_rate(library: Library, encode: Encode, sound_index: SoundIndex) -> None:
    sound = sound_index.page(limit=1).sounds[0].id
    with (
        running(library, "--rate", "0.001", "--burst", "3") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert client.get(f"/sounds/{sound}/similar").status_code == 200
        assert client.post("/similar", content=struck()).status_code == 200
        assert client.post("/recommend", content=encode()).status_code == 200
        for answer in (
            client.get(f"/sounds/{sound}/similar"),
            client.head(f"/sounds/{sound}/similar"),
            client.post("/similar", content=struck()),
        ):
            assert answer.status_code == 429
        assert client.get(f"/sounds/{sound}/info").status_code == 200
        within(10, lambda: value(read_metrics(client), "thud_rejected_total", reason="rate") == 3)


def test_each_address_has_its_own_number_of_requests(client: httpx.Client, records: list[dict[str, Any]]) -> None:
    sound = records[0]["id"]
    for path in (f"/sounds/{sound}/similar", f"/sounds.zip?id={sound}", f"/sounds.csv?id={sound}"):
        client.get(path)
    client.post("/similar", content=struck())
    counted = [("/sounds/{sound_id}/similar", "GET"), ("/sounds.zip", "GET"), ("/sounds.csv", "GET")]

    def missing() -> list[str]:
        metrics = read_metrics(client)
        asked = [*counted, ("/similar", "POST")]
        return [
            route
            for route, method in asked
            if value(metrics, "thud_requests_total", route=route, method=method, status="200") < 1
        ]

    within(10, lambda: not missing())
