"""RF64, W64, AIFF, CAF, AU and FLAC in Ogg: true lengths, or a reason in plain words."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model.errors import SoundError
from model.sound import Sound, decode_sound
from model.sound_format.formats import EXTENSIONS, FORMATS, is_playable
from tests.model.sounds import ID3V2_3, Make, encoded, flac_in_ogg, noise

RATE = 8000
SAMPLES = 4000
SOUND = noise(SAMPLES / RATE, rate=RATE)


def decoded(folder: Path, content: bytes) -> Sound:
    file = folder / "a"
    file.write_bytes(content)
    return decode_sound(file, RATE)


def long_wav(
    magic: bytes = b"RF64", *, data: int | None = None, riff: int | None = None, extra: bytes = b""
) -> bytes:
    """An RF64 or BW64 of 16-bit mono with these lengths in its `ds64`; `extra` stands behind the data."""
    sound = (32_000 * SOUND[:, 0]).astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    length = len(sound) if data is None else data
    whole = 4 + 36 + len(fmt) + 8 + len(sound) if riff is None else riff
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, whole, length, SAMPLES, 0)
    return magic + b"\xff" * 4 + b"WAVE" + ds64 + fmt + b"data" + b"\xff" * 4 + sound + extra


WHOLE: dict[str, tuple[bytes, str]] = {
    "rf64": (long_wav(), "RF64"),
    "rf64 of libsndfile": (encoded("RF64", SOUND, RATE), "RF64"),
    "bw64": (long_wav(b"BW64"), "BW64"),
    "rf64 never finished": (long_wav(data=0, riff=0), "RF64"),
    "rf64 with an unknown length": (long_wav(data=2**64 - 1, riff=2**64 - 1), "RF64"),
    "rf64 with chunks behind": (long_wav(extra=b"axml\x04\0\0\0abcd"), "RF64"),
    "rf64 behind a tag": (ID3V2_3 + long_wav(), "RF64"),
    "w64": (encoded("W64", SOUND, RATE), "W64"),
    "w64 float": (encoded("W64", SOUND, RATE, "FLOAT"), "W64"),
    "aiff": (encoded("AIFF", SOUND, RATE), "AIFF"),
    "aiff 24 bits": (encoded("AIFF", SOUND, RATE, "PCM_24"), "AIFF"),
    "aifc float": (encoded("AIFF", SOUND, RATE, "FLOAT"), "AIFF"),
    "aifc ima": (encoded("AIFF", SOUND, RATE, "IMA_ADPCM"), "AIFF"),
    "aiff behind a tag": (ID3V2_3 + encoded("AIFF", SOUND, RATE), "AIFF"),
    "caf": (encoded("CAF", SOUND, RATE), "CAF"),
    "caf alac": (encoded("CAF", SOUND, RATE, "ALAC_16"), "CAF"),
    "au": (encoded("AU", SOUND, RATE), "AU"),
    "au mu-law": (encoded("AU", SOUND, RATE, "ULAW"), "AU"),
    "flac in ogg": (flac_in_ogg(encoded("FLAC", SOUND, RATE)), "OGG"),
    "flac in ogg, small pages": (flac_in_ogg(encoded("FLAC", SOUND, RATE), 300), "OGG"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_sound_is_read(tmp_path: Path, name: str) -> None:
    content, kind = WHOLE[name]
    sound = decoded(tmp_path, content)
    assert sound.file_format == kind
    assert sound.seconds == pytest.approx(SAMPLES / RATE, abs=0.01)  # ADPCM comes in blocks
    again = decoded(tmp_path, encoded("WAV", SOUND, RATE, "FLOAT"))
    least = 0.9 if "ima" in name or "law" in name else 0.999
    assert np.corrcoef(sound.samples[:SAMPLES], again.samples)[0, 1] > least


def _length_at(kind: str) -> tuple[bytes, Callable[[int], bytes]]:
    """A sound of a format, and it with another length of its data."""
    content = encoded(kind, SOUND, RATE)
    if kind == "W64":
        at, form = content.index(b"data") + 16, "<Q"
    elif kind == "CAF":
        at, form = content.index(b"data") + 4, ">Q"
    else:
        at, form = (content.index(b"SSND") + 4, ">I") if kind == "AIFF" else (8, ">I")
    size = struct.calcsize(form)
    return content, lambda length: content[:at] + struct.pack(form, length % 256**size) + content[at + size :]


UNKNOWN = {
    "W64": (0, 24, 2**63, 2**64 - 1),
    "AIFF": (0, 2**32 - 1, 2**31),
    "CAF": (0, 2**64 - 1),
    "AU": (0, 2**32 - 1),
}


@pytest.mark.parametrize(("kind", "length"), [(kind, one) for kind, lengths in UNKNOWN.items() for one in lengths])
def test_a_length_that_was_never_filled_in_is_no_error(tmp_path: Path, kind: str, length: int) -> None:
    _, with_length = _length_at(kind)
    sound = decoded(tmp_path, with_length(length))
    assert sound.seconds * RATE == pytest.approx(SAMPLES, abs=8)


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    content, _ = _length_at(kind)
    with pytest.raises(SoundError, match="cut short"):
        decoded(tmp_path, content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_flac_in_ogg_or_rf64_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    for content in (flac_in_ogg(encoded("FLAC", SOUND, RATE), 300), long_wav()):
        with pytest.raises(SoundError, match="cut short"):
            decoded(tmp_path, content[: int(share * len(content))])


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_head_alone_has_no_sound(tmp_path: Path, kind: str) -> None:
    content, _ = _length_at(kind)
    for length in (4, 12, 16, 20, 24, 40):
        with pytest.raises(SoundError):
            decoded(tmp_path, content[:length])


def test_a_page_that_is_missing_is_found(tmp_path: Path) -> None:
    content = flac_in_ogg(encoded("FLAC", SOUND, RATE), 300)
    pages = content.split(b"OggS")
    with pytest.raises(SoundError):
        decoded(tmp_path, b"OggS".join(pages[:6] + pages[8:]))


@pytest.mark.parametrize("bits", [12, 20, 32])
def test_flac_of_bits_that_its_decoder_does_not_know(tmp_path: Path, bits: int) -> None:
    content = bytearray(encoded("FLAC", SOUND, RATE))
    fields = int.from_bytes(content[18:26], "big") & ~(31 << 36) | (bits - 1) << 36
    content[18:26] = fields.to_bytes(8, "big")
    for made in (bytes(content), flac_in_ogg(bytes(content))):
        with pytest.raises(SoundError, match=f"FLAC with {bits} bits a sample.*convert"):
            decoded(tmp_path, made)


IRREGULAR: dict[str, Make] = {
    "zeros before a WAV": lambda: bytes(500) + encoded("WAV", SOUND, RATE),
    "zeros before a FLAC": lambda: bytes(500) + encoded("FLAC", SOUND, RATE),
    "joined FLAC": lambda: 2 * encoded("FLAC", SOUND, RATE),
    "a FLAC without its number of samples": lambda: without_total(encoded("FLAC", SOUND, RATE)),
    "chained Ogg": lambda: 2 * encoded("OGG", SOUND, RATE),
    "junk before an MP3": lambda: b"junk" * 2000 + encoded("MP3", SOUND, RATE),
    "an RF64 that was never finished": lambda: long_wav(data=0, riff=0),
}
REGULAR: dict[str, Make] = {
    "WAV": lambda: encoded("WAV", SOUND, RATE),
    "WAV behind a tag": lambda: ID3V2_3 + encoded("WAV", SOUND, RATE),
    "WAV without its length": lambda: re.sub(
        rb"data....", b"data" + b"\xff" * 4, encoded("WAV", SOUND, RATE), count=1
    ),
    "FLAC": lambda: encoded("FLAC", SOUND, RATE),
    "FLAC in Ogg": lambda: flac_in_ogg(encoded("FLAC", SOUND, RATE)),
    "Ogg": lambda: encoded("OGG", SOUND, RATE),
    "MP3": lambda: encoded("MP3", SOUND, RATE),
    "zeros before an MP3": lambda: bytes(500) + encoded("MP3", SOUND, RATE),
    "RF64": long_wav,
}


def without_total(flac: bytes) -> bytes:
    fields = int.from_bytes(flac[18:26], "big") >> 36 << 36
    return flac[:18] + fields.to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize("name", IRREGULAR)
def test_browsers_do_not_play_what_does_not_begin_or_end_as_it_should(tmp_path: Path, name: str) -> None:
    assert not decoded(tmp_path, IRREGULAR[name]()).playable


@pytest.mark.parametrize("name", REGULAR)
def test_browsers_play_what_does(tmp_path: Path, name: str) -> None:
    assert decoded(tmp_path, REGULAR[name]()).playable


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(list(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.integers(0, 1000),
)
@example("aiff", [(4, b"\xff\xff\xff\xff"), (42, b"\0\0\0\0")], 0)
@example("caf alac", [(52, b"\x7f\xff\xff\xff\xff\xff\xff\xff")], 0)
def test_whatever_its_bytes_a_sound_is_read_or_a_reason_is_given(
    tmp_path: Path, name: str, changes: list[tuple[int, bytes]], cut: int
) -> None:
    content = bytearray(WHOLE[name][0])
    for at, data in changes:
        content[at : at + len(data)] = data
    try:
        sound = decoded(tmp_path, bytes(content[: len(content) - cut]))
    except SoundError:
        return
    assert sound.file_format in FORMATS
    assert sound.seconds <= 600


def test_what_libsndfile_knows_besides_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="VOC is not one of WAV,"):
        decoded(tmp_path, encoded("VOC", SOUND, RATE))


def test_the_list_has_every_extension_once_and_a_media_type() -> None:
    assert len(set(EXTENSIONS)) == len(EXTENSIONS)
    assert {".wav", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".rf64", ".au", ".flac", ".ogg", ".mp3"} <= {
        *EXTENSIONS
    }
    assert all(one.media_type.startswith("audio/") for one in FORMATS.values())
    assert {name for name in FORMATS if name != "BW64"} <= {*soundfile.available_formats()}


@pytest.mark.parametrize(
    ("kind", "encoding", "channels", "playable"),
    [
        ("WAV", "PCM_16", 2, True),
        ("WAV", "ULAW", 1, True),
        ("WAV", "MS_ADPCM", 1, False),
        ("WAV", "GSM610", 1, False),
        ("WAV", "DOUBLE", 1, False),
        ("WAVEX", "PCM_16", 64, False),
        ("WAVEX", "PCM_16", 8, True),
        ("AIFF", "PCM_16", 2, False),
        ("FLAC", "PCM_24", 2, True),
    ],
)
def test_what_browsers_play(kind: str, encoding: str, channels: int, playable: bool) -> None:
    assert is_playable(kind, encoding, channels, 48_000) is playable
    assert not is_playable(kind, encoding, channels, 2_000)
