"""Sounds whose files browsers do not play: sent as FLAC, the file itself with ?original."""

import io
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from playwright.sync_api import sync_playwright

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue import SoundRecord
from model.errors import LibraryError, SoundError
from service.played import PlayedCopies
from service.problems import ProblemError
from tests.service.conftest import Library, Server, running
from tests.tiny_bundle import write_tiny_bundle

RATE = 44_100
KINDS = {
    "adpcm.wav": ("WAV", "MS_ADPCM", 1, RATE),
    "gsm.wav": ("WAV", "GSM610", 1, RATE),
    "double.wav": ("WAV", "DOUBLE", 2, RATE),
    "array.wav": ("WAVEX", "PCM_16", 64, RATE),
    "slow.wav": ("WAV", "PCM_16", 1, 2_000),
    "session.aiff": ("AIFF", "PCM_24", 2, 96_000),
    "loop.caf": ("CAF", "PCM_16", 2, RATE),
    "field.w64": ("W64", "FLOAT", 1, RATE),
    "old.au": ("AU", "ULAW", 1, RATE),
    "plain.wav": ("WAV", "PCM_16", 2, RATE),
}


def struck(channels: int, rate: int) -> npt.NDArray[np.float32]:
    time = np.arange(rate) / rate
    hit = 0.5 * np.exp(-8 * time) * np.sin(2 * np.pi * 440 * time)
    return np.repeat(hit[:, None], channels, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "sounds").mkdir()
    for name, (kind, encoding, channels, rate) in KINDS.items():
        gain = 4 if name == "double.wav" else 1  # up to twice full scale
        soundfile.write(folder / "sounds" / name, gain * struck(channels, rate), rate, encoding, format=kind)
    plain = (folder / "sounds" / "plain.wav").read_bytes()
    (folder / "sounds" / "behind zeros.wav").write_bytes(bytes(3000) + plain)
    flac = io.BytesIO()
    soundfile.write(flac, struck(1, RATE), RATE, format="FLAC")
    (folder / "sounds" / "joined.flac").write_bytes(2 * flac.getvalue())
    bundle = write_tiny_bundle(folder / "bundle")
    said: list[str] = []
    build_index(bundle, folder / "sounds", folder / "index", say=said.append)
    assert any("browsers cannot play 11 of the sounds" in line for line in said)
    return Library(bundle, folder / "sounds", folder / "index")


@pytest.fixture(scope="module")
def records(odd: Library) -> dict[str, SoundRecord]:
    with SoundIndex.open(odd.index, odd.bundle) as index:
        return {record.path: record for record in index.page(limit=50).sounds}


@pytest.fixture(scope="module")
def odd_server(odd: Library) -> Iterator[Server]:
    with running(odd) as server:
        yield server


@pytest.fixture
def odd_client(odd_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=odd_server.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("name", KINDS)
def test_it_is_sent_as_flac_and_the_file_where_that_is_asked_for(
    odd: Library, records: dict[str, SoundRecord], odd_client: httpx.Client, name: str
) -> None:
    record, (kind, _, channels, rate) = records[name], KINDS[name]
    content = (odd.sounds / name).read_bytes()
    sent = odd_client.get(f"/sounds/{record.id}")
    assert sent.status_code == 200
    if name == "plain.wav":
        assert record.playable
        assert sent.content == content
    else:
        assert not record.playable
        assert sent.headers["content-type"] == "audio/flac"
        assert sent.headers["content-disposition"] == f'inline; filename="{Path(name).stem}.flac"'
        assert "immutable" not in sent.headers["cache-control"]
        samples, heard_rate = soundfile.read(io.BytesIO(sent.content), always_2d=True)
        assert heard_rate == min(48_000, max(8_000, rate))
        assert samples.shape[1] == (channels if channels <= 2 else 1)
        assert len(samples) / heard_rate == pytest.approx(1.0, abs=0.03)
        loudest = np.abs(samples).max()
        assert loudest == pytest.approx(1.0 if name == "double.wav" else 0.5, abs=0.08)
    original = odd_client.get(f"/sounds/{record.id}?original")
    assert original.content == content
    assert original.headers["content-type"] == record.media_type
    assert original.headers["etag"] == f'"{record.id}"'
    assert (original.headers["etag"] == sent.headers["etag"]) == record.playable
    assert record.format == kind


def test_the_copy_comes_in_parts_and_is_not_sent_again(
    records: dict[str, SoundRecord], odd_client: httpx.Client
) -> None:
    url = f"/sounds/{records['session.aiff'].id}"
    head = odd_client.head(url)
    whole = odd_client.get(url)
    assert head.content == b""
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    assert head.headers["content-type"] == "audio/flac"
    etag = whole.headers["etag"]
    part = odd_client.get(url, headers={"Range": "bytes=100-199", "If-Range": etag})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert odd_client.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert odd_client.get(url, headers={"If-Match": f'"{records["session.aiff"].id}"'}).status_code == 412
    outside = odd_client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert outside.status_code == 416
    assert odd_client.head(f"{url}?original").headers["content-length"] == str(records["session.aiff"].bytes)


def test_many_at_once_get_the_same(records: dict[str, SoundRecord], odd_client: httpx.Client) -> None:
    urls = [f"/sounds/{record.id}" for record in records.values()] * 3
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(odd_client.get, urls))
    assert {answer.status_code for answer in answers} == {200}
    assert len({(url, answer.content) for url, answer in zip(urls, answers, strict=True)}) == len(records)


def test_original_is_a_word_or_nothing(records: dict[str, SoundRecord], odd_client: httpx.Client) -> None:
    url = f"/sounds/{records['old.au'].id}"
    assert odd_client.get(f"{url}?original=maybe").status_code == 422
    types = {word: odd_client.head(f"{url}?original={word}").headers["content-type"] for word in ("", "1", "true")}
    assert set(types.values()) == {records["old.au"].media_type}
    for word in ("0", "false"):
        assert odd_client.head(f"{url}?original={word}").headers["content-type"] == "audio/flac"


def test_few_copies_are_kept(odd: Library, records: dict[str, SoundRecord]) -> None:
    copies = PlayedCopies(most_bytes=1)

    async def all_of_them() -> list[int]:
        sizes = []
        with SoundIndex.open(odd.index, odd.bundle) as index:
            for name in ("old.au", "loop.caf", "old.au"):
                sound = index.audio(records[name])
                copy = await copies.copy(records[name], sound)
                sound.close()
                sizes.append(copy.size)
                assert len(copy.read(0, 2**30)) == copy.size  # also after another has taken its place
                copy.close()
                assert len(copies._kept) == 1
        return sizes

    sizes = anyio.run(all_of_them)
    copies.close()
    assert sizes[0] == sizes[2] != sizes[1]


def test_without_space_the_copy_cannot_be_made(
    odd: Library, records: dict[str, SoundRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = PlayedCopies()

    async def one() -> None:
        with SoundIndex.open(odd.index, odd.bundle) as index:
            sound = index.audio(records["old.au"])
            try:
                await copies.copy(records["old.au"], sound)
            finally:
                sound.close()

    for error in (OSError(28, "No space left on device"), SoundError("not a readable sound: System error")):

        def full(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("service.played.write_playable", full)
        with pytest.raises(ProblemError, match=r"No space left|System error"):
            anyio.run(one)
        assert copies._kept == {}


def test_a_file_that_changes_while_it_is_converted_is_gone(
    odd: Library, records: dict[str, SoundRecord], tmp_path: Path
) -> None:
    shutil.copytree(odd.sounds, tmp_path / "sounds")
    copies, record = PlayedCopies(), records["field.w64"]

    async def one() -> None:
        with SoundIndex.open(odd.index, odd.bundle, sounds=tmp_path / "sounds") as index:
            sound = index.audio(record)
            (tmp_path / "sounds" / record.path).write_bytes(b"\0" * record.bytes)
            try:
                await copies.copy(record, sound)
            finally:
                sound.close()

    with pytest.raises(LibraryError, match="has changed"):
        anyio.run(one)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="the browser chromium is not installed")
def test_a_browser_plays_what_is_sent_and_not_all_originals(
    records: dict[str, SoundRecord], odd_server: Server
) -> None:
    play = """async (url) => {
        const audio = new Audio(url);
        return await new Promise((done) => {
            audio.oncanplaythrough = () => done(true);
            audio.onerror = () => done(false);
        });
    }"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(odd_server.url)
        for record in records.values():
            assert page.evaluate(play, f"/sounds/{record.id}") is True, record.path
            if record.path != "joined.flac":  # there the error comes when the second part is reached
                assert page.evaluate(play, f"/sounds/{record.id}?original") is record.playable, record.path
        browser.close()
