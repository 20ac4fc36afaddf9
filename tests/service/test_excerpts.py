"""What a page plays and draws of a sound: short excerpts around a hit, and the peaks of its waveform."""

import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import soundfile
from playwright.sync_api import sync_playwright

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue import SoundRecord
from model.errors import LibraryError
from service.excerpts import Excerpts, clip_name, peaks_name
from service.problems import ProblemError
from tests.model.test_stretches import HITS, RATE, hits_of, written
from tests.service.conftest import Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.tiny_bundle import write_tiny_bundle

KINDS = {
    "session.wav": ("WAV", "PCM_16", 2),
    "session.flac": ("FLAC", "PCM_24", 1),
    "session.ogg": ("OGG", "VORBIS", 2),
    "session.mp3": ("MP3", "MPEG_LAYER_III", 2),
    "array.aiff": ("AIFF", "PCM_24", 5),
    "loud.w64": ("W64", "FLOAT", 1),
}
LONG_SECONDS = 90.0


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Files of four hits each in several formats, one of 90 s, one of 20 ms."""
    folder = tmp_path_factory.mktemp("struck")
    (folder / "sounds").mkdir()
    for number, (name, (kind, encoding, channels)) in enumerate(KINDS.items()):
        samples = hits_of(channels, RATE, level=3.0 if name == "loud.w64" else 0.3 + 0.05 * number)
        (folder / "sounds" / name).write_bytes(written(samples, RATE, kind, encoding))
    long = np.tile(hits_of(1, RATE, LONG_SECONDS / 3, level=0.55), (3, 1))
    (folder / "sounds" / "long.wav").write_bytes(written(long, RATE, "WAV", "PCM_16"))
    tick = hits_of(1, RATE, 1.0)[round(0.5 * RATE) :][: round(0.02 * RATE)]
    (folder / "sounds" / "tick.wav").write_bytes(written(tick, RATE, "WAV", "PCM_16"))
    bundle = write_tiny_bundle(folder / "bundle")
    build_index(bundle, folder / "sounds", folder / "index")
    return Library(bundle, folder / "sounds", folder / "index")


@pytest.fixture(scope="module")
def records(struck: Library) -> dict[str, SoundRecord]:
    with SoundIndex.open(struck.index, struck.bundle) as index:
        return {record.path: record for record in index.page(limit=50).sounds}


@pytest.fixture(scope="module")
def struck_server(struck: Library) -> Iterator[Server]:
    with running(struck) as server:
        yield server


@pytest.fixture(scope="module")
def client(struck_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=struck_server.url, timeout=60) as client:
        yield client


def heard(answer: httpx.Response) -> tuple[Any, int]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/flac"
    assert len(answer.content) <= 200_000
    found: tuple[Any, int] = soundfile.read(io.BytesIO(answer.content), always_2d=True)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_each_hit_has_its_excerpt(client: httpx.Client, records: dict[str, SoundRecord], name: str) -> None:
    record = records[name]
    assert record.hits == pytest.approx(HITS, abs=0.02)
    for number, hit in enumerate(record.hits):
        samples, rate = heard(client.get(f"/sounds/{record.id}/clip", params={"hit": hit}))
        assert samples.shape[1] == (KINDS[name][2] if KINDS[name][2] <= 2 else 1)
        assert len(samples) / rate == pytest.approx(record.ends[number] - hit + 0.01, abs=0.01)
        loud = np.abs(samples).max(axis=1)
        assert np.argmax(loud > 0.3 * loud.max()) / rate == pytest.approx(0.01, abs=0.015)
        assert loud.max() <= 1
        assert loud[-1] == 0
        same = [client.get(f"/sounds/{record.id}/clip?hit={hit + less!r}") for less in (0.0, 0.0001, -0.0001)]
        assert len({(one.headers["etag"], one.content) for one in same}) == 1
    main = client.get(f"/sounds/{record.id}/clip")
    assert main.content == client.get(f"/sounds/{record.id}/clip", params={"hit": record.hit}).content


def test_any_moment_can_be_named(client: httpx.Client, records: dict[str, SoundRecord]) -> None:
    record = records["session.wav"]
    # After the first hit has decayed: until the next one.
    samples, rate = heard(client.get(f"/sounds/{record.id}/clip?hit=1.2"))
    assert len(samples) / rate == pytest.approx(record.hits[1] - 1.2 + 0.01, abs=0.01)
    samples, rate = heard(client.get(f"/sounds/{record.id}/clip?hit=0"))
    assert len(samples) / rate == pytest.approx(record.hits[0], abs=0.01)
    samples, rate = heard(client.get(f"/sounds/{record.id}/clip?hit=4.999"))
    assert 0 < len(samples) / rate < 0.02
    tick = records["tick.wav"]
    samples, rate = heard(client.get(f"/sounds/{tick.id}/clip"))
    assert len(samples) / rate == pytest.approx(0.02, abs=0.001)


@pytest.mark.parametrize("hit", ["5", "5.0001", "1e300", "inf", "nan", "-1", "-0.001", "x", "", "1&hit=2"])
def test_a_hit_that_is_none(client: httpx.Client, records: dict[str, SoundRecord], hit: str) -> None:
    problem = check_problem(client.get(f"/sounds/{records['session.wav'].id}/clip?hit={hit}"), 422, "hit")
    assert [error["field"] for error in problem["errors"]] == ["query.hit"]


def test_no_sound_no_excerpt(client: httpx.Client) -> None:
    for path in ("clip", "peaks"):
        for sound in ("0" * 20, "x" * 20, "0"):
            check_problem(client.get(f"/sounds/{sound}/{path}"), 404, "no sound of this id")


def test_it_is_cached_and_not_made_twice(client: httpx.Client, records: dict[str, SoundRecord]) -> None:
    record = records["session.flac"]
    urls = [f"/sounds/{record.id}/{one}" for one in ("clip", "clip?hit=1.75", "peaks", "peaks?count=300")]
    answers = [client.get(url) for url in urls]
    assert len({answer.headers["etag"] for answer in answers}) == 4
    for url, answer in zip(urls, answers, strict=True):
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        etag = answer.headers["etag"]
        again = client.get(url, headers={"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert client.get(url, headers={"If-None-Match": '"another"'}).content == answer.content
        check_problem(client.get(url, headers={"If-Match": '"another"'}), 412, etag)
        head = client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))


def test_many_at_once_get_what_one_gets(client: httpx.Client, records: dict[str, SoundRecord]) -> None:
    urls = [f"/sounds/{one.id}/clip?hit={hit}" for one in records.values() for hit in one.hits] * 2
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.get, urls))
    assert {answer.status_code for answer in answers} == {200}
    assert len({(url, answer.content) for url, answer in zip(urls, answers, strict=True)}) == len(urls) // 2


@pytest.mark.parametrize("name", [*KINDS, "long.wav", "tick.wav"])
def test_the_peaks_are_where_the_hits_are(client: httpx.Client, records: dict[str, SoundRecord], name: str) -> None:
    record = records[name]
    answer = client.get(f"/sounds/{record.id}/peaks?count=100")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["duration"], found["hit"], found["hits"]) == (record.seconds, record.hit, list(record.hits))
    peaks = np.array(found["peaks"])
    assert len(peaks) == 100
    assert 0 <= peaks.min() < peaks.max() <= 1
    for hit in record.hits:
        part = int(100 * hit / record.seconds)
        assert peaks[part : part + 2].max() > 0.4 * peaks.max()
    assert len(client.get(f"/sounds/{record.id}/peaks").json()["peaks"]) == 200


@pytest.mark.parametrize("count", ["15", "1001", "x", "1.5", "-20", "9" * 5000])
def test_a_count_that_is_none(client: httpx.Client, records: dict[str, SoundRecord], count: str) -> None:
    check_problem(client.get(f"/sounds/{records['tick.wav'].id}/peaks?count={count}"), 422, "count")
    check_problem(client.get(f"/sounds/{records['tick.wav'].id}/peaks?counts=20"), 422, "did you mean count?")


def test_a_file_that_has_changed_is_gone(struck: Library, tmp_path: Path) -> None:
    moved = Library(struck.bundle, tmp_path / "sounds", tmp_path / "index")
    shutil.copytree(struck.sounds, moved.sounds)
    build_index(moved.bundle, moved.sounds, moved.index)
    with SoundIndex.open(moved.index, moved.bundle) as index:
        ids = {record.path: record.id for record in index.page(limit=50).sounds}
    with running(moved, says=True) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.get(f"/sounds/{ids['session.wav']}/clip").status_code == 200
        (moved.sounds / "session.wav").write_bytes(bytes(100_000))
        (moved.sounds / "session.mp3").unlink()
        for path in ("clip", "clip?hit=0.5", "peaks"):
            for name in ("session.wav", "session.mp3"):
                check_problem(client.get(f"/sounds/{ids[name]}/{path}"), 410)
        assert client.get(f"/sounds/{ids['session.flac']}/clip").status_code == 200
        shutil.rmtree(moved.sounds)
        away = client.get(f"/sounds/{ids['session.flac']}/clip")
        assert away.status_code == 503
        assert str(tmp_path) not in away.text


def test_few_are_kept_and_few_may_wait(struck: Library, records: dict[str, SoundRecord]) -> None:
    record = records["session.wav"]
    excerpts = Excerpts(most_bytes=1)

    async def ask(hits: tuple[float, ...]) -> list[bytes | ProblemError]:
        found: dict[float, bytes | ProblemError] = {}

        async def one(hit: float) -> None:
            sound = index.audio(record)
            try:
                found[hit] = await excerpts.clip(record, sound, hit)
            except ProblemError as error:
                found[hit] = error
            finally:
                sound.close()

        with SoundIndex.open(struck.index, struck.bundle) as index:
            async with anyio.create_task_group() as group:
                for hit in hits:
                    group.start_soon(one, hit)
        return list(found.values())

    assert all(isinstance(one, bytes) for one in anyio.run(ask, HITS))
    assert len(excerpts._kept) == 1
    many = anyio.run(ask, tuple(0.5 + number / 100 for number in range(100)))
    refused = [one for one in many if isinstance(one, ProblemError)]
    assert 0 < len(refused) < 40
    for error in refused:
        assert (error.status_code, error.reason) == (503, "queue_full")
        assert error.headers is not None
        assert int(error.headers["Retry-After"]) >= 1


def test_a_file_that_changes_while_it_is_decoded_is_gone(struck: Library, tmp_path: Path) -> None:
    shutil.copytree(struck.sounds, tmp_path / "sounds")

    async def one() -> None:
        with SoundIndex.open(struck.index, struck.bundle, sounds=tmp_path / "sounds") as index:
            record = next(one for one in index.page(limit=50).sounds if one.path == "session.flac")
            sound = index.audio(record)
            (tmp_path / "sounds" / record.path).write_bytes(b"\0" * record.bytes)
            try:
                await Excerpts().clip(record, sound, 0.5)
            finally:
                sound.close()

    with pytest.raises(LibraryError, match="has changed"):
        anyio.run(one)


def test_what_another_index_finds_in_a_sound_is_made_anew(struck: Library, records: dict[str, SoundRecord]) -> None:
    record = records["session.wav"]
    # The same content, in which another bundle has found its last two hits alone, which end earlier.
    other = replace(
        record, hit=record.hits[2], hits=record.hits[2:], ends=tuple(end - 0.1 for end in record.ends[2:])
    )
    excerpts = Excerpts()

    async def ask(one: SoundRecord) -> tuple[bytes, bytes]:
        with SoundIndex.open(struck.index, struck.bundle) as index:
            sound = index.audio(record)
            try:
                return await excerpts.clip(one, sound, record.hits[2]), await excerpts.peaks(one, sound, 50)
            finally:
                sound.close()

    (clip, peaks), (other_clip, other_peaks) = anyio.run(ask, record), anyio.run(ask, other)
    assert json.loads(other_peaks) == json.loads(peaks) | {"hit": other.hit, "hits": list(other.hits)}
    lengths = [soundfile.info(io.BytesIO(one)).duration for one in (clip, other_clip)]
    assert lengths[0] - lengths[1] == pytest.approx(0.1, abs=0.01)
    assert anyio.run(ask, record) == (clip, peaks)
    assert clip_name(record, 1.0) != clip_name(other, 1.0)
    assert peaks_name(record, 50) != peaks_name(other, 50)


def test_no_more_is_decoded_than_is_bearable(
    struck: Library, records: dict[str, SoundRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.stretches.LONGEST_DECODED", 3.0)
    regular = records["session.ogg"]
    # Of another length than its stream declares, as an Ogg file with a gap: read from its beginning.
    odd = replace(regular, seconds=regular.seconds + 1)

    async def ask(record: SoundRecord, hit: float) -> bytes:
        with SoundIndex.open(struck.index, struck.bundle) as index:
            sound = index.audio(record)
            try:
                return await Excerpts().clip(record, sound, hit)
            finally:
                sound.close()

    assert anyio.run(ask, odd, HITS[0])
    assert anyio.run(ask, regular, HITS[-1])
    with pytest.raises(ProblemError, match="at most 3 s are") as raised:
        anyio.run(ask, odd, HITS[-1])
    assert raised.value.status_code == 422


@pytest.mark.skipif(shutil.which("chromium") is None, reason="the browser chromium is not installed")
def test_a_browser_decodes_them_all(records: dict[str, SoundRecord], struck_server: Server) -> None:
    decode = """async (url) => {
        const context = new OfflineAudioContext(1, 1, 48000);
        const answer = await fetch(url);
        return (await context.decodeAudioData(await answer.arrayBuffer())).duration;
    }"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(struck_server.url)
        for record in records.values():
            end = record.ends[record.hits.index(record.hit)]
            assert page.evaluate(decode, f"/sounds/{record.id}/clip") == pytest.approx(
                min(2.0, end - max(0.0, record.hit - 0.01)), abs=0.01
            )
        browser.close()
