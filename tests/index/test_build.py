"""Building an index of real files, good and bad, and going on after an interruption."""

import csv
import hashlib
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.building.cache import CACHE_FILE
from index.building.lock import only_writer
from index.building.look import problems_of
from index.catalogue.filters import SoundFilter
from model.bundle import Bundle
from model.errors import LibraryError
from model.runtime import TowerRuntime
from model.sound import SoundLimits
from tests.index.conftest import Strike


def skipped_table(index_folder: Path) -> dict[str, str]:
    with (index_folder / "skipped.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))
    assert rows[0] == ["path", "reason"]
    return dict(map(tuple, rows[1:]))  # type: ignore[arg-type]


def test_every_sound_is_in_the_catalogue_with_what_is_known_of_it(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert (report.spec.sounds, report.embedded, report.reused) == (9, 9, 0)
    assert (report.skipped, report.duplicates) == ((), ())
    assert report.rate > 0
    assert skipped_table(tmp_path / "index") == {}
    index = SoundIndex.open(tmp_path / "index", tiny_bundle)
    records = index.page().sounds
    paths = [record.path for record in records]
    assert paths == sorted(file.relative_to(sounds).as_posix() for file in sounds.rglob("*") if file.is_file())
    runtime = TowerRuntime(tiny_bundle)
    for record in records:
        content = (sounds / record.path).read_bytes()
        assert record.id == hashlib.sha256(content).hexdigest()[:20]
        assert record.bytes == len(content)
        assert 0.04 <= record.hit <= 0.12
        assert 0.1 < record.peak <= 0.6
        assert (record.source, record.licence) == (None, None)
        # Its own embedding finds it, which it would not if rows and records were shifted.
        assert index.search(runtime.embed_sound(sounds / record.path).embedding, 1)[0].record == record
    bag, flac, mp3, *_ = records
    assert (bag.title, bag.material, bag.format, bag.media_type) == ("bag", "plastic-bag", "WAV", "audio/wav")
    assert (bag.sample_rate, bag.channels, round(bag.seconds, 6)) == (44_100, 1, 0.4)
    assert (flac.title, flac.material, flac.media_type) == ("board 1", "wood", "audio/flac")
    assert (mp3.title, mp3.material, mp3.media_type) == ("board 2", "wood", "audio/mpeg")
    assert (records[-1].title, records[-1].material, records[-1].media_type) == ("thing 2", None, "audio/ogg")
    index.close()


def test_a_sound_names_objects_by_its_file_its_folders_and_its_tags(
    tiny_bundle: Bundle, strike: Strike, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    for number, name in enumerate(["wood/Door_Knock_01.wav", "Bottles/0001.wav", "0002.wav", "0003.wav"]):
        strike(folder / name, 300 + 50 * number)
    (folder / "manifest.csv").write_text("path,material,tags,note\n0002.wav,metal,pan;lid,a door\n0003.wav,,,\n")
    report = build_index(tiny_bundle, folder, tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", tiny_bundle) as index:
        named = {record.path: record.objects for record in index.page().sounds}
    assert named == {
        "0002.wav": ("pan",), "0003.wav": (), "Bottles/0001.wav": ("bottle",), "wood/Door_Knock_01.wav": ("door",),
    }  # fmt: skip
    # What sounds name decides answers, so that it is part of the index's id.
    (folder / "manifest.csv").write_text("path,material,tags,note\n0002.wav,metal,pot;lid,a door\n0003.wav,,,\n")
    assert build_index(tiny_bundle, folder, tmp_path / "index").spec.id != report.spec.id


def test_bad_files_are_skipped_with_a_reason_and_the_run_goes_on(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    bad = sounds / "metal"
    soundfile.write(bad / "silent.wav", np.zeros(8000), 16_000)
    (bad / "empty.wav").write_bytes(b"")
    (bad / "text.wav").write_text("this is a shopping list\n" * 50)
    (bad / "cut.wav").write_bytes((bad / "pan_0.wav").read_bytes()[:40])
    (bad / "cut.flac").write_bytes((sounds / "kitchen/wood/board-1.flac").read_bytes()[:30])
    soundfile.write(bad / "two samples.wav", np.array([0.5, -0.5]), 16_000)
    broken = np.full(8000, 0.1, np.float32)
    broken[4000] = np.nan
    soundfile.write(bad / "nan.wav", broken, 16_000, subtype="FLOAT")
    for name, most in {"huge": 3e38, "beyond": 2.0**33}.items():
        broken[4000] = most
        soundfile.write(bad / f"{name}.wav", broken, 16_000, subtype="FLOAT")
    broken[3000:4000] = np.linspace(-(2.0**31), 2.0**31, 1000)
    broken[4000] = 0.0
    soundfile.write(sounds / "metal" / "as integers.wav", broken, 16_000, subtype="FLOAT")
    said: list[str] = []
    report = build_index(tiny_bundle, sounds, tmp_path / "index", say=said.append)
    reasons = {one.path: one.reason for one in report.skipped}
    assert {path: reasons[path].split(":")[0] for path in reasons} == {
        "metal/cut.flac": "cut short",
        "metal/cut.wav": "cut short",
        "metal/empty.wav": "the file is empty (0 bytes)",
        "metal/beyond.wav": "the sound holds samples of 9e+09 times full scale",
        "metal/huge.wav": "the sound holds samples of 3e+38 times full scale",
        "metal/nan.wav": "the sound holds NaN or infinite samples",
        "metal/silent.wav": "the sound is silent",
        "metal/text.wav": "not a readable sound",
        "metal/two samples.wav": "2 samples; a sound needs at least 160 (0.01 s)",
    }
    assert all(reasons.values())
    assert (report.spec.sounds, report.spec.skipped) == (10, 9)
    assert skipped_table(tmp_path / "index") == reasons
    assert all(f"skipped {path}: {reason}" in said for path, reason in reasons.items())


def test_odd_names_and_many_channels_are_indexed(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    odd = [
        "Ärger mit Glas – 玻璃 🔨.wav",
        "it's [bold]'quoted\" & spaced .wav",
        "tab\tand\nnewline.flac",
        "__-.wav",
    ]
    for number, name in enumerate(odd):
        strike(sounds / "glass" / name, 3000 + 100 * number)
    strike(sounds / "glass" / "eight.wav", 2500, channels=8)
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert (report.spec.sounds, report.skipped) == (14, ())
    index = SoundIndex.open(tmp_path / "index", tiny_bundle)
    records = {record.path: record for record in index.page(SoundFilter(material=("glass",))).sounds}
    assert {f"glass/{name}" for name in odd} < set(records)
    assert records["glass/eight.wav"].channels == 8
    assert records["glass/__-.wav"].title == "__-"
    for record in records.values():
        index.audio(record).close()
    index.close()


def test_a_sound_of_three_hours_is_refused_without_decoding_it(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    with soundfile.SoundFile(sounds / "long.wav", "w", 8000, 1, subtype="PCM_U8") as file:
        minute = np.tile(np.sin(np.arange(8000) / 5), 60)
        for _ in range(180):
            file.write(minute)
    read_before = bytes_read()
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert bytes_read() - read_before < 20_000_000  # of its 86,400,000
    assert [one.path for one in report.skipped] == ["long.wav"]
    assert report.skipped[0].reason.startswith("10,800 s long; at most 600 s are accepted")
    limits = SoundLimits(max_seconds=0.3)
    with pytest.raises(LibraryError, match="10 sound files found, 10 files skipped"):
        build_index(tiny_bundle, sounds, tmp_path / "index", limits=limits)


def bytes_read() -> int:
    """What this process has read from files so far (Linux)."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("this system does not count what a process reads")
    return int(dict(line.split(": ") for line in counters.read_text().splitlines())["rchar"])


def test_of_files_with_the_same_content_the_labelled_one_is_indexed_then_the_first(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    (sounds / "wood").mkdir()
    shutil.copy(sounds / "metal/pan_1.wav", sounds / "wood/copy.wav")
    shutil.copy(sounds / "metal/pan_1.wav", sounds / "again.wav")
    (sounds / "unsorted/a link.ogg").symlink_to(sounds / "unsorted/thing 0.ogg")
    said: list[str] = []
    report = build_index(tiny_bundle, sounds, tmp_path / "index", say=said.append)
    assert (report.spec.sounds, report.spec.duplicates, report.spec.skipped, report.embedded) == (9, 3, 0, 9)
    expected = {
        "again.wav": "has the same content as metal/pan_1.wav",
        "unsorted/a link.ogg": "has the same content as unsorted/thing 0.ogg",
        "wood/copy.wav": "has the same content as metal/pan_1.wav",
    }
    assert {one.path: one.reason for one in report.duplicates} == expected
    assert skipped_table(tmp_path / "index") == expected
    assert "left out wood/copy.wav: has the same content as metal/pan_1.wav" in said
    with SoundIndex.open(tmp_path / "index", tiny_bundle) as index:
        records = {record.path: record for record in index.page().sounds}
    assert records["metal/pan_1.wav"].copies == ("again.wav", "wood/copy.wav")
    assert records["unsorted/thing 0.ogg"].copies == ("unsorted/a link.ogg",)


@pytest.mark.parametrize("files", [[], ["empty.wav"], ["notes.txt"]])
def test_nothing_to_index_is_an_error(tiny_bundle: Bundle, tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "sounds").mkdir()
    for name in files:
        (tmp_path / "sounds" / name).touch()
    with pytest.raises(LibraryError, match=r"nothing under .* could be indexed"):
        build_index(tiny_bundle, tmp_path / "sounds", tmp_path / "index")
    assert not (tmp_path / "index" / "current").exists()
    assert list(skipped_table(tmp_path / "index")) == files


def test_an_index_stays_as_it_is_when_nothing_can_be_indexed_any_more(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    before = build_index(tiny_bundle, sounds, tmp_path / "index").spec.id
    (tmp_path / "nothing").mkdir()
    with pytest.raises(LibraryError):
        build_index(tiny_bundle, tmp_path / "nothing", tmp_path / "index")
    index = SoundIndex.open(tmp_path / "index", tiny_bundle)
    assert index.id == before
    index.close()


def test_two_runs_cannot_build_one_index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    with (
        only_writer(tmp_path / "index"),
        pytest.raises(LibraryError, match="another thud index is at work"),
    ):
        build_index(tiny_bundle, sounds, tmp_path / "index")
    assert build_index(tiny_bundle, sounds, tmp_path / "index").spec.sounds == 9


def test_places_that_cannot_hold_an_index_are_refused(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LibraryError, match="cannot be written"):
        build_index(tiny_bundle, sounds, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_sound_that_changes_while_it_is_read_is_skipped(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = TowerRuntime.decode

    def embed_and_touch(self: TowerRuntime, path: Path, limits: SoundLimits) -> object:
        embedded = decode(self, path, limits)
        if path.name == "pan_2.wav":
            os.utime(path, (time.time(), time.time() + 5))
        return embedded

    monkeypatch.setattr(TowerRuntime, "decode", embed_and_touch)
    report = build_index(tiny_bundle, sounds, tmp_path / "index")
    assert [one.path for one in report.skipped] == ["metal/pan_2.wav"]
    assert "changed while it was being read" in report.skipped[0].reason


def test_a_damaged_cache_is_made_anew_with_a_word(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    whole = build_index(tiny_bundle, sounds, tmp_path / "index").spec
    cache = tmp_path / "index" / CACHE_FILE
    content = cache.read_bytes()
    for damage in (b"no database" * 1000, content[:4096], content[: len(content) // 2]):
        cache.write_bytes(damage)
        said: list[str] = []
        report = build_index(tiny_bundle, sounds, tmp_path / "index", say=said.append)
        assert (report.spec, report.changed, report.embedded) == (whole, False, 9)
        assert [line for line in said if "cache.sqlite" in line and "it is made anew" in line]
        assert build_index(tiny_bundle, sounds, tmp_path / "index").embedded == 0
    cache.write_bytes(b"")  # as after a loss of power just after it was made
    assert build_index(tiny_bundle, sounds, tmp_path / "index").spec == whole
    changed = bytearray(content)
    with closing(sqlite3.connect(cache)) as database:
        (blob,) = database.execute("SELECT embeddings FROM contents").fetchone()
    changed[content.index(blob)] ^= 1
    cache.write_bytes(changed)
    assert any("cache.sqlite is damaged" in problem for problem in problems_of(tmp_path / "index"))
    (sounds / "metal/pan_0.wav").rename(sounds / "metal/pot.wav")
    assert build_index(tiny_bundle, sounds, tmp_path / "index").embedded == 9
    assert list(problems_of(tmp_path / "index")) == []
