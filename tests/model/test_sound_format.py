"""Sounds whose headers declare no length or a wrong one: everything is read, or a reason is given."""

import io
import struct
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from model.errors import SoundError
from model.high_pass import HighPass
from model.sound import decode_sound
from tests.model.sounds import ID3V2_3, RATE, Make, encoded, id3, noise


def mp3(seconds: float, kbits: int = 64, level: float = 0.3, rate: int = RATE, info: bool = False) -> bytes:
    """MPEG frames, with `info` after an Info frame by libmp3lame."""
    file = io.BytesIO()
    with av.open(
        file, "w", format="mp3", options={"write_xing": str(int(info)), "id3v2_version": "0"}
    ) as container:
        stream = container.add_stream("libmp3lame", rate=rate)
        stream.layout = "mono"
        stream.bit_rate = kbits * 1000
        frame = av.AudioFrame.from_ndarray(noise(seconds, level, rate).T.copy(), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def layer_2() -> bytes:
    """MPEG 1, layer II: what an MP3 file holds need not be layer III."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp2") as container:
        stream = container.add_stream("mp2", rate=44_100)
        stream.layout = "mono"
        samples = (20_000 * noise(1.0, rate=44_100).T).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def mp3_in_wav(frames: bytes, length: int | None = None) -> bytes:
    """A WAV with MP3 inside, whose header declares `length` bytes of data (None: the true length)."""
    declared = len(frames) if length is None else length
    fmt = struct.pack("<4sIHHIIHH14x", b"fmt ", 30, 0x55, 1, RATE, 8000, 1, 0)
    return (
        struct.pack("<4sI4s", b"RIFF", declared + 50, b"WAVE")
        + fmt
        + struct.pack("<4sI", b"data", declared)
        + frames
    )


def flac(seconds: float, total: int | None = None, channels: int = 1, subtype: str = "PCM_16") -> bytes:
    """A FLAC stream whose header says that it has `total` samples; 0 stands for "not known"."""
    data = bytearray(encoded("FLAC", noise(seconds, channels=channels), subtype=subtype))
    if total is not None:
        packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
        data[18:26] = packed.to_bytes(8, "big")
    return bytes(data)


def uncounted(frames: bytes, tag: bytes, at: int = 13) -> bytes:
    """The frames of `mp3` after one that holds no sound but `tag`."""
    return (frames[:4].ljust(at, b"\0") + tag).ljust(208, b"\0") + frames


def vbri(frames: bytes) -> bytes:
    """The frames of `mp3` after one with their number, as Fraunhofer's encoder writes it."""
    return uncounted(frames, b"VBRI\0\1" + bytes(8) + (len(frames) // 208).to_bytes(4, "big"), 36)


COVER = id3(b"APIC" + np.random.default_rng(1).bytes(40_000))
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<5I", 2000, 3032, 1, 0, 0) + bytes(3) + b"x" * 3000
NO_PAGE = b"OggS\0\0" + b"\xff" * 300

MP3S: dict[str, tuple[Make, float]] = {
    "without Info": (lambda: mp3(1.0), 1.0),
    "without Info, 8 kHz": (lambda: mp3(1.0, 16, rate=8000), 1.0),
    "variable": (lambda: mp3(2.0, 8, 0.001) + mp3(1.0, 160), 3.0),
    "variable, first the loud": (lambda: mp3(1.0, 160) + mp3(2.0, 8, 0.001), 3.0),
    "joined": (lambda: mp3(1.0, info=True) + mp3(1.0, info=True), 2.0),
    "joined with their tags": (lambda: COVER + mp3(1.0, info=True) + ID3V1 + COVER + mp3(1.0) + ID3V1, 2.0),
    "cover before": (lambda: COVER + mp3(1.0), 1.0),
    "two tags before": (lambda: ID3V2_3 + COVER + mp3(1.0), 1.0),
    "zeros before": (lambda: bytes(3000) + mp3(1.0), 1.0),
    "zeros and a tag before": (lambda: bytes(64) + COVER + bytes(5) + mp3(1.0), 1.0),
    "junk before": (lambda: b"#!junk\xff\xfb" * 100 + mp3(1.0), 1.0),
    "a cover, and a tag that is too short for it": (lambda: COVER[:6] + bytes(4) + COVER[10:] + mp3(1.0), 1.0),
    "layer II": (layer_2, 1.0),
    "layer II, joined with tags": (lambda: layer_2() + COVER + layer_2() + ID3V1 + bytes(5000), 2.0),
    "tags behind": (lambda: mp3(1.0) + APE + ID3V1, 1.0),
    "zeros behind": (lambda: mp3(1.0) + bytes(9000), 1.0),
    "text behind": (lambda: mp3(1.0) + b"<html>" * 2000, 1.0),
    "junk between": (lambda: mp3(1.0) + b"<html>" * 2000 + mp3(1.0), 2.0),
    "half a frame at the end": (lambda: mp3(1.0)[:-60], 1.0),
    "VBRI": (lambda: vbri(mp3(1.0)), 1.0),
    "Xing without a count": (lambda: uncounted(mp3(1.0), b"Xing"), 1.0),
    "Info with bytes counted": (lambda: uncounted(mp3(1.0), b"Info\0\0\0\2\0\0\x20\0"), 1.0),
    "Xing without a count, junk": (lambda: uncounted(mp3(1.0), b"Xing")[:208] + b"<html>" * 99 + mp3(1.0), 1.0),
    "in a WAV": (lambda: mp3_in_wav(mp3(1.0)), 1.0),
    "in a WAV, variable": (lambda: mp3_in_wav(mp3(1.0, 160) + mp3(2.0, 8, 0.001)), 3.0),
    "in a WAV, variable, first the quiet": (lambda: mp3_in_wav(mp3(2.0, 8, 0.001) + mp3(1.0, 160)), 3.0),
    "in a WAV of unknown length": (lambda: mp3_in_wav(mp3(1.0), 0xFFFFFFFF - 50), 1.0),
}
FLACS: dict[str, tuple[Make, float]] = {
    "total not known": (lambda: flac(1.0, 0), 1.0),
    "total not known, 6 channels": (lambda: flac(1.0, 0, 6, "PCM_24"), 1.0),
    "total not known, one frame": (lambda: flac(0.1, 0), 0.1),
    "total not known, tag before": (lambda: ID3V2_3 + flac(1.0, 0), 1.0),
    "total not known, tag behind": (lambda: flac(1.0, 0) + ID3V1, 1.0),
    "total not known, zeros behind": (lambda: flac(1.0, 0) + bytes(9000), 1.0),
    "total too small": (lambda: flac(1.0, 9000), 1.0),
    "joined": (lambda: flac(1.0) + flac(0.5), 1.5),
    "joined, totals not known": (lambda: flac(1.0, 0) + flac(0.5, 0), 1.5),
    "zeros before": (lambda: bytes(64) + flac(1.0), 1.0),
}
OGGS: dict[str, tuple[Make, float]] = {
    "chained": (lambda: encoded("OGG", noise(1.0)) + encoded("OGG", noise(0.5)), 1.5),
    "chained Opus": (
        lambda: (
            encoded("OGG", noise(1.0, rate=48_000), 48_000, "OPUS")
            + encoded("OGG", noise(0.5, rate=48_000), 48_000, "OPUS")
        ),
        1.5,
    ),
    "zeros before, tag behind": (lambda: bytes(64) + encoded("OGG", noise(1.0)) + ID3V1, 1.0),
    "text with a page's name behind": (lambda: encoded("OGG", noise(1.0)) + b"see OggS, and more" * 9, 1.0),
    "what looks like a page behind": (lambda: encoded("OGG", noise(1.0)) + NO_PAGE, 1.0),
    "chained, what looks like a page behind": (lambda: 2 * encoded("OGG", noise(1.0)) + NO_PAGE, 2.0),
    "tag before, zeros behind": (lambda: ID3V2_3 + encoded("OGG", noise(1.0)) + bytes(100_000), 1.0),
}


def kinds(folder: Iterable[tuple[str, dict[str, tuple[Make, float]]]]) -> list[object]:
    return [
        pytest.param(suffix, make, seconds, id=f"{suffix} {name}")
        for suffix, files in folder
        for name, (make, seconds) in files.items()
    ]


@pytest.mark.parametrize(("suffix", "make", "seconds"), kinds([(".mp3", MP3S), (".flac", FLACS), (".ogg", OGGS)]))
def test_the_whole_sound_is_read(tmp_path: Path, suffix: str, make: Make, seconds: float) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(make())
    sound = decode_sound(file, 16_000)
    assert sound.seconds == pytest.approx(seconds, abs=0.18 if suffix == ".mp3" else 0.005)  # MP3 pads
    assert len(sound.samples) == pytest.approx(sound.seconds * 16_000, abs=2)
    # The right length is not enough: the peak must be in every section, so that the samples are the file's.
    assert sound.peak > 0.5
    if (length := length_by_ffmpeg(file)) is not None:
        assert sound.seconds > length - 0.05


def length_by_ffmpeg(file: Path) -> float | None:
    """Seconds that PyAV decodes; None where tags or junk stop it."""
    try:
        with av.open(str(file)) as container:
            return sum(frame.samples / frame.sample_rate for frame in container.decode(container.streams.audio[0]))
    except av.error.FFmpegError:
        return None


def test_joined_streams_have_no_loss_and_no_gap(tmp_path: Path) -> None:
    parts = [noise(0.7), noise(0.4, 0.1)]
    (tmp_path / "a.flac").write_bytes(b"".join(encoded("FLAC", part) for part in parts))
    whole = HighPass(RATE)(np.concatenate(parts)[:, 0])
    np.testing.assert_allclose(decode_sound(tmp_path / "a.flac", RATE).samples, whole, atol=1e-4)


def test_an_info_frame_in_front_changes_no_sample(tmp_path: Path) -> None:
    data = mp3(1.0)
    (tmp_path / "a.mp3").write_bytes(data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        # The file's size makes libsndfile guess a little too much here, so that it reads to the end.
        expected = HighPass(RATE)(file.read(dtype="float32"))
    np.testing.assert_allclose(decode_sound(tmp_path / "a.mp3", RATE).samples, expected, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["VBRI", "Xing without a count", "Info with bytes counted", "Xing without a count, junk"]
)
def test_a_first_frame_that_is_no_sound_is_not_heard(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.mp3").write_bytes(MP3S[name][0]())
    (tmp_path / "b.mp3").write_bytes(mp3(1.0))
    samples, expected = (decode_sound(tmp_path / f"{letter}.mp3", RATE).samples for letter in "ab")
    np.testing.assert_array_equal(samples, expected)


def test_an_mp3_of_a_first_frame_alone_has_no_sound(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(uncounted(mp3(1.0), b"Xing")[:208])
    with pytest.raises(SoundError, match="no sound in it"):
        decode_sound(tmp_path / "a.mp3", RATE)


def test_an_encoders_padding_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(mp3(1.0, info=True))
    assert len(decode_sound(tmp_path / "a.mp3", RATE).samples) == RATE


def test_a_piece_cut_out_of_an_mp3_has_no_burst_of_noise(tmp_path: Path) -> None:
    data = mp3(2.0, 64, 0.05)
    for start in range(1000, 6000, 250):
        (tmp_path / "a.mp3").write_bytes(data[start:])
        assert decode_sound(tmp_path / "a.mp3", RATE).peak < 0.3


UNLIKE: dict[str, Make] = {
    "a.mp3": lambda: mp3(1.0) + mp3(1.0, rate=44_100),
    "b.mp3": lambda: mp3(1.0, info=True) + encoded("MP3", noise(1.0, channels=2)),
    "a.ogg": lambda: encoded("OGG", noise(1.0)) + encoded("OGG", noise(1.0, channels=2)),
    "b.ogg": lambda: encoded("OGG", noise(1.0)) + encoded("OGG", noise(1.0, rate=44_100), 44_100),
    "a.flac": lambda: flac(1.0) + flac(1.0, channels=2),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_streams_of_different_formats_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(UNLIKE[name]())
    with pytest.raises(SoundError, match="joined from unlike parts"):
        decode_sound(tmp_path / name, RATE)


CUT: dict[str, Make] = {
    "flac.flac": lambda: flac(1.0, 0)[:-2000],
    "a byte.flac": lambda: flac(1.0)[:-1],
    "half.flac": lambda: flac(5.0)[:100_000],
    "tag behind.flac": lambda: flac(1.0)[:-2000] + ID3V1,
    "header.flac": lambda: flac(1.0)[:60],
    "last frame.flac": lambda: before_last_frame(flac(5.0)),
    "joined.flac": lambda: (flac(1.0) + flac(1.0))[:-2000],
    "info.mp3": lambda: mp3(2.0, info=True)[:-2000],
    "vbri.mp3": lambda: vbri(mp3(2.0))[:-2000],
    "chained.ogg": lambda: (encoded("OGG", noise(1.0)) + encoded("OGG", noise(1.0)))[:-200],
    "zeros behind.ogg": lambda: encoded("OGG", noise(1.0))[:-100] + bytes(1000),
    "page behind.ogg": lambda: encoded("OGG", noise(1.0))[:-100] + NO_PAGE,
    "hole.ogg": lambda: without_page(encoded("OGG", noise(5.0)), 4),
    "frameless.flac": lambda: flac(1.0, 0)[:42],
}


def test_an_ogg_of_part_of_a_page_has_no_sound(tmp_path: Path) -> None:
    page = encoded("OGG", noise(1.0))
    for length in range(1, 28):
        (tmp_path / "a.ogg").write_bytes(page[:length])
        with pytest.raises(SoundError):
            decode_sound(tmp_path / "a.ogg", RATE)


def before_last_frame(data: bytes) -> bytes:
    """The FLAC stream without its last frame, whose size only the frame itself has."""
    return data[: data.rfind(b"\xff\xf8\x76")]


def without_page(data: bytes, number: int) -> bytes:
    """The Ogg without one of its pages."""
    pages = data.split(b"OggS")
    return b"OggS".join([*pages[: number + 1], *pages[number + 2 :]])


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CUT[name]())
    with pytest.raises(SoundError, match="cut short"):
        decode_sound(tmp_path / name, RATE)


def test_a_long_sound_is_resampled_as_in_one_piece(tmp_path: Path) -> None:
    samples = noise(30.0, rate=48_000)[:, 0]
    soundfile.write(tmp_path / "a.wav", samples, 48_000, subtype="FLOAT")
    whole = soxr.resample(HighPass(48_000)(samples), 48_000, RATE)
    np.testing.assert_allclose(decode_sound(tmp_path / "a.wav", RATE).samples, whole, atol=1e-6)
