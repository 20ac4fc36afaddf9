"""Sound files of every kind, and the ones that must be refused."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.errors import SoundError
from model.high_pass import HighPass
from model.sound import SoundLimits, decode_sound
from tests.model.test_hit import struck

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
    np.testing.assert_allclose(sound.samples, HighPass(44_100)(channels.mean(axis=1)), atol=1e-6)


def test_channels_in_opposite_phase_are_not_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1), 44_100, subtype="FLOAT")
    assert np.abs(decode_sound(tmp_path / "a.wav", 44_100).samples).max() == pytest.approx(0.5, abs=0.02)


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
    soundfile.write(tmp_path / "a.voc", tone(), 44_100)
    refused(tmp_path / "a.voc", "VOC is not one of")


def test_three_hours_are_refused_without_reading_them(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    with soundfile.SoundFile(file, "w", 8_000, 1, "PCM_U8") as out:
        for _ in range(180):
            out.write(np.full(8_000 * 60, 0.25, np.float32))
    refused(file, "10,800 s long")


def test_a_long_flac_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.flac", 0.3 * np.random.default_rng(0).standard_normal(30 * 44_100), 44_100)
    read = Counting((tmp_path / "a.flac").read_bytes())
    monkeypatch.setattr(Path, "open", lambda path, mode: read)
    refused(tmp_path / "a.flac", "30 s long; at most 10 s", SoundLimits(max_seconds=10.0))
    assert read.total < 100_000


class Counting(io.BytesIO):
    """A file that counts what is read of it."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.total += len(data)
        return data


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


@pytest.mark.parametrize("rate", [4_000, RATE, 48_000])
def test_constants_are_silence(tmp_path: Path, rate: int) -> None:
    for levels in ([0.02], [0.5, -0.5], [0.1, 0.0, -0.3]):
        channels = np.ones((rate // 4, 1)) * levels
        soundfile.write(tmp_path / "a.wav", channels, rate, subtype="FLOAT")
        refused(tmp_path / "a.wav", "the sound is silent")


def test_channels_in_opposite_phase_with_an_offset_are_not_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone() + 0.1, 0.1 - tone()], axis=1), 44_100, subtype="FLOAT")
    assert np.abs(decode_sound(tmp_path / "a.wav", 44_100).samples).max() == pytest.approx(0.5, abs=0.02)


def test_an_offset_changes_no_audible_frequency(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", struck(0.4), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", struck(0.4) + 0.05, RATE, subtype="FLOAT")
    plain, moved = (decode_sound(tmp_path / name, RATE).samples for name in ("a.wav", "b.wav"))
    np.testing.assert_allclose(moved, plain, atol=1e-6)
    # 440 Hz keeps its level, 2 Hz loses 20 dB.
    time = np.arange(2 * RATE) / RATE
    for hertz, gain in ((440, 1.0), (2, 0.1)):
        passed = HighPass(RATE)(np.sin(2 * np.pi * hertz * time).astype(np.float32))
        assert np.abs(passed[RATE:]).max() == pytest.approx(gain, abs=0.005)


def most_memory(path: Path, limits: SoundLimits = SoundLimits()) -> tuple[float, int]:
    """Seconds of the sound, and the most bytes that decoding it took."""
    tracemalloc.start()
    try:
        seconds = decode_sound(path, RATE, limits).seconds
        return seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "rate", "channels", "seconds", "subtype"),
    [
        ("a.flac", 655_350, 1, 20, None),
        ("b.flac", 96_000, 8, 15, None),
        ("a.wav", 192_000, 64, 1, "PCM_U8"),
        ("b.wav", 1000, 1, 300, "PCM_U8"),
        ("c.wav", 8000, 1, 100, "GSM610"),
        ("d.wav", 48_000, 1, 100, "IMA_ADPCM"),
        ("a.ogg", 192_000, 1, 20, None),
        ("b.ogg", 48_000, 1, 40, "OPUS"),
        ("a.mp3", 48_000, 1, 40, None),
    ],
)
def test_memory_is_little_more_than_the_result_needs(
    tmp_path: Path, name: str, rate: int, channels: int, seconds: int, subtype: str | None
) -> None:
    second = np.zeros((rate, channels), np.int16)
    with soundfile.SoundFile(tmp_path / name, "w", rate, channels, subtype) as out:
        for number in range(seconds):
            second[: rate // 10] = 20_000 * (number == 0)
            out.write(second)
    decoded, most = most_memory(tmp_path / name)
    assert decoded == pytest.approx(seconds, abs=0.1)
    assert most < 1.5 * 4 * RATE * seconds + 16_000_000


def test_more_samples_than_any_sound_has_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.repeat(tone(0.9, 48_000)[:, None], 9, axis=1), 48_000, subtype="PCM_U8")
    refused(tmp_path / "a.wav", "388,800 samples in all channels; at most 384,000", SoundLimits(max_seconds=1.0))
    soundfile.write(tmp_path / "b.wav", tone(10.0, 8), 8)
    refused(tmp_path / "b.wav", "8 Hz; at least 1,000 Hz")
    soundfile.write(tmp_path / "c.wav", np.ones(100), 2_000_000_000)
    refused(tmp_path / "c.wav", "2,000,000,000 Hz; at most 1,000,000 Hz")
    part = io.BytesIO()
    soundfile.write(part, tone(0.7), 44_100, format="OGG")
    (tmp_path / "a.ogg").write_bytes(2 * part.getvalue())
    refused(tmp_path / "a.ogg", "1.4 s long; at most 1.25 s are accepted", SoundLimits(max_seconds=1.25))


def test_hours_of_mp3_are_refused_for_their_length(tmp_path: Path) -> None:
    part = io.BytesIO()
    soundfile.write(part, tone(60.0), 44_100, format="MP3")
    limits = SoundLimits(max_seconds=5.0)
    for name, data in (("a.mp3", part.getvalue()), ("b.mp3", part.getvalue()[417:])):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, r"(59|60) s long; at most 5 s", limits)
    # Bytes after a short sound do not count, however many they are.
    soundfile.write(tmp_path / "c.mp3", tone(2.0), 44_100)
    with (tmp_path / "c.mp3").open("ab") as file:
        file.write(b"behind" * 100_000)
    assert decode_sound(tmp_path / "c.mp3", RATE, limits).seconds == pytest.approx(2.0)


class Failing(io.BytesIO):
    """A file on a disk that fails after the first 50,000 bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() + (size or 0) > 50_000:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_read_error_is_not_taken_for_the_end_of_the_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    file = Failing()
    soundfile.write(file, 0.3 * np.random.default_rng(0).standard_normal(20 * 44_100), 44_100, format=kind)
    (tmp_path / "a").write_bytes(file.getvalue())
    monkeypatch.setattr(Path, "open", lambda path, mode: file)
    file.seek(0)
    refused(tmp_path / "a", "cannot be read: Input/output error")
    assert "Traceback" not in capfd.readouterr().err
