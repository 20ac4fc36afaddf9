"""What a sound that memory or its decoder fails at costs: itself alone, and no word on the terminal."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from index.building.build import build_index
from model.bundle import Bundle
from model.errors import SoundError
from model.runtime import TowerRuntime
from model.sound import SoundLimits, decode_sound


def test_a_sound_that_memory_does_not_suffice_for_costs_only_itself(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = TowerRuntime.decode

    def embed_or_fail(self: TowerRuntime, path: Path, limits: SoundLimits) -> object:
        if path.name == "pan_2.wav":
            np.empty(2**60, np.uint8)  # what the system refuses
        return decode(self, path, limits)

    monkeypatch.setattr(TowerRuntime, "decode", embed_or_fail)
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert report.spec.sounds == 8
    assert [(one.path, one.reason) for one in report.skipped] == [
        ("metal/pan_2.wav", "there is not enough memory to read it")
    ]


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError])
def test_a_decoder_that_fails_costs_only_the_sound(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    read = soundfile.SoundFile.read

    def read_or_fail(self: soundfile.SoundFile, *arguments: object, **options: object) -> object:
        if self.samplerate == 44_100:
            raise kind("out of luck")
        return read(self, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", read_or_fail)
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert [(one.path, one.reason) for one in report.skipped] == [
        ("Plastic Bag/bag.wav", "not a readable sound: out of luck")
    ]


def test_decoders_write_nothing_to_the_terminal(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Frames of which only the headers are whole: libmpg123 complains of each.
    parts = (sounds / "kitchen" / "wood" / "board-2.mp3").read_bytes().split(b"\xff\xf3")
    for number in range(8):
        rng = np.random.default_rng(number)
        broken = [part[:2] + rng.integers(0, 255, len(part) - 2, np.uint8).tobytes() for part in parts[2:]]
        (sounds / f"damaged {number}.mp3").write_bytes(b"\xff\xf3".join([*parts[:2], *broken]))
    build_index(tiny_bundle, sounds, tmp_path / "index", workers=4)
    told = capfd.readouterr().err
    assert "mpg123" not in told
    assert "Note:" not in told
    with contextlib.suppress(SoundError):
        decode_sound(sounds / "damaged 0.mp3", 16_000)
    assert "mpg123" in capfd.readouterr().err  # which it would have been, and is again outside
