"""Momentary loudness against what ITU-R BS.1770 says of known signals."""

import numpy as np
import pytest

from model.clip import QUIETEST, loudness_of_hit
from model.sound import Samples


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


def test_it_is_heard_from_the_hit_on() -> None:
    sound = np.concatenate([np.zeros(16_000, np.float32), sine(997, 16_000)])

    assert loudness_of_hit(sound, 16_000, 1.0) == pytest.approx(-3.01, abs=0.03)
    assert loudness_of_hit(sound, 16_000, 0.0) == QUIETEST


def test_half_the_window_is_half_the_power() -> None:
    half = loudness_of_hit(sine(1000, 16_000, seconds=0.2), 16_000, 0.0)

    assert half == pytest.approx(loudness_of_hit(sine(1000, 16_000), 16_000, 0.0) - 3.01, abs=0.05)


def test_nothing_at_all_is_the_quietest() -> None:
    assert loudness_of_hit(np.zeros(100, np.float32), 16_000, 0.0) == QUIETEST
    assert loudness_of_hit(sine(997, 16_000, 0.1), 16_000, 5.0) == QUIETEST
