"""All hits of a recording: found where they are, and none where there are none."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.hits import RATE, echoes, session, steady
from model.hit import find_hit
from model.hits import LEAST_DISTANCE, MOST_HITS, find_hits, play_span
from model.levels import Levels
from model.runtime import TowerRuntime
from model.sound import Samples
from tests.tiny_bundle import write_tiny_bundle


@pytest.mark.parametrize("seed", range(6))
def test_all_hits_of_a_session_are_found_and_nothing_else(seed: int) -> None:
    samples, times = session(seed, 8)
    found = find_hits(samples, RATE)
    assert found.times == pytest.approx(times, abs=0.015)
    assert find_hit(samples, RATE) == found.main


def test_where_it_rings_for_a_second_most_are_found_and_nothing_else() -> None:
    right = wanted = taken = 0
    for seed in range(6):
        samples, times = session(seed, 8, ring=1.0)
        found = np.array(find_hits(samples, RATE).times)
        right += sum(bool(np.abs(found - time).min() < 0.015) for time in times)
        wanted += len(times)
        taken += len(found)
    assert right == taken
    assert right >= 0.9 * wanted


@pytest.mark.parametrize("name", (sounds := steady()))
def test_what_has_no_hits_has_one(name: str) -> None:
    assert find_hits(sounds[name], RATE).times == (find_hit(sounds[name], RATE),)


def test_echoes_end_soon() -> None:
    assert len(find_hits(echoes(), RATE).times) <= 3


def test_of_more_than_32_the_loudest_count() -> None:
    samples, times = session(9, 60)
    soft, _ = session(9, 60)
    soft[RATE * 8 : RATE * 12] *= 0.5
    found, fewer = (find_hits(one, RATE).times for one in (samples, soft))
    assert len(found) == len(fewer) == MOST_HITS
    assert len([one for one in fewer if 8.1 < one < 11.9]) < len([one for one in times if 8.1 < one < 11.9])
    assert find_hit(samples, RATE) in found


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.integers(0, 400), elements=st.floats(-1, 1, width=32)),
    st.sampled_from([1000, 8000, 22_050]),
    st.integers(1, 300),
)
def test_whatever_the_sound_the_hits_are_in_order(levels: Samples, rate: int, repeated: int) -> None:
    samples = np.repeat(levels, repeated) * np.resize(np.array([1, -1], np.float32), len(levels) * repeated)
    found = find_hits(samples, rate)
    hits, ends = found.times, found.ends
    assert found.main == find_hit(samples, rate)
    assert found.main in hits
    assert 1 <= len(hits) <= MOST_HITS
    assert (np.diff(hits) >= LEAST_DISTANCE - 1e-9).all()
    assert hits[0] >= 0
    assert hits[-1] <= len(samples) / rate
    for hit, end, following in zip(hits, ends, [*hits[1:], len(samples) / rate], strict=True):
        start, stop = play_span(hit, end)
        assert 0 <= start <= hit <= stop + 1e-3
        assert stop <= following + 1e-3


@given(st.floats(0.01, 10))
@settings(max_examples=10, deadline=None)
def test_how_loud_it_is_does_not_matter(gain: float) -> None:
    samples, _ = session(4, 5)
    assert find_hits(np.float32(gain) * samples, RATE).times == find_hits(samples, RATE).times


def test_a_hit_is_played_until_it_has_decayed_or_the_next_begins() -> None:
    samples = np.zeros(10 * RATE, np.float32)
    for time, ring in ((1.0, 1.0), (1.5, 0.5), (5.0, 2.0)):
        after = np.arange(3 * RATE) / RATE
        start = round(time * RATE)
        samples[start : start + len(after)] += 0.3 * (np.exp(-6.9 * after / ring) * np.cos(3000 * after)).astype(
            np.float32
        )
    hits = find_hits(samples, RATE)
    assert hits.times == pytest.approx([1.0, 1.5, 5.0], abs=0.01)
    spans = [play_span(*one) for one in zip(hits.times, hits.ends, strict=True)]
    assert spans[0] == pytest.approx((0.95, 1.45), abs=0.02)
    assert spans[1] == pytest.approx((1.45, 1.5 + 0.5 * 2 / 3), abs=0.03)  # -40 dB are two thirds of -60 dB
    assert spans[2] == pytest.approx((4.95, 5.0 + 2.0 * 2 / 3), abs=0.03)


def test_each_hit_of_a_file_is_embedded_as_if_it_were_alone(tmp_path: Path) -> None:
    samples, times = session(2, 4)
    soundfile.write(tmp_path / "session.wav", samples, RATE, subtype="FLOAT")
    runtime = TowerRuntime(write_tiny_bundle(tmp_path / "bundle"))
    embedded = runtime.embed_sound(tmp_path / "session.wav")
    assert embedded.hits == pytest.approx(times, abs=0.015)
    assert embedded.embeddings.shape == (4, 128)
    assert len(embedded.ends) == 4
    np.testing.assert_array_equal(embedded.embedding, embedded.embeddings[embedded.hits.index(embedded.hit)])
    assert len(np.unique(embedded.embeddings, axis=0)) == 4


def test_a_file_with_one_hit_costs_one_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = session(2, 1)
    soundfile.write(tmp_path / "one.wav", samples, RATE)
    runtime = TowerRuntime(write_tiny_bundle(tmp_path / "bundle"))
    computed = []
    embed = runtime.embed_clips

    def counted(clips: Samples) -> npt.NDArray[np.float32]:
        computed.append(len(clips))
        return embed(clips)

    monkeypatch.setattr(runtime, "embed_clips", counted)
    embedded = runtime.embed_sound(tmp_path / "one.wav")
    assert computed == [1]
    assert embedded.hits == (embedded.hit,)


def test_the_levels_of_a_file_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, times = session(2, 4)
    soundfile.write(tmp_path / "session.wav", samples, RATE)
    runtime = TowerRuntime(write_tiny_bundle(tmp_path / "bundle"))
    computed = []
    of = Levels.of

    def counted(samples: Samples, rate: int) -> Levels:
        computed.append(len(samples))
        return of(samples, rate)

    monkeypatch.setattr(Levels, "of", counted)
    decoded = runtime.decode(tmp_path / "session.wav")
    assert len(decoded.clips) == len(times)
    assert len(computed) == 1
