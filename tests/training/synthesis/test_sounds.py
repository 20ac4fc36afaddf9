"""Every material can be struck and scratched; objects differ more than the hits on one of them."""

import numpy as np
import numpy.typing as npt
import pytest

from model.materials import MATERIALS
from model.torch_towers.spectrogram import mel_filterbank
from training.synthesis.dense import OCTAVES, Dense, burst
from training.synthesis.modal import Modes, ring
from training.synthesis.recording import Cut, cut, draw_acoustics, record
from training.synthesis.sounds import Samples, draw_object, scratch, strike

RATE = 32_000
NAMES = [material.name for material in MATERIALS]
FILTERS = mel_filterbank(RATE, 1024, 32, 60.0, 14_000.0)


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def in_decibels(samples: Samples) -> float:
    return 20.0 * float(np.log10(np.abs(samples).max()))


def log_mel(samples: Samples) -> npt.NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples[: RATE // 4], 1024)[::512]
    power = np.abs(np.fft.rfft(frames * np.hanning(1024))) ** 2
    mel = np.log10((power @ FILTERS.T).mean(axis=0) + 1e-9)
    return np.asarray(np.maximum(mel - mel.max(), -5.0))


@pytest.mark.parametrize("name", NAMES)
def test_strikes_sound_and_decay(name: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        samples = strike(draw_object(name, rng), rng, RATE, 1.2)
        assert samples.shape == (round(1.2 * RATE),)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert -30.01 <= in_decibels(samples) <= -2.99
        loud = np.abs(samples) >= 0.1 * np.abs(samples).max()
        assert int(np.argmax(loud)) <= 0.03 * RATE
        assert level(samples[-RATE // 5 :]) < 0.3 * level(samples[: RATE // 5])


@pytest.mark.parametrize("name", NAMES)
def test_scratches_start_at_once_and_last(name: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        samples = scratch(draw_object(name, rng), rng, RATE, 0.6)
        assert samples.shape == (round(0.6 * RATE),)
        assert np.isfinite(samples).all()
        assert -30.01 <= in_decibels(samples) <= -2.99
        assert level(samples[: RATE // 20]) > 0.02 * level(samples)
        # A blow has nearly all of its energy in its first 50 ms; a stroke lasts 0.2 s and more.
        energy = np.cumsum(np.square(samples, dtype=np.float64))
        assert energy[RATE // 20] < 0.8 * energy[-1]


@pytest.mark.parametrize("name", ["metal", "leaf", "water"])
@pytest.mark.parametrize("touch", [strike, scratch])
def test_same_seed_same_samples(name: str, touch: object) -> None:
    assert callable(touch)
    thing = draw_object(name, np.random.default_rng(1))
    assert thing == draw_object(name, np.random.default_rng(1))
    first, again, other = (touch(thing, np.random.default_rng(seed), RATE, 0.5) for seed in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert thing != draw_object(name, np.random.default_rng(2))


def test_hits_on_one_object_are_alike() -> None:
    objects, hits = 5, 4
    mel = np.array(
        [
            [
                [log_mel(strike(thing, np.random.default_rng([which, take]), RATE, 0.5)) for take in range(hits)]
                for which in range(objects)
                for thing in [draw_object(name, np.random.default_rng(which))]
            ]
            for name in NAMES
        ]
    )  # [material, object, hit, band]
    centre = mel.mean(axis=2)
    within_object = np.sqrt(((mel - centre[:, :, None]) ** 2).sum(-1)).mean(axis=(1, 2))
    kind = centre.mean(axis=1)
    within_material = np.sqrt(((centre - kind[:, None]) ** 2).sum(-1)).mean(axis=1)
    between = np.sqrt(((kind[:, None] - kind[None]) ** 2).sum(-1))
    for place, name in enumerate(NAMES):
        assert 0.0 < within_object[place] < within_material[place], name
    assert within_object.mean() < 0.5 * within_material.mean()
    assert within_material.mean() < between.mean()


def test_materials_can_be_told_apart_on_other_objects() -> None:
    heard = {
        name: [
            log_mel(strike(draw_object(name, rng), rng, RATE, 0.5))
            for seed in range(16)
            for rng in [np.random.default_rng([seed, place])]
        ]
        for place, name in enumerate(NAMES)
    }
    centres = np.stack([np.mean(heard[name][:10], axis=0) for name in NAMES])
    right = [
        NAMES[int(np.square(centres - mel).sum(axis=1).argmin())] == name
        for name in NAMES
        for mel in heard[name][10:]
    ]
    assert np.mean(right) > 4 / len(NAMES)


def test_unknown_material_is_refused() -> None:
    with pytest.raises(KeyError):
        draw_object("leather", np.random.default_rng(0))


@pytest.mark.parametrize("rate", [16_000, 22_050, 96_000])
def test_any_sample_rate(rate: int) -> None:
    for name in NAMES:
        rng = np.random.default_rng(0)
        thing = draw_object(name, rng)
        assert np.isfinite(strike(thing, rng, rate, 0.3)).all()
        assert np.isfinite(scratch(thing, rng, rate, 0.3)).all()


def test_ring_is_the_sum_of_its_modes() -> None:
    response = ring(Modes((440.0,), (-6.0,), (0.5,)), RATE, RATE)
    time = np.arange(len(response)) / RATE
    expected = 10 ** (-6 / 20) * np.cos(2 * np.pi * 440.0 * time) * 10 ** (-3 * time / 0.5)
    np.testing.assert_allclose(response, expected, atol=1e-9)


def test_a_recording_adds_noise_and_reverberation_but_never_clips() -> None:
    rng = np.random.default_rng(0)
    dry = strike(draw_object("wood", rng), rng, RATE, 1.0)
    dry[RATE // 2 :] = 0.0
    for outdoors in (False, True):
        acoustics = draw_acoustics(np.random.default_rng(3), outdoors)
        wet = record(dry, acoustics, np.random.default_rng(4), RATE)
        assert wet.shape == dry.shape
        np.testing.assert_array_equal(wet, record(dry, acoustics, np.random.default_rng(4), RATE))
        assert level(wet[-RATE // 4 :]) > 1e-6
    loud = record(dry * np.float32(20.0), acoustics, np.random.default_rng(4), RATE)
    assert np.abs(loud).max() <= 1.0


def test_a_burst_has_the_octaves_and_the_decay_that_were_asked_for() -> None:
    count = len(OCTAVES)
    colour, fade = [-60.0] * count, 0.1
    colour[3], colour[5] = -6.0, 0.0
    dense = Dense(
        tuple(colour), (0.0,) * 3 * count, (fade,) * count, (1e-4,) * count, 1.0, 0.0, -120.0, 0.0, 0.001, 0.0
    )
    sound = burst(dense, 0.0, np.random.default_rng(0), RATE, RATE)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(RATE, 1 / RATE)
    octave = [power[(hertz > middle / 2**0.5) & (hertz < middle * 2**0.5)].sum() for middle in OCTAVES[:8]]
    assert 10 * np.log10(octave[5] / octave[3]) == pytest.approx(6.0, abs=1.5)
    assert max(octave[0], octave[1], octave[7]) < 0.01 * octave[5]
    early, late = (level(sound[start : start + RATE // 50].astype(np.float32)) for start in (0, RATE // 10))
    assert 20 * np.log10(early / late) == pytest.approx(20.0, abs=3.0)


def test_a_sound_is_cut_after_it_has_ended() -> None:
    dry = np.zeros(RATE, np.float32)
    dry[RATE // 100 : RATE // 5] = 0.5
    heard = dry + np.float32(0.001)
    kept = cut(heard, dry, Cut(before=0.01, quiet=40.0, after=0.1, fade=0.05), RATE)
    assert len(kept) == pytest.approx(0.3 * RATE, abs=0.02 * RATE)
    np.testing.assert_array_equal(kept[: RATE // 5], heard[: RATE // 5])
    assert kept[-1] == pytest.approx(0.0, abs=1e-6)
