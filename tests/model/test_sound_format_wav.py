"""WAV files whose chunks declare no length or a wrong one: everything is read, or a reason is given."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import SoundError
from model.sound import decode_sound
from tests.model.sounds import ID3V2_3, Make, encoded, noise


def wav(samples: int, riff: int, data: int, before: bytes = b"", after: bytes = b"", order: str = "<") -> bytes:
    """A WAV of 16-bit mono with these two lengths in its header, whatever it holds."""
    sound = (1000 * np.arange(1, samples + 1, dtype=np.int16)).astype(f"{order}i2").tobytes()
    head = struct.pack(f"{order}4sI4s", b"RIFF" if order == "<" else b"RIFX", riff, b"WAVE")
    fmt = struct.pack(f"{order}4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16)
    return head + fmt + before + struct.pack(f"{order}4sI", b"data", data) + sound + after


UNKNOWN = [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, *(0x7FFFF000 + n for n in (0, 36)), 0xFFFFFFF7, 0x80000024]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("riff", UNKNOWN)
@pytest.mark.parametrize("data", [400, *UNKNOWN])
def test_a_wav_without_a_known_length_is_whole(tmp_path: Path, order: str, riff: int, data: int) -> None:
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
    "half a frame": wav(200, 437, 401, after=b"\1"),
    "half a frame missing": wav(200, 437, 401),
    "cut LIST": wav(200, 5000, 400, after=b"LIST" + struct.pack("<I", 4000) + b"INFO"),
    "junk": wav(200, 436, 400, after=b"\xff" * 1000),
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
    (tmp_path / "a.wav").write_bytes(wav(0, 36 + 12, 0, after=b"LIST\x04\0\0\0INFO"))
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


def chunk(name: bytes, content: bytes, pad: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(content)) + content + (pad if len(content) % 2 else b"")


ODD = [b"bext", b"JUNK", b"PEAK", b"cue ", b"id3 ", b"ID3 ", b"iXML", b"smpl", b"inst", b"_PMX", b"LIST", b"fact"]


# A padding byte that is a letter is recognised only where a usual chunk name follows.
@pytest.mark.parametrize(
    ("name", "pad"), [*((name, pad) for name in ODD for pad in (b"", b"\0")), (b"LIST", b"x"), (b"fact", b"x")]
)
def test_an_odd_chunk_may_lack_its_padding(tmp_path: Path, name: bytes, pad: bytes) -> None:
    before = chunk(b"note", b"abc", pad) + chunk(name, bytes(92)) + chunk(b"LIST", b"INFOx", pad)
    (tmp_path / "a.wav").write_bytes(wav(200, 436 + len(before), 400, before))
    assert len(decode_sound(tmp_path / "a.wav", 8000).samples) == 200


HIT = (1000 * np.arange(1, 201, dtype=np.int16)).astype("<i2").tobytes()
MORE: dict[str, bytes] = {
    "at once": chunk(b"data", HIT),
    "after others": chunk(b"LIST", b"INFO") + chunk(b"junk", b"abc") + chunk(b"data", HIT),
    "after an empty one": chunk(b"data", b"") + chunk(b"data", HIT),
    "of unknown length": b"data\xff\xff\xff\xff" + HIT,
    "of length 0": b"data" + bytes(4) + HIT,
    "cut": chunk(b"data", HIT)[:-50],
}


@pytest.mark.parametrize("name", MORE)
def test_two_data_chunks_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(wav(200, 436 + len(MORE[name]), 400, after=MORE[name]))
    with pytest.raises(SoundError, match="has two data chunks: more sound stands behind 400 bytes of it"):
        decode_sound(tmp_path / "a.wav", 8000)


EMPTY = chunk(b"data", b"")
FIRST_EMPTY: dict[str, bytes] = {
    "one": EMPTY,
    "two": EMPTY * 2,
    "others between": EMPTY + chunk(b"LIST", b"INFO") + chunk(b"junk", b"abc"),
}


@pytest.mark.parametrize("length", [400, 0, 0xFFFFFFFF])
@pytest.mark.parametrize("name", FIRST_EMPTY)
def test_after_an_empty_data_chunk_the_full_one_is_read(tmp_path: Path, name: str, length: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(200, 436 + len(FIRST_EMPTY[name]), length, FIRST_EMPTY[name]))
    sound = decode_sound(tmp_path / "a.wav", 8000)
    assert len(sound.samples) == 200
    assert sound.peak > 0.9


@pytest.mark.parametrize("after", [EMPTY, b"", chunk(b"LIST", b"INFO") + EMPTY, b"junk" * 30])
def test_other_bytes_after_the_data_do_no_harm(tmp_path: Path, after: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(wav(200, 436 + len(after), 400, after=after))
    assert len(decode_sound(tmp_path / "a.wav", 8000).samples) == 200


def test_joined_wavs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(2 * wav(200, 436, 400))
    with pytest.raises(SoundError, match="joined from several WAV files"):
        decode_sound(tmp_path / "a.wav", 8000)


CUT: dict[str, Make] = {
    "wav": lambda: encoded("WAV", noise(1.0))[:-10],
    "wavex": lambda: encoded("WAVEX", noise(1.0))[:-2000],
    "adpcm": lambda: encoded("WAV", noise(1.0), subtype="IMA_ADPCM")[:-2000],
    "head": lambda: encoded("WAV", noise(1.0))[:40],
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(CUT[name]())
    with pytest.raises(SoundError, match="cut short"):
        decode_sound(tmp_path / "a.wav", 8000)
