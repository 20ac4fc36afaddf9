"""Sounds whose headers do not tell how long they are, or tell it wrongly: all is read, or a reason is given."""

import io
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import SoundError
from model.sound import HighPass, decode_sound

RATE = 22_050
Make = Callable[[], bytes]


def noise(seconds: float, level: float = 0.3, rate: int = RATE, channels: int = 1) -> npt.NDArray[np.float32]:
    samples = level * np.random.default_rng(0).standard_normal((round(seconds * rate), channels)).clip(-3, 3)
    return samples.astype(np.float32)


def encoded(kind: str, samples: npt.NDArray[np.float32], rate: int = RATE, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def mp3(seconds: float, kbits: int = 64, level: float = 0.3, rate: int = RATE, info: bool = False) -> bytes:
    """Frames alone, or behind an Info frame of libmp3lame's."""
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
    """A WAV whose data are MP3, and as long as `length` tells where that is not the truth."""
    told = len(frames) if length is None else length
    fmt = struct.pack("<4sIHHIIHH14x", b"fmt ", 30, 0x55, 1, RATE, 8000, 1, 0)
    return struct.pack("<4sI4s", b"RIFF", told + 50, b"WAVE") + fmt + struct.pack("<4sI", b"data", told) + frames


def id3(content: bytes) -> bytes:
    """An ID3v2 tag around `content`."""
    size = bytes(len(content) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + content


def flac(seconds: float, total: int | None = None, channels: int = 1, subtype: str = "PCM_16") -> bytes:
    """A FLAC stream whose header says that it has `total` samples; 0 stands for "not known"."""
    data = bytearray(encoded("FLAC", noise(seconds, channels=channels), subtype=subtype))
    if total is not None:
        packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
        data[18:26] = packed.to_bytes(8, "big")
    return bytes(data)


COVER = id3(b"APIC" + np.random.default_rng(1).bytes(40_000))
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<5I", 2000, 3032, 1, 0, 0) + bytes(3) + b"x" * 3000
ID3V2_3 = id3(bytes(range(1, 100)))

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
    "tag before, zeros behind": (lambda: ID3V2_3 + encoded("OGG", noise(1.0)) + bytes(100_000), 1.0),
}


def kinds(folder: Iterable[tuple[str, dict[str, tuple[Make, float]]]]) -> list[object]:
    return [
        pytest.param(suffix, make, seconds, id=f"{suffix} {name}")
        for suffix, files in folder
        for name, (make, seconds) in files.items()
    ]


@pytest.mark.parametrize(("suffix", "make", "seconds"), kinds([(".mp3", MP3S), (".flac", FLACS), (".ogg", OGGS)]))
def test_all_that_is_there_is_read(tmp_path: Path, suffix: str, make: Make, seconds: float) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(make())
    sound = decode_sound(file, 16_000)
    assert sound.seconds == pytest.approx(seconds, abs=0.18 if suffix == ".mp3" else 0.005)  # MP3 pads
    assert len(sound.samples) == pytest.approx(sound.seconds * 16_000, abs=2)
    # Every part has its loudest: a length that fits is not enough where the samples are not the file's.
    assert sound.peak > 0.5
    if (length := length_by_ffmpeg(file)) is not None:
        assert sound.seconds > length - 0.05


def length_by_ffmpeg(file: Path) -> float | None:
    """Seconds that PyAV decodes; None where it stops at what stands around the sound."""
    try:
        with av.open(str(file)) as container:
            return sum(frame.samples / frame.sample_rate for frame in container.decode(container.streams.audio[0]))
    except av.error.FFmpegError:
        return None


def test_what_is_joined_is_joined_without_loss_and_gap(tmp_path: Path) -> None:
    parts = [noise(0.7), noise(0.4, 0.1)]
    (tmp_path / "a.flac").write_bytes(b"".join(encoded("FLAC", part) for part in parts))
    whole = HighPass(RATE)(np.concatenate(parts)[:, 0])
    np.testing.assert_allclose(decode_sound(tmp_path / "a.flac", RATE).samples, whole, atol=1e-4)


def test_a_count_in_front_changes_no_sample(tmp_path: Path) -> None:
    data = mp3(1.0)
    (tmp_path / "a.mp3").write_bytes(data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        # The file's size makes libsndfile guess a little too much here, so that it reads to the end.
        expected = HighPass(RATE)(file.read(dtype="float32"))
    np.testing.assert_allclose(decode_sound(tmp_path / "a.mp3", RATE).samples, expected, atol=1e-6)


def test_what_an_encoder_padded_is_taken_off(tmp_path: Path) -> None:
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
def test_unlike_parts_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(UNLIKE[name]())
    with pytest.raises(SoundError, match="joined from unlike parts"):
        decode_sound(tmp_path / name, RATE)


CUT: dict[str, Make] = {
    "flac.flac": lambda: flac(1.0, 0)[:-2000],
    "joined.flac": lambda: (flac(1.0) + flac(1.0))[:-2000],
    "info.mp3": lambda: mp3(2.0, info=True)[:-2000],
    "vbri.mp3": lambda: vbri(mp3(2.0))[:-2000],
    "chained.ogg": lambda: (encoded("OGG", noise(1.0)) + encoded("OGG", noise(1.0)))[:-200],
    "hole.ogg": lambda: without_page(encoded("OGG", noise(5.0)), 4),
    "wav.wav": lambda: encoded("WAV", noise(1.0))[:-10],
    "wavex.wav": lambda: encoded("WAVEX", noise(1.0))[:-2000],
    "adpcm.wav": lambda: encoded("WAV", noise(1.0), subtype="IMA_ADPCM")[:-2000],
    "frameless.flac": lambda: flac(1.0, 0)[:42],
    "head.wav": lambda: encoded("WAV", noise(1.0))[:40],
}


def vbri(data: bytes) -> bytes:
    """The MP3 with its first frame counting all, as Fraunhofer's encoder has it."""
    frames = len(data) // 208
    return data[:36] + b"VBRI" + bytes(10) + frames.to_bytes(4, "big") + data[54:]


def without_page(data: bytes, number: int) -> bytes:
    """The Ogg without one of its pages."""
    pages = data.split(b"OggS")
    return b"OggS".join([*pages[: number + 1], *pages[number + 2 :]])


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CUT[name]())
    with pytest.raises(SoundError, match=r"cut short|lost sync"):
        decode_sound(tmp_path / name, RATE)


def wav(samples: int, riff: int, data: int, before: bytes = b"", behind: bytes = b"", order: str = "<") -> bytes:
    """A WAV of 16-bit mono with these two lengths in its header, whatever it holds."""
    sound = (1000 * np.arange(1, samples + 1, dtype=np.int16)).astype(f"{order}i2").tobytes()
    head = struct.pack(f"{order}4sI4s", b"RIFF" if order == "<" else b"RIFX", riff, b"WAVE")
    fmt = struct.pack(f"{order}4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16)
    return head + fmt + before + struct.pack(f"{order}4sI", b"data", data) + sound + behind


UNKNOWN = [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, *(0x7FFFF000 + n for n in (0, 36)), 0xFFFFFFF7, 0x80000024]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("riff", UNKNOWN)
@pytest.mark.parametrize("data", [400, *UNKNOWN])
def test_a_wav_whose_writer_knew_no_length_is_whole(tmp_path: Path, order: str, riff: int, data: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(200, riff, data, order=order))
    assert len(decode_sound(tmp_path / "a.wav", 8000).samples) == 200


WHOLE_WAVS = {
    "file's size": wav(200, 444, 400),
    "file's size in both": wav(200, 444, 444),
    "file's size less 8 in both": wav(200, 436, 436),
    "file's size, and data as long": wav(200, 444, 408),
    "data too large": wav(200, 436, 9000),
    "no padding": wav(200, 436, 400, b"note\x03\0\0\0abc"),
    "padding": wav(200, 448, 400, b"note\x03\0\0\0abc\0"),
    "half a frame": wav(200, 437, 401, behind=b"\1"),
    "half a frame missing": wav(200, 437, 401),
    "cut LIST": wav(200, 5000, 400, behind=b"LIST" + struct.pack("<I", 4000) + b"INFO"),
    "junk": wav(200, 436, 400, behind=b"\xff" * 1000),
    "tag before": ID3V2_3 + wav(200, 436, 400),
    "fmt with a tail": wav(200, 436, 400)
    .replace(b"fmt \x10\0\0\0", b"fmt \x12\0\0\0")
    .replace(b"data", b"\0\0data"),
}


@pytest.mark.parametrize("name", WHOLE_WAVS)
def test_a_wav_with_wrong_lengths_is_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(WHOLE_WAVS[name])
    assert len(decode_sound(tmp_path / "a.wav", 8000).samples) == 200


def test_a_wav_without_sound_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(0, 36 + 12, 0, behind=b"LIST\x04\0\0\0INFO"))
    with pytest.raises(SoundError, match="0 samples"):
        decode_sound(tmp_path / "a.wav", 8000)


lengths = st.integers(0, 2**32 - 1) | st.sampled_from(UNKNOWN) | st.integers(300, 600)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(riff=lengths, data=lengths, cut=st.integers(0, 300), order=st.sampled_from("<>"))
def test_whatever_lengths_a_wav_has_its_sound_is_whole_or_a_reason_is_given(
    tmp_path: Path, riff: int, data: int, cut: int, order: str
) -> None:
    file = tmp_path / "a.wav"
    content = wav(200, riff, data, order=order)
    file.write_bytes(content[: len(content) - cut])
    try:
        samples = len(decode_sound(file, 8000).samples)
    except SoundError:
        return
    there = (400 - cut) // 2
    # All of it, or as much as its header says there is.
    assert samples in (there, data // 2)
    assert samples <= there


def test_a_long_sound_is_resampled_as_in_one_piece(tmp_path: Path) -> None:
    samples = noise(30.0, rate=48_000)[:, 0]
    soundfile.write(tmp_path / "a.wav", samples, 48_000, subtype="FLOAT")
    whole = soxr.resample(HighPass(48_000)(samples), 48_000, RATE)
    np.testing.assert_allclose(decode_sound(tmp_path / "a.wav", RATE).samples, whole, atol=1e-6)
