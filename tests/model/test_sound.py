"""Sound files of every kind, and the ones that must be refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.clip import clip_samples, cut_clip, find_hit
from model.errors import SoundError
from model.sound import SoundLimits, decode_sound

RATE = 22_050


def tone(seconds: float = 0.5, rate: int = 44_100, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.mp3", {}),
        ("b.wav", {"subtype": "PCM_U8"}),
        ("c.wav", {"subtype": "DOUBLE"}),
        ("d.wav", {"format": "WAVEX", "subtype": "PCM_24"}),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    soundfile.write(tmp_path / name, tone(), 44_100, **options)
    sound = decode_sound(tmp_path / name, RATE)
    assert (sound.sample_rate, sound.file_sample_rate, sound.file_channels) == (RATE, 44_100, 1)
    assert sound.seconds == pytest.approx(0.5, abs=0.06)  # MP3 pads
    assert sound.peak == pytest.approx(0.5, abs=0.05)
    middle = sound.samples[RATE // 8 : RATE // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(440, abs=10)


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000, 96_000, 192_000])
def test_rates(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate=rate), rate)
    assert len(decode_sound(tmp_path / "a.wav", RATE).samples) == pytest.approx(RATE // 2, abs=2)


def test_eight_channels_are_averaged(tmp_path: Path) -> None:
    channels = np.stack([tone() * level for level in np.linspace(0.2, 1.0, 8)], axis=1)
    soundfile.write(tmp_path / "a.wav", channels, 44_100, subtype="FLOAT")
    sound = decode_sound(tmp_path / "a.wav", 44_100)
    assert sound.file_channels == 8
    np.testing.assert_allclose(sound.samples, channels.mean(axis=1), atol=1e-6)


def test_channels_in_opposite_phase_are_not_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1), 44_100, subtype="FLOAT")
    assert np.abs(decode_sound(tmp_path / "a.wav", 44_100).samples).max() == pytest.approx(0.5, abs=1e-3)


def refused(path: Path, match: str, limits: SoundLimits = SoundLimits()) -> None:
    with pytest.raises(SoundError, match=match):
        decode_sound(path, RATE, limits)


def test_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    refused(file, "No such file")
    refused(tmp_path, "directory")
    file.write_bytes(b"")
    refused(file, "empty")
    file.write_bytes(b"fLaC, or so it says")
    refused(file, "not a readable sound")
    soundfile.write(file, np.zeros(44_100), 44_100)
    refused(file, "silent")
    soundfile.write(file, tone()[:2], 44_100)
    refused(file, "2 samples")
    soundfile.write(file, np.where(np.arange(22_050) == 99, np.nan, tone()), 44_100, subtype="FLOAT")
    refused(file, "NaN")
    soundfile.write(file, tone(2.0), 44_100)
    refused(file, "at most 1 s", SoundLimits(max_seconds=1.0))
    soundfile.write(tmp_path / "a.aiff", tone(), 44_100)
    refused(tmp_path / "a.aiff", "AIFF is not one of")


def test_three_hours_are_refused_without_reading_them(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    with soundfile.SoundFile(file, "w", 8_000, 1, "PCM_U8") as out:
        for _ in range(180):
            out.write(np.full(8_000 * 60, 0.25, np.float32))
    refused(file, "10,800 s long")


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_cut_short_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    noise = 0.3 * np.random.default_rng(0).standard_normal(4 * 44_100)
    soundfile.write(tmp_path / name, noise.clip(-1, 1), 44_100)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SoundError):
        decode_sound(tmp_path / name, RATE)


def test_a_length_that_was_never_filled_in_is_no_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), 44_100)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert decode_sound(tmp_path / "a.wav", RATE).seconds == pytest.approx(0.5)


def test_the_hit_is_the_first_prominent_rise() -> None:
    samples = np.zeros(RATE, np.float32)
    decay = np.exp(-np.arange(RATE // 4) / 600).astype(np.float32)
    for at, level in ((0.2, 0.05), (0.4, 0.8), (0.7, 1.0)):
        start = int(at * RATE)
        samples[start : start + len(decay)] += level * decay[: RATE - start]
    assert find_hit(samples, RATE) == pytest.approx(0.4, abs=0.006)
    assert find_hit(np.zeros(RATE, np.float32), RATE) == 0.0
    assert find_hit(np.ones(3, np.float32), RATE) == 0.0


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
