"""The hit in a sound: when it is, the clip around it, and its loudness against ITU-R BS.1770."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.high_pass import HighPass
from model.hit import QUIETEST, clip_samples, cut_clip, find_hit, loudness_of_hit
from model.sound import Samples, decode_sound

RATE = 22_050


def test_the_hit_is_the_first_prominent_rise() -> None:
    samples = np.zeros(RATE, np.float32)
    decay = np.exp(-np.arange(RATE // 4) / 600).astype(np.float32)
    for at, level in ((0.2, 0.05), (0.4, 0.8), (0.7, 1.0)):
        start = int(at * RATE)
        samples[start : start + len(decay)] += level * decay[: RATE - start]
    assert find_hit(samples, RATE) == pytest.approx(0.4, abs=0.006)
    assert find_hit(np.zeros(RATE, np.float32), RATE) == 0.0
    assert find_hit(np.ones(3, np.float32), RATE) == 0.0


def struck(at: float, *, level: float = 0.3, hertz: float = 700.0, seconds: float = 1.5) -> Samples:
    """A hit in silence, `at` seconds after the start."""
    after = np.arange(round(seconds * RATE)) / RATE - at
    rings = np.exp(-30 * after.clip(0)) * np.cos(2 * np.pi * hertz * after)
    return np.where(after >= 0, level * rings, 0.0).astype(np.float32)


def background(kind: str, samples: int = RATE * 3 // 2) -> Samples:
    """Background noise of a recording."""
    time = np.arange(samples) / RATE
    made = {
        "offset": np.full(samples, 0.02),
        "large offset": np.full(samples, -0.4),
        "rumble": 0.2 * np.cos(2 * np.pi * 7 * time),
        "drift": np.linspace(-0.1, 0.3, samples),
        "hum": 0.05 * np.sin(2 * np.pi * 50 * time + 1),
        "noise": np.random.default_rng(5).normal(0, 0.05, samples),
    }
    return made[kind].astype(np.float32)


BACKGROUNDS = ("offset", "large offset", "rumble", "drift", "hum", "noise")


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("at", [0.0, 0.003, 0.4, 1.0])
def test_background_noise_from_the_start_is_no_hit(tmp_path: Path, kind: str, at: float) -> None:
    soundfile.write(tmp_path / "a.wav", struck(at) + background(kind), RATE, subtype="FLOAT")
    sound = decode_sound(tmp_path / "a.wav", RATE)
    assert find_hit(sound.samples, RATE) == pytest.approx(at, abs=0.006)


@pytest.mark.parametrize("kind", ["drift", "hum", "noise"])
def test_without_a_hit_it_is_at_the_start(kind: str) -> None:
    assert find_hit(HighPass(RATE)(background(kind)), RATE) <= 0.01


@pytest.mark.parametrize("hertz", [60, 200, 3_000])
def test_a_file_cut_at_or_after_the_onset_begins_with_the_hit(hertz: float) -> None:
    for seconds, skipped in ((0.1, 0.0), (0.5, 0.002), (1.0, 0.01)):
        samples = struck(0.0, hertz=hertz, seconds=seconds)[round(skipped * RATE) :]
        assert find_hit(HighPass(RATE)(samples), RATE) <= 0.01


def test_a_clip_has_its_length_wherever_the_hit_is() -> None:
    samples = np.arange(1, 101, dtype=np.float32)
    assert clip_samples(10, 0.5, 1.5) == 20
    np.testing.assert_array_equal(cut_clip(samples, 10, 5.0, 0.5, 1.5), np.arange(46, 66))
    early = cut_clip(samples, 10, 0.2, 0.5, 1.5)
    assert (early[:3] == 0).all()
    np.testing.assert_array_equal(early[3:], np.arange(1, 18))
    late = cut_clip(samples, 10, 9.8, 0.5, 1.5)
    np.testing.assert_array_equal(late[:7], np.arange(94, 101))
    assert (late[7:] == 0).all()
    assert not cut_clip(samples, 10, 50.0, 0.5, 1.5).any()
    assert not cut_clip(samples, 10, -50.0, 0.5, 1.5).any()


def sine(frequency: float, rate: int, seconds: float = 1.0, peak: float = 1.0) -> Samples:
    return (peak * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_a_full_scale_tone_of_997_hz_has_3_01_lufs_less_than_full_scale(rate: int) -> None:
    assert loudness_of_hit(sine(997, rate), rate, 0.0) == pytest.approx(-3.01, abs=0.03)


def test_half_the_amplitude_is_6_02_less() -> None:
    loud, soft = (loudness_of_hit(sine(500, 16_000, peak=peak), 16_000, 0.1) for peak in (0.8, 0.4))

    assert loud - soft == pytest.approx(6.02, abs=0.02)


def test_low_tones_weigh_less_and_high_ones_more() -> None:
    low, middle, high = (loudness_of_hit(sine(hz, 48_000), 48_000, 0.0) for hz in (40, 997, 10_000))

    assert low < middle - 4
    assert high == pytest.approx(middle + 3.3, abs=0.3)


def test_loudness_is_measured_from_the_hit_on() -> None:
    sound = np.concatenate([np.zeros(16_000, np.float32), sine(997, 16_000)])

    assert loudness_of_hit(sound, 16_000, 1.0) == pytest.approx(-3.01, abs=0.03)
    assert loudness_of_hit(sound, 16_000, 0.0) == QUIETEST


def test_half_the_window_is_half_the_power() -> None:
    half = loudness_of_hit(sine(1000, 16_000, seconds=0.2), 16_000, 0.0)

    assert half == pytest.approx(loudness_of_hit(sine(1000, 16_000), 16_000, 0.0) - 3.01, abs=0.05)


def test_silence_is_the_quietest() -> None:
    assert loudness_of_hit(np.zeros(100, np.float32), 16_000, 0.0) == QUIETEST
    assert loudness_of_hit(sine(997, 16_000, 0.1), 16_000, 5.0) == QUIETEST
