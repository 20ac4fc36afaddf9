"""Tags inside files: what is read of them, and that hostile ones do no harm."""

import struct
import tempfile
import time
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from index.library.tags import read_tags
from model.runtime import TowerRuntime
from tests.index.tagged import bext, blow, chunk, comments, flac, id3, info, ixml, mp3, wav
from tests.tiny_bundle import write_tiny_bundle


def test_bext_ixml_and_info(tmp_path: Path) -> None:
    assert read_tags(wav(tmp_path / "a.wav", bext(b"Glass bottle hit", b"Ann Example"))) == {
        "description": "Glass bottle hit",
        "author": "Ann Example",
    }
    found = read_tags(
        wav(
            tmp_path / "b.wav",
            bext("Stück Holz".encode("cp1252")),
            info(INAM="Plank", IART="Bo", ICMT="not this", IKEY="wood; hit", ICOP="© Bo", IPRD="Planks 1"),
            ixml(
                "<SPEED><NOTE>x</NOTE></SPEED><TRACK_LIST><TRACK><NAME>Boom</NAME></TRACK></TRACK_LIST>"
                "<USER><CATID>WOODImpt</CATID><FXNAME>Plank Drop</FXNAME><KEYWORDS>oak, floor</KEYWORDS>"
                "<DESIGNER>Cy</DESIGNER><LIBRARY>Yard</LIBRARY><URL>https://example.org/1</URL></USER>"
                "<STEINBERG><ATTR_LIST><ATTR><TYPE>string</TYPE><NAME>MediaComment</NAME>"
                "<VALUE>dropped</VALUE></ATTR></ATTR_LIST></STEINBERG>"
            ),
        )
    )
    assert found == {
        "title": "Plank Drop", "description": "dropped", "tags": "oak, floor", "author": "Cy", "source": "Yard",
        "origin": "https://example.org/1", "catid": "WOODImpt", "attribution": "© Bo",
    }  # fmt: skip
    assert read_tags(wav(tmp_path / "c.wav", bext("Stück Holz".encode("cp1252")))) == {"description": "Stück Holz"}


def test_long_wav_files_have_the_same_chunks(tmp_path: Path) -> None:
    sound = wav(tmp_path / "a.wav").read_bytes()
    data = sound.index(b"data")
    size = len(sound) - data - 8
    ds64 = chunk(b"ds64", struct.pack("<QQQI", len(sound), size, 0, 0))
    body = b"WAVE" + ds64 + sound[12:data] + b"data\xff\xff\xff\xff" + sound[data + 8 :] + bext(b"Kies")
    (tmp_path / "b.wav").write_bytes(b"RF64\xff\xff\xff\xff" + body)
    assert read_tags(tmp_path / "b.wav") == {"description": "Kies"}


def test_id3_in_mp3_and_in_wav(tmp_path: Path) -> None:
    picture = ("APIC", b"\0image/png\0\3\0" + b"p" * 500_000)
    frames = (
        picture,
        ("TIT2", b"\1" + "Holzbrett".encode("utf-16")),
        ("TPE1", b"\0Ann"),
        ("COMM", b"\0eng\0Dropped\non a floor"),
        ("TXXX", b"\0MATERIAL\0Wood"),
        ("TXXX", b"\0License\0CC0"),
        ("WCOP", b"https://example.org/cc0"),
        ("TALB", b"\0Yard"),
    )
    wanted = {
        "title": "Holzbrett", "author": "Ann", "description": "Dropped on a floor", "material": "Wood",
        "licence": "CC0; https://example.org/cc0", "source": "Yard",
    }  # fmt: skip
    assert read_tags(mp3(tmp_path / "a.mp3", id3(*frames))) == wanted
    assert read_tags(mp3(tmp_path / "b.mp3", id3(*frames, version=4))) == wanted
    assert read_tags(wav(tmp_path / "c.wav", chunk(b"id3 ", id3(*frames)), info(IART="Bo"))) == wanted | {
        "author": "Bo"
    }
    assert read_tags(mp3(tmp_path / "d.mp3", id3(("TIT2", b"\0Rock"), ("TCON", b"\0(17)")))) == {
        "title": "Rock",
        "music": "1",
    }
    assert read_tags(mp3(tmp_path / "e.mp3", id3(("TIT2", b"\0Rock"), ("TCON", b"\0Sound Effects")))) == {
        "title": "Rock"
    }


def test_vorbis_comments_and_aiff(tmp_path: Path) -> None:
    said = comments("TITLE=Kies", "artist=Ann", "Keywords=gravel", "keywords=steps", "DESCRIPTION=x\0y", "odd", "=")
    wanted = {"title": "Kies", "author": "Ann", "tags": "gravel; steps", "description": "x y"}
    assert read_tags(flac(tmp_path / "a.flac", said)) == wanted
    for name, kind in (("b.ogg", "OGG"), ("c.aiff", "AIFF")):
        with sf.SoundFile(tmp_path / name, "w", 16_000, 1, format=kind) as file:
            file.title, file.artist, file.comment = "Kies", "Ann", "steps"
            file.write(blow())
        found = read_tags(tmp_path / name)
        assert (found["title"], found["author"], found["description"]) == ("Kies", "Ann", "steps"), kind


HUGE = b"x" * 100_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda path: wav(path, bext(HUGE)),
        lambda path: wav(path, chunk(b"bext", b"\xff\xfe\x00\x07" * 200)),
        lambda path: wav(path, info(IKEY="k" * 60_000, INAM="t" * 5_000, IART="\x1b[31m\u202eevil\x07")),
        lambda path: wav(path, ixml("<USER>" + "<a>" * 7_000 + "</a>" * 7_000 + "</USER>")),
        lambda path: wav(path, chunk(b"iXML", b'<!DOCTYPE x [<!ENTITY a "a">]><BWFXML><USER>&a;</USER></BWFXML>')),
        lambda path: wav(path, chunk(b"iXML", '<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>'.encode("utf-16"))),
        lambda path: wav(path, chunk(b"iXML", b"<BWFXML><USER>")),
        lambda path: wav(path, *[chunk(b"junk", b"")] * 100_000),
        lambda path: wav(path, b"LIST\xff\xff\xff\xffINFOINAM\xff\xff\xff\xff"),
        lambda path: wav(path, chunk(b"id3 ", id3(("TIT2", b"\0" + HUGE[:1_000_000])))),
        lambda path: mp3(path, b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f"),
        lambda path: mp3(path, id3(("TIT2", b"\3\xff\xfe\x80"), ("TPE1", b"\1"), ("TXXX", b"\0"), ("COMM", b""))),
        lambda path: flac(path, comments(*[f"a={number}" for number in range(1_000_000)])),
        lambda path: flac(path, comments(*["a" * 100] * 100_000)),
        lambda path: flac(path, b"\xff" * 20),
        lambda path: mp3(path, id3(("TPE1", b"\0" + b"\0".join(b"%d" % number for number in range(10_000))))),
    ],
)  # fmt: skip
def test_hostile_tags_are_short_or_none(make: object, tmp_path: Path) -> None:
    assert callable(make)
    file = make(tmp_path / "a.wav")
    tracemalloc.start()
    began = time.perf_counter()
    found = read_tags(file)
    taken, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 20, "less than a slow machine takes to decode a long sound"
    assert peak < 20_000_000
    for text in found.values():
        assert len(text) <= 2_000
        assert text.isprintable()
        text.encode()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_to_tags_leaves_tags_or_none(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        check_damaged(Path(scratch) / "a.wav", data)


def check_damaged(file: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["wav", "mp3", "flac"]))
    if kind == "wav":
        wav(
            file,
            bext(b"Glass"),
            info(INAM="Plank"),
            ixml("<USER><FXNAME>x</FXNAME></USER>"),
            chunk(b"id3 ", id3(("TIT2", b"\0x"))),
        )
    elif kind == "mp3":
        mp3(file, id3(("TIT2", b"\0x"), ("COMM", b"\1eng\0\0y")))
    else:
        flac(file, comments("TITLE=x"))
    content = bytearray(file.read_bytes())
    tail = len(content) - 600 if kind == "wav" else 0
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(max(0, tail), min(len(content), tail + 600) - 1))] = data.draw(
            st.integers(0, 255)
        )
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    text = "".join(read_tags(file).values())
    assert not {unicodedata.category(sign) for sign in text} & {"Cc", "Cs", "Zl", "Zp"}


def test_a_sound_whose_tags_cannot_be_read_is_still_embedded(tmp_path: Path) -> None:
    file = wav(tmp_path / "a.wav", chunk(b"iXML", b"<<<"), chunk(b"id3 ", b"ID3\x03"), b"LIST\xff")
    assert read_tags(file) == {}
    runtime = TowerRuntime(write_tiny_bundle(tmp_path / "bundle"))
    assert np.isfinite(runtime.embed_sound(file).embeddings).all()
    assert read_tags(tmp_path / "nothing.wav") == {}
    assert read_tags(tmp_path) == {}
