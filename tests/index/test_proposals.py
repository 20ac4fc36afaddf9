"""Guesses of materials: a table that a person corrects in a spreadsheet and hands back as the manifest."""

import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.building.build import build_index
from index.building.cache import CACHE_FILE
from index.building.proposals import COLUMNS, Proposals, guess_materials
from index.generation import open_generation
from index.library.finding import LibrarySound, find_library
from index.library.manifests import read_manifest
from index.library.walk import is_no_library
from model.bundle import HEADS, Bundle
from model.errors import BundleError, LibraryError
from model.materials import MATERIALS, material_called, material_named
from model.runtime import TowerRuntime
from tests.index.commands import thud_text as thud
from tests.index.conftest import Strike
from tests.tiny_bundle import tiny_heads, write_tiny_bundle

MEASURED = {"left_out": {"recommended": {"P@10": 0.173, "P@10 labelled": 0.529}}}


def bundle_with_heads(folder: Path, **fields: Any) -> Bundle:
    tiny_heads().save(folder / HEADS)
    return write_tiny_bundle(folder / "bundle", others={HEADS: folder / HEADS}, label_strength=0.8, **fields)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_with_heads(tmp_path_factory.mktemp("heads"), metrics=MEASURED)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle, strict=True))


def write_rows(file: Path, rows: Sequence[dict[str, str]], **form: Any) -> None:
    with file.open("w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]), **form)
        table.writeheader()
        table.writerows(rows)


def labels(sounds: Path, manifest: Path) -> dict[str, str | None]:
    return {sound.path: sound.material for sound in find_library(sounds, manifest).sounds}


def test_from_guesses_to_labels(bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    table, index = tmp_path / "labels.csv", tmp_path / "index"
    command = ("index", bundle.folder, sounds, index)
    done = thud(*command, "--propose", table)
    assert done.returncode == 0, done.stderr
    assert f"in {table}; fill in its column material" in done.stdout
    rows = rows_of(table)
    assert tuple(rows[0]) == COLUMNS
    unlabelled, labelled = rows[:3], rows[3:]
    assert {row["path"] for row in unlabelled} == {f"sounds/unsorted/thing {number}.ogg" for number in range(3)}
    assert {row["material"] for row in unlabelled} == {""}
    assert {row["path"]: row["material"] for row in labelled} == {
        "sounds/metal/pan_0.wav": "metal",
        "sounds/metal/pan_1.wav": "metal",
        "sounds/metal/pan_2.wav": "metal",
        "sounds/kitchen/wood/board-1.flac": "wood",
        "sounds/kitchen/wood/board-2.mp3": "wood",
        "sounds/Plastic Bag/bag.wav": "plastic-bag",
    }
    heads, runtime = tiny_heads(), TowerRuntime(bundle)
    for row in unlabelled:
        embedded = runtime.embed_sound(tmp_path / row["path"]).embedding
        probabilities = heads.sounds(embedded[None])[0]
        second, first = np.argsort(probabilities)[-2:]
        assert [row["guess"], row["second_guess"]] == [MATERIALS[first].name, MATERIALS[second].name]
        assert [int(row["percent"]), int(row["second_percent"])] == pytest.approx(
            [100 * probabilities[first], 100 * probabilities[second]], abs=0.51
        )
    distances = [int(row["percent"]) - int(row["second_percent"]) for row in unlabelled]
    assert distances == sorted(distances)

    before = open_generation(index, bundle.id).spec
    untouched = thud(*command, "--manifest", table)
    assert untouched.returncode == 0, untouched.stderr
    after = open_generation(index, bundle.id).spec
    assert (after.materials, after.unlabelled) == (before.materials, before.unlabelled), "a guess is no label"

    rows[0]["material"] = " Glass "
    rows[3]["material"] = "voice"
    before_blank, rows[4]["material"] = rows[4]["material"], ""
    # As a spreadsheet of another country writes it, with the rows that were not reached taken out.
    write_rows(table, [*rows[:2], *rows[3:]], delimiter=";")
    again = thud(*command, "--manifest", table)
    assert again.returncode == 0, again.stderr
    found = labels(sounds, table)
    assert found[rows[0]["path"].removeprefix("sounds/")] == "glass"
    assert found[rows[1]["path"].removeprefix("sounds/")] is None
    assert found[rows[3]["path"].removeprefix("sounds/")] is None, "a person's word for none of the 17"
    assert found[rows[4]["path"].removeprefix("sounds/")] == before_blank, "its folder still says it"
    assert open_generation(index, bundle.id).spec.materials["glass"] == 1
    assert open_generation(index, bundle.id).spec.unlabelled == 3


def test_what_was_labelled_stays_and_so_do_the_other_columns(bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    head = ["path", "material", "source", "note", "=HYPERLINK(1)", "guess"]
    write_rows(
        mine,
        [
            dict(zip(head, values, strict=True))
            for values in (
                ["sounds/metal/pan_0.wav", "metal", "=cmd|' /C calc'!A0", '"-2,5";=1\r\n@x', "+1", "glass"],
                ["sounds/metal/pan_1.wav", "wod", "me", "", "", ""],
                ["sounds/unsorted/thing 0.ogg", "wood;metal", "", "", "", ""],
            )
        ],
    )
    tables = [tmp_path / "first.csv", tmp_path / "second.csv"]
    for manifest, table in zip([mine, tables[0]], tables, strict=True):
        build_index(bundle, sounds, tmp_path / "index", manifest=manifest, propose=table)
    rows = {row["path"]: row for row in rows_of(tables[0])}
    assert list(rows)[2:4] == ["sounds/metal/pan_1.wav", "sounds/unsorted/thing 0.ogg"]
    assert {row["material"] for row in list(rows.values())[4:]} == {"metal", "wood", "plastic-bag"}
    assert [row["material"] for row in rows.values()][:2] == ["", ""], "what nobody has looked at comes first"
    pan = rows["sounds/metal/pan_0.wav"]
    assert (pan["material"], pan["source"], pan["note"]) == ("metal", "'=cmd|' /C calc'!A0", "\"-2,5\";'=1\r\n'@x")
    assert pan["'=HYPERLINK(1)"] == "'+1"
    assert rows["sounds/metal/pan_1.wav"]["material"] == "wod"
    assert rows["sounds/unsorted/thing 0.ogg"]["material"] == "wood;metal"
    assert rows["sounds/metal/pan_2.wav"]["material"] == "metal", "of what is not listed the folder counts"
    assert tables[0].read_bytes() == tables[1].read_bytes()


# No slash and no NUL, as in any file name; hidden files, and folders of recycle bins, would be left out, and a
# folder that is named like a material is a label.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: not name.startswith(".") and not is_no_library(name) and material_called(name) is None
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NAMES, NAMES, st.sampled_from([None, "wood", "glass"])), min_size=1, max_size=6), st.data()
)
def test_every_name_comes_back(files: list[tuple[str, str, str | None]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "=sounds"
        for folder, name, _ in files:
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / f"{name}.wav").touch()
            (root / f"{name}.wav").touch()
        wanted = {f"{folder}/{name}.wav": label for folder, name, label in files}
        sounds = [
            LibrarySound(sound.path, wanted.get(sound.path), "manifest") for sound in find_library(root).sounds
        ]
        assert len(sounds) == len({*wanted} | {f"{name}.wav" for _, name, _ in files})
        embeddings = np.random.default_rng(0).standard_normal((len(sounds), 128)).astype(np.float32)
        table = data.draw(st.sampled_from([root, root.parent, root.parent / "elsewhere"])) / "labels.csv"
        Proposals(table, tiny_heads(), root).write(sounds, embeddings)
        assert labels(root, table) == {sound.path: sound.material for sound in sounds}
        assert len(read_manifest(table).entries) == len(sounds)
        for separator in (",", ";", "\t"):  # a spreadsheet may take another one than Thud wrote
            with table.open(encoding="utf-8-sig", newline="") as handle:
                cells = [cell for row in csv.reader(handle, delimiter=separator) for cell in row]
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells)


def test_a_table_that_is_there_already_is_not_replaced(bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,material\nsounds/metal/pan_0.wav,glass\n")
    refused = thud("index", bundle.folder, sounds, tmp_path / "index", "--manifest", table, "--propose", table)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"thud: {table} is there already and is not replaced")
    assert table.read_text() == "path,material\nsounds/metal/pan_0.wav,glass\n"
    assert not (tmp_path / "index").exists(), "nothing was embedded for nothing"


def test_what_cannot_be_proposed_is_refused_in_one_line(
    bundle: Bundle, tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    for folder, name, reason in (
        (bundle.folder, "labels.xlsx", "choose a name that ends in .csv"),
        (tiny_bundle.folder, "labels.csv", "the bundle has no heads"),
    ):
        refused = thud("index", folder, sounds, tmp_path / "index", "--propose", tmp_path / name)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert line.startswith("thud: ")
        assert reason in line
    with pytest.raises(BundleError):
        Proposals(tmp_path / "labels.csv", None, sounds)
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(LibraryError, match="is not valid UTF-8"):
        Proposals(tmp_path / "labels.csv", tiny_heads(), strange)
    Proposals(strange / "labels.csv", tiny_heads(), strange)
    assert {one.name for one in tmp_path.iterdir()} == {"sounds"}


def test_an_interrupted_run_goes_on_to_its_table(
    bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, index = tmp_path / "labels.csv", tmp_path / "index"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("index.building.proposals.guess_materials", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_index(bundle, sounds, index, propose=table)
    assert not table.exists()
    assert (index / CACHE_FILE).exists()
    report = build_index(bundle, sounds, index, propose=table)
    assert (report.reused, report.embedded) == (9, 0)
    assert len(rows_of(table)) == 9
    assert {one.name for one in tmp_path.iterdir()} == {"sounds", "index", "labels.csv"}


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_embedded(
    bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    command = ("index", bundle.folder, sounds, tmp_path / "index", "--propose")
    refused = thud(*command, tmp_path / "file" / "labels.csv")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"thud: {tmp_path}/file/labels.csv cannot be written: ")
    assert not (tmp_path / "index").exists()
    done = thud(*command, tmp_path / "new folder" / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path / "new folder" / "labels.csv")) == 9


def test_a_table_that_was_moved_is_refused(bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    build_index(bundle, sounds, tmp_path / "index", propose=tmp_path / "labels.csv")
    (tmp_path / "away").mkdir()
    moved = (tmp_path / "labels.csv").rename(tmp_path / "away" / "labels.csv")
    with pytest.raises(LibraryError, match=r"lists no sound of .*; its paths begin at the folder that it lies in"):
        find_library(sounds, moved)


def test_the_summary_says_what_missing_labels_cost(
    bundle: Bundle, tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    def told(folder: Path, *options: str) -> str:
        done = thud("index", folder, sounds, tmp_path / "index", *options)
        assert done.returncode == 0, done.stderr
        return " ".join(line for line in done.stdout.split("\n") if "indexed" not in line)

    text = " ".join(told(bundle.folder).split())
    assert "unlabelled 3 of 9 sounds." in text
    assert "1.7 of the first ten sounds fit a picture" in text, "the bundle's P@10"
    assert "5.3 where all have one" in text, "the bundle's P@10 labelled"
    assert "--propose LABELS.csv" in text
    for other in (told(bundle.folder, "--no-labels"), told(tiny_bundle.folder)):
        assert "of the first ten" not in other
        assert "--propose" not in other
    (tmp_path / "unmeasured").mkdir()
    unmeasured = bundle_with_heads(tmp_path / "unmeasured", metrics={"left_out": []})
    assert "unlabelled   3 of 9 sounds" in told(unmeasured.folder)
    assert "of the first ten" not in told(unmeasured.folder)


def test_a_library_that_is_labelled_is_not_told_to_label(bundle: Bundle, strike: Strike, tmp_path: Path) -> None:
    strike(tmp_path / "sounds" / "glass" / "a.wav", 800)
    done = thud("index", bundle.folder, tmp_path / "sounds", tmp_path / "index")
    assert done.returncode == 0, done.stderr
    assert "--propose" not in done.stdout


def test_a_name_is_guessed_before_what_is_heard() -> None:
    heard = np.full((3, 17), 0.01, np.float32)
    for name, probability in (("rock", 0.5), ("wood", 0.25), ("tile", 0.1)):
        material = material_named(name)
        assert material is not None
        heard[:, material.id] = probability
    sounds = [LibrarySound(path) for path in ("a.wav", "wood b.wav", "rock c.wav")]
    found = [
        (one.material, one.percent, one.second, one.second_percent, one.origin)
        for one in guess_materials(sounds, heard)
    ]
    assert found == [
        ("rock", 50, "wood", 25, "sound"),
        ("wood", 25, "rock", 50, "name"),
        ("rock", 50, "wood", 25, "name"),
    ]
