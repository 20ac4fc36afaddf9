"""`thud recommend` with filters, diversity and a sound, and `thud find`, as a person runs them."""

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from index.building.build import build_index
from model.bundle import Bundle
from tests.index.commands import thud
from tests.index.conftest import Strike
from tests.tiny_bundle import write_tiny_bundle_with_heads

ROWS = (
    ("a/cup 1.wav", "ceramic", "hit", "CC0", "kitchen; café"),
    ("a/cup 2.wav", "ceramic", "scratch", "CC BY 4.0", "kitchen"),
    ("b/door.wav", "wood", "hit", "CC0", "hall"),
    ("b/inner/plank.wav", "wood", "scratch", "CC0", ""),
    ("thing.wav", "", "", "", ""),
)
FILTERS: dict[str, tuple[tuple[str, ...], set[int]]] = {
    "material": (("--material", "wood"), {2, 3}),
    "materials": (("--material", "wood", "--material", "ceramic"), {0, 1, 2, 3}),
    "unlabelled": (("--material", "unlabelled"), {4}),
    "action": (("--action", "HIT"), {0, 2}),
    "licence": (("--licence", "cc0"), {0, 2, 3}),
    "source": (("--source", "A Recorder"), {0, 1, 2, 3, 4}),
    "tag": (("--tag", "cafe\u0301"), {0}),
    "folder": (("--folder", "b/"), {2, 3}),
    "duration": (("--min-duration", "0.45", "--max-duration", "0.65"), {1, 2}),
    "loudness": (("--max-loudness", "-200"), set()),
    "two": (("--material", "wood", "--action", "hit"), {2}),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, strike: Strike) -> Path:
    """A folder with five sounds in `sounds`, and their `index`."""
    folder = tmp_path_factory.mktemp("asking")
    for number, (path, *_) in enumerate(ROWS):
        strike(folder / "sounds" / path, 300 + 200 * number, seconds=0.4 + 0.1 * number)
    with (folder / "sounds" / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "material", "action", "licence", "tags", "source"])
        table.writerows([*row, "a recorder"] for row in ROWS)
    build_index(tiny_bundle, folder / "sounds", folder / "index")
    return folder


@pytest.fixture
def options(library: Path, tiny_bundle: Bundle) -> tuple[str, ...]:
    return ("--bundle", str(tiny_bundle.folder), "--index", str(library / "index"))


def asked(*arguments: str | Path) -> Any:
    done = thud(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_finds_what_meets_it(picture: Path, options: tuple[str, ...], name: str) -> None:
    given, rows = FILTERS[name]
    expected = {ROWS[row][0] for row in rows}
    found = asked("find", *options, *given)
    assert ([one["path"] for one in found["sounds"]], found["total"]) == (sorted(expected), len(expected))
    answer = asked("recommend", picture, *options, *given)
    assert {one["path"] for one in answer["results"]} == expected


def test_a_sound_is_answered_with_those_like_it(library: Path, options: tuple[str, ...], tmp_path: Path) -> None:
    elsewhere = shutil.copy(library / "sounds" / ROWS[2][0], tmp_path / "door.wav")
    answer = asked("similar", elsewhere, *options, "--diversity", "0")
    assert answer["results"][0]["path"] == ROWS[2][0]
    assert answer["results"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert (answer["returned"], answer["recognised"], answer["objects"]) == (5, None, None)


def test_a_sound_of_the_library_is_answered_with_others_like_it(
    library: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    """By its id and by its path, with filters, page by page and exported, as over HTTP."""
    (door,) = asked("find", "door", *options)["sounds"]
    whole = asked("similar", door["id"], *options)
    assert asked("similar", ROWS[2][0], *options) == whole
    assert asked("similar", library / "sounds" / ROWS[2][0], *options) == whole
    assert {one["path"] for one in whole["results"]} == {row[0] for row in ROWS} - {ROWS[2][0]}
    assert (whole["materials"], whole["results"][0]["match"]) == (None, None)
    first = asked("similar", door["id"], *options, "-k", "1")
    rest = asked("similar", door["id"], *options, "--cursor", first["next"])
    assert [one["id"] for one in (*first["results"], *rest["results"])] == [one["id"] for one in whole["results"]]
    table = tmp_path / "like.csv"
    kept = asked("similar", door["id"], *options, "--material", "wood", "--csv", table)
    assert [one["path"] for one in kept["results"]] == ["b/inner/plank.wav"]
    assert "b/inner/plank.wav" in table.read_text("utf-8-sig")
    shown = thud("similar", door["id"], *options, "--diversity", "0").stdout.decode()
    assert "4 of 5 sounds in" in shown


def test_a_sound_of_the_library_is_named_as_lists_show_it(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sounds / "metal/pan_0.wav", sounds / "metal/z copy.wav")
    (sounds / "metal/pan_1.wav").rename(sounds / "metal/a\x07b.wav")
    build_index(tiny_bundle, sounds, tmp_path / "index")
    options = ("--bundle", tiny_bundle.folder, "--index", tmp_path / "index")
    lines = [line.split("\t") for line in thud("index", "list", tmp_path / "index").stdout.decode().splitlines()]
    ids = {path: identity for identity, _, _, *paths in lines for path in paths}
    assert ids["metal/z copy.wav"] == ids["metal/pan_0.wav"]
    monkeypatch.chdir(sounds / "metal")
    for name, listed in (
        ("metal/z copy.wav", "metal/z copy.wav"),
        (sounds / "metal/z copy.wav", "metal/z copy.wav"),
        ("metal/a\\x07b.wav", "metal/a\\x07b.wav"),
        ("pan_0.wav", "metal/pan_0.wav"),
    ):
        whole = asked("similar", ids[listed], *options)
        assert ids[listed] not in {one["id"] for one in whole["results"]}
        assert asked("similar", name, *options) == whole
    for folder in ("metal", ".", tmp_path):
        done = thud("similar", folder, *options)
        assert done.stderr.decode().splitlines() == [f"thud: {folder} is a folder; name one sound"]


def test_a_file_of_three_hits_is_found_by_its_second(tiny_bundle: Bundle, strike: Strike, tmp_path: Path) -> None:
    parts = []
    for number, frequency in enumerate((250, 1200, 4000)):
        samples, rate = soundfile.read(strike(tmp_path / f"{number}.wav", frequency, seconds=1.5))
        parts.append(samples)
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "session.wav", np.concatenate(parts), rate)
    strike(tmp_path / "sounds" / "other.wav", 700)
    build_index(tiny_bundle, tmp_path / "sounds", tmp_path / "index")
    answer = asked("similar", tmp_path / "1.wav", "--bundle", tiny_bundle.folder, "--index", tmp_path / "index")
    assert answer["returned"] == 2
    best = answer["results"][0]
    assert best["path"] == "session.wav"
    assert best["hit"] == pytest.approx(1.55, abs=0.05)
    assert best["span"][0] < best["hit"] < best["span"][1] < 3.2


def test_sounds_can_be_judged(library: Path, picture: Path, options: tuple[str, ...], tmp_path: Path) -> None:
    elsewhere = shutil.copy(library / "sounds" / ROWS[2][0], tmp_path / "door.wav")
    plain = asked("recommend", picture, *options)
    wanted, unwanted = plain["results"][-1]["id"], plain["results"][0]["id"]
    for first in (("recommend", picture), ("similar", elsewhere)):
        answer = asked(*first, *options, "--more", wanted, "--less", unwanted)
        found = [one["id"] for one in answer["results"]]
        assert set(found) == {one["id"] for one in plain["results"]} - {unwanted}


def test_what_a_picture_shows_can_be_told(library: Path, picture: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle_with_heads(tmp_path / "bundle")
    build_index(bundle, library / "sounds", tmp_path / "index")
    options = ("--bundle", bundle.folder, "--index", tmp_path / "index")
    answer = asked("recommend", picture, *options, "--shows", "Wood")
    assert [one["name"] for one in answer["materials"] if one["probability"] == 1] == ["wood"]
    assert {one["match"] for one in answer["results"] if one["material"]} == {0.0, 1.0}
    assert b"wood >99%" in thud("recommend", picture, *options, "--shows", "wood").stdout


def test_find_lists_what_has_the_words_page_by_page(options: tuple[str, ...]) -> None:
    done = thud("find", "cup", *options)
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ceramic", "ceramic"]
    assert lines[-1].startswith("2 of 2 sounds that were found")
    first = asked("find", "cup", *options, "--limit", "1")
    second = asked("find", "cup", *options, "--limit", "1", "--cursor", first["next"])
    assert {one["path"] for page in (first, second) for one in page["sounds"]} == {"a/cup 1.wav", "a/cup 2.wav"}
    assert second["next"] is None
    assert asked("find", "cup", "ceram", "hit", *options, "--action", "hit")["total"] == 0
    assert asked("find", "cup", "kitch", *options, "--action", "hit")["total"] == 1


def test_recommend_goes_on_after_k(picture: Path, options: tuple[str, ...]) -> None:
    first = asked("recommend", picture, *options, "-k", "3")
    rest = asked("recommend", picture, *options, "-k", "3", "--cursor", first["next"])
    assert len({one["path"] for answer in (first, rest) for one in answer["results"]}) == 5
    assert (first["returned"], rest["returned"], rest["next"]) == (3, 2, None)


def test_a_map_says_what_is_where(picture: Path, options: tuple[str, ...], tmp_path: Path) -> None:
    answer = asked("recommend", picture, "--map", *options, "-k", "2")
    assert (answer["columns"] * answer["rows"], answer["library"]) == (len(answer["places"]), 5)
    assert all(len(place["sounds"]) == 2 for place in answer["places"])
    paths = {one["path"] for one in answer["sounds"]}
    assert paths <= {path for path, *_ in ROWS}

    done = thud("recommend", str(picture), "--map", *options, "--zip", str(tmp_path / "map.zip"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["x", "y", "material", "sounds"]
    assert len(lines) == 1 + len(answer["places"]) + 1
    assert lines[-1].startswith("3 of 5 sounds in ")
    with zipfile.ZipFile(tmp_path / "map.zip") as archive:
        assert sum(name.endswith(".wav") for name in archive.namelist()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("find", "--material", "rubber"), "there is no material 'rubber'"),
        (("find", "--min-duration", "nan"), "nan is no finite number"),
        (("recommend", "PICTURE", "--diversity", "nan"), "nan is no finite number"),
        (("find", "--min-duration", "2", "--max-duration", "1"), "min_duration 2 is more than max_duration 1"),
        (("find", "--min-seconds", "2"), "No such option"),
        (("find", "--cursor", "abc"), "this is not a cursor"),
        (("recommend",), "Missing argument 'PICTURE'"),
        (("similar", "nothing.wav"), "nothing.wav is no file, and no id or path of a sound"),
        (("recommend", "PICTURE", "--diversity", "2"), "2.0 is not in the range 0<=x<=1"),
        (("recommend", "PICTURE", "--cursor", "abc"), "this is not a cursor"),
        (("similar", "PICTURE"), "not a readable sound"),
        (("similar", "PICTURE", "--shows", "wood"), "No such option"),
        (("recommend", "PICTURE", "--shows", "rubber"), "there is no material 'rubber'"),
        (("recommend", "PICTURE", "--shows", "wood"), "the bundle does not know materials"),
        (("recommend", "PICTURE", "--more", "0123"), "there is no sound '0123' in this index"),
        (("recommend", "PICTURE", "--more", "0123", "--less", "0123"), "'0123' is named by more and by less"),
        (("recommend", "PICTURE", "--map", "--cursor", "abc"), "--map has no --cursor"),
        (("recommend", "PICTURE", "--map", "--shows", "wood"), "--map has no --cursor, --shows"),
    ],
)
def test_what_is_no_such_thing_is_refused_in_one_line(
    picture: Path, options: tuple[str, ...], arguments: tuple[str, ...], said: str
) -> None:
    done = thud(*(str(picture) if one == "PICTURE" else one for one in arguments), *options)
    assert done.returncode != 0
    assert said in done.stderr.decode().splitlines()[-1]
    assert b"Traceback" not in done.stderr
