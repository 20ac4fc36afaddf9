"""Recordings with another microphone, room and noise."""

from pathlib import Path

import numpy as np
import soundfile

from model.bundle import ClipSpec
from training.pretraining.varied_sounds import read_varied_clips, vary

SPEC = ClipSpec(sample_rate=32_000, before=0.1, after=0.6)


def ring(hertz: float) -> np.ndarray:
    """A hit after 0.2 s that rings at `hertz`."""
    seconds = np.arange(32_000) / 32_000 - 0.2
    return np.where(seconds > 0, np.exp(-8 * seconds) * np.sin(2 * np.pi * hertz * seconds), 0).astype(np.float32)


def test_a_variant_is_another_sound_of_the_same_object() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        clip = vary(ring(1000.0), SPEC, rng)
        assert clip.dtype == np.float32
        assert clip.shape == (SPEC.samples,)
        assert np.abs(clip).max() == np.float32(1)
        spectrum = np.abs(np.fft.rfft(clip))
        strongest = np.fft.rfftfreq(len(clip), 1 / 32_000)[spectrum.argmax()]
        assert 600 < strongest < 1600
        loud = int(np.argmax(np.abs(clip) > 0.5)) / 32_000
        assert 0.03 < loud < 0.25


def test_silence_stays_finite() -> None:
    assert np.isfinite(vary(np.zeros(100, np.float32), SPEC, np.random.default_rng(0))).all()


def test_variants_are_the_same_again_and_differ_from_each_other(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", ring(500.0), 32_000)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    paths = (tmp_path / "a.wav", tmp_path / "b.wav")
    first, second = (list(read_varied_clips(paths, SPEC, 2, seed=3)) for _ in range(2))
    assert [clip is None for clip in first] == [False, False, True, True]
    for one, other in zip(first[:2], second[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[0] is not None
    assert first[1] is not None
    assert np.abs(first[0] - first[1]).max() > 0.1
