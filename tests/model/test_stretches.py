"""Stretches of sound files of every format are what the whole file has there; excerpts and peaks come of them."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

from model.errors import SoundError, SoundTooLargeError
from model.excerpt import BEFORE, LONGEST, MOST_BYTES, flac_excerpt
from model.peaks import LOOKED_AT, peaks_of
from model.sound import Samples, SoundBlocks, SoundLimits
from model.stretches import LONGEST_DECODED, FileFacts, Stretches

RATE = 16_000
SECONDS = 5
HITS = (0.5, 1.7, 3.2, 4.4)
KINDS = (
    ("WAV", "PCM_16"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "GSM610"),
    ("RF64", "PCM_24"),
    ("W64", "FLOAT"),
    ("AIFF", "PCM_16"),
    ("CAF", "PCM_16"),
    ("AU", "ULAW"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)


def hits_of(channels: int, rate: int, seconds: float = SECONDS, level: float = 0.6) -> Samples:
    rng = np.random.default_rng(0)
    samples = (0.001 * rng.standard_normal((round(rate * seconds), channels))).astype(np.float32)
    ring = np.arange(rate // 2) / rate
    for hit in HITS:
        start = round(hit * rate)
        part = samples[start : start + len(ring)]
        part += level * (np.sin(2 * np.pi * 700 * ring) * np.exp(-12 * ring))[: len(part), None]
    return samples


def written(samples: Samples, rate: int, kind: str, encoding: str) -> bytes:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, samples.shape[1], encoding, format=kind) as file:
        for start in range(0, len(samples), 2**16):  # its encoder of Vorbis crashes on long arrays
            file.write(samples[start : start + 2**16])
    return out.getvalue()


class Whole(SoundBlocks):
    """A file as it is decoded when it is indexed: from the beginning to the end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(SoundLimits())
        self._blocks: list[Samples] = []
        self.read(io.BytesIO(data), len(data))
        self.samples = np.concatenate(self._blocks)

    def begin(self) -> None:
        pass

    def take(self, block: Samples) -> None:
        self._blocks.append(block)

    @property
    def facts(self) -> FileFacts:
        return FileFacts(self.frames / self.rate, float(np.abs(self.samples).max()), self.format, self.regular)


class Counted(io.BytesIO):
    """A file that counts the bytes which are read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def stretch(file: BinaryIO, size: int, facts: FileFacts, start: int, count: int) -> Samples:
    stretches = Stretches(file, size, facts, (start + count) / RATE)
    try:
        return stretches.read(start, count)
    finally:
        stretches.close()


@pytest.mark.parametrize(("kind", "encoding"), KINDS)
def test_a_stretch_is_what_the_whole_file_has_there(kind: str, encoding: str) -> None:
    data = written(hits_of(1 if encoding == "GSM610" else 2, RATE), RATE, kind, encoding)
    whole = Whole(data)
    rate = whole.rate  # Opus gives its own
    for seconds in (0.0, 1.69, 3.19, 4.3):
        start = round(seconds * rate)
        found = stretch(io.BytesIO(data), len(data), whole.facts, start, rate)
        expected = whole.samples[start : start + rate]
        assert found.shape == expected.shape
        # Lossy decoders that begin in the middle may differ in the first samples.
        assert np.abs(found - expected)[200:].max(initial=0) < 1e-4
    assert len(stretch(io.BytesIO(data), len(data), whole.facts, whole.frames, rate)) == 0


def joined() -> Iterator[tuple[str, bytes]]:
    first, second = hits_of(1, RATE, 2), hits_of(1, RATE, 3)
    flac = [written(one, RATE, "FLAC", "PCM_16") for one in (first, second)]
    ogg = [written(one, RATE, "OGG", "VORBIS") for one in (first, second)]
    wav = written(np.concatenate([first, second]), RATE, "WAV", "PCM_16")
    yield "joined FLAC", b"".join(flac)
    yield "chained Ogg", b"".join(ogg)
    yield "WAV with a wrong length", wav[:40] + bytes(4) + wav[44:]
    yield "WAV behind zeros", bytes(999) + wav
    yield "MP3 behind junk", b"junk" * 50 + written(np.concatenate([first, second]), RATE, "MP3", "MPEG_LAYER_III")


@pytest.mark.parametrize(("name", "data"), list(joined()), ids=[name for name, _ in joined()])
def test_odd_files_are_read_from_the_right_place_too(name: str, data: bytes) -> None:
    whole = Whole(data)
    assert whole.facts.seconds == pytest.approx(5, abs=0.1)
    for seconds in (0.4, 1.9, 2.4, 4.5):
        start = round(seconds * whole.rate)
        found = stretch(io.BytesIO(data), len(data), whole.facts, start, RATE)
        expected = whole.samples[start : start + RATE]
        assert found.shape == expected.shape, name
        assert np.abs(found - expected)[200:].max() < 1e-4, name


@pytest.mark.parametrize(("kind", "encoding"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_of_a_long_file_little_is_read(kind: str, encoding: str) -> None:
    samples = np.tile(hits_of(1, RATE, 20), (30, 1))
    data = written(samples, RATE, kind, encoding)
    facts = FileFacts(len(samples) / RATE, 1.0, kind, playable=True)
    file = Counted(data)
    found = flac_excerpt(file, len(data), facts, 560.5, 600.0)
    assert soundfile.info(io.BytesIO(found)).frames / RATE == pytest.approx(LONGEST, abs=0.01)
    assert file.count < min(len(data) / 3, 2**20)
    file = Counted(data)
    hits = [20 * n + hit for n in range(30) for hit in HITS]
    peaks = peaks_of(file, len(data), facts, 200, hits)
    assert file.count < len(data) / 2 or kind == "OGG"  # of which pages are looked for
    struck = {int(hit / 3) for hit in hits}
    assert {part for part, peak in enumerate(peaks.tolist()) if peak > 0.3} == struck


def test_of_a_long_file_without_places_not_all_is_decoded() -> None:
    half = written(np.zeros((int(LONGEST_DECODED * 0.6) * 8000, 1), np.float32), 8000, "FLAC", "PCM_16")
    data = half + half
    facts = FileFacts(LONGEST_DECODED * 1.2, 1.0, "FLAC", playable=False)
    assert flac_excerpt(io.BytesIO(data), len(data), facts, LONGEST_DECODED / 2, LONGEST_DECODED)
    with pytest.raises(SoundTooLargeError, match="at most 600 s are"):
        flac_excerpt(io.BytesIO(data), len(data), facts, LONGEST_DECODED + 1, facts.seconds)
    with pytest.raises(SoundTooLargeError, match="until 720 s"):
        peaks_of(io.BytesIO(data), len(data), facts, 20)


def test_stretches_go_forward() -> None:
    data = written(hits_of(1, RATE), RATE, "WAV", "PCM_16")
    stretches = Stretches(io.BytesIO(data), len(data), Whole(data).facts, SECONDS)
    stretches.read(1000, 10)
    with pytest.raises(ValueError, match="before 1010"):
        stretches.read(1000, 10)
    stretches.close()
    stretches.close()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_what_is_damaged_ends_in_a_word(kind: str) -> None:
    encoding = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "PCM_16")
    facts = FileFacts(SECONDS, 1.0, kind, playable=True)
    for data in (b"", b"nothing of the sort" * 99, bytes(3000)):
        with pytest.raises(SoundError):
            flac_excerpt(io.BytesIO(data), len(data), facts, 1.0, 2.0)
    whole = written(hits_of(1, RATE), RATE, kind, encoding)
    for size in (len(whole) // 3, len(whole) - 100):
        try:
            found = flac_excerpt(io.BytesIO(whole[:size]), size, facts, 3.2, 4.0)
        except SoundError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert soundfile.info(io.BytesIO(found)).frames


def excerpt(samples: Samples, rate: int, hit: float, end: float, peak: float = 1.0) -> tuple[bytes, Samples, int]:
    data = written(samples, rate, "WAV", "FLOAT")
    facts = FileFacts(len(samples) / rate, peak, "WAV", playable=True)
    found = flac_excerpt(io.BytesIO(data), len(data), facts, hit, end)
    assert found == flac_excerpt(io.BytesIO(data), len(data), facts, hit, end)
    heard, heard_rate = soundfile.read(io.BytesIO(found), dtype="float32", always_2d=True)
    return found, heard, heard_rate


@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 44_100), (5, 48_000), (2, 96_000), (1, 4_000)])
def test_an_excerpt_begins_just_before_the_hit_and_fades_out(channels: int, rate: int) -> None:
    _, heard, heard_rate = excerpt(hits_of(channels, rate), rate, HITS[1], HITS[2] - 0.05)
    assert heard_rate == min(48_000, max(8_000, rate))
    assert heard.shape[1] == min(channels, 2) if channels <= 2 else heard.shape[1] == 1
    assert len(heard) / heard_rate == pytest.approx(HITS[2] - 0.05 - HITS[1] + BEFORE, abs=0.002)
    loudest = np.abs(heard).max(axis=1)
    assert np.argmax(loudest > 0.1) / heard_rate == pytest.approx(BEFORE, abs=0.002)
    assert loudest.max() == pytest.approx(0.6, abs=0.1)
    assert loudest[0] < 1e-3
    assert loudest[-1] == 0


def test_an_excerpt_at_the_beginning_and_at_the_end() -> None:
    samples = hits_of(1, RATE)
    _, heard, _ = excerpt(samples, RATE, 0.0, 0.3)
    assert len(heard) == round(0.3 * RATE)
    _, heard, _ = excerpt(samples, RATE, SECONDS - 0.001, SECONDS)
    assert len(heard) == round(0.011 * RATE)
    _, heard, _ = excerpt(samples[:3], RATE, 0.0, SECONDS)
    assert len(heard) == 3


def test_what_is_louder_than_full_scale_is_not_clipped() -> None:
    samples = 4 * hits_of(1, RATE)
    _, heard, _ = excerpt(samples, RATE, HITS[1], HITS[2], peak=float(np.abs(samples).max()))
    assert 0.9 < np.abs(heard).max() <= 1.0
    assert np.count_nonzero(np.abs(heard) > 0.999) < 3


def test_noise_in_stereo_is_shorter_and_stays_small() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (4 * 48_000, 2)).astype(np.float32)
    found, heard, rate = excerpt(noise, 48_000, 1.0, 4.0)
    assert 0.8 * MOST_BYTES < len(found) <= MOST_BYTES
    assert 0.8 < len(heard) / rate < LONGEST
    assert np.abs(heard[-1]).max() == 0


@pytest.mark.parametrize("count", [16, 200, 1000])
def test_peaks_are_the_largest_of_each_part(count: int) -> None:
    samples = hits_of(2, RATE)
    samples[:, 1] *= 0.5
    data = written(samples, RATE, "WAV", "FLOAT")
    found = peaks_of(io.BytesIO(data), len(data), FileFacts(SECONDS, 0.6, "WAV", playable=True), count)
    parts = np.abs(samples).max(axis=1).reshape(count, -1)
    assert found == pytest.approx(parts.max(axis=1), abs=1e-6)


def test_peaks_of_fewer_samples_than_parts_and_of_more_than_full_scale() -> None:
    samples = np.array([0.1, -3.0, 0.2, 0.0], np.float32)[:, None]
    data = written(samples, 1000, "WAV", "FLOAT")
    found = peaks_of(io.BytesIO(data), len(data), FileFacts(0.004, 3.0, "WAV", playable=True), 16)
    assert set(np.round(found, 3).tolist()) == {
        np.float32(0.1).round(3).item(),
        1.0,
        np.float32(0.2).round(3).item(),
        0.0,
    }


def test_peaks_of_a_long_sound_have_its_hits() -> None:
    seconds = 3 * LOOKED_AT
    samples = np.zeros((round(seconds * 8000), 1), np.float32)
    samples[round(107.5 * 8000)] = 0.5  # at the end of its part, which is 9 s long, of which 3 s are looked at
    data = written(samples, 8000, "WAV", "FLOAT")
    facts = FileFacts(seconds, 0.5, "WAV", playable=True)
    assert peaks_of(io.BytesIO(data), len(data), facts, 20, [107.5])[11] == 0.5
    assert peaks_of(io.BytesIO(data), len(data), facts, 20).max() == 0
