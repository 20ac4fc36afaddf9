"""Folders that are mixed up, and sounds that are named in many ways, by command."""

import os
import shutil
from pathlib import Path

import pytest

from model.bundle import Bundle
from tests.index.conftest import Strike
from tests.index.test_changes import listed, skipped, thud


def tree(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*")}


def refused(*arguments: str | Path, said: str) -> None:
    done = thud(*arguments, code=1)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_two_folders_are_not_exchanged(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    index, bundle = tmp_path / "index", tiny_bundle.folder
    before = tree(sounds)
    (tmp_path / "empty").mkdir()
    for first in (tmp_path / "empty", sounds, sounds / "metal"):
        refused(bundle, first, sounds, said="is no index, and has ")
    assert tree(sounds) == before
    thud(bundle, sounds, index)
    whole = tree(index)
    for second in (sounds, tmp_path / "other"):
        refused(bundle, index, second, said="is an index, no folder of sounds")
    assert (tree(sounds), tree(index), (tmp_path / "other").exists()) == (before, whole, False)
    # A mount point, a folder with notes, and one in which a first run was killed are no sounds.
    ready = tmp_path / "ready"
    (ready / "lost+found").mkdir(parents=True)
    for name in (".DS_Store", "notes.txt", "cache.sqlite", ".lock"):
        (ready / name).touch()
    thud(bundle, sounds, ready)


def test_an_index_stays_that_of_its_folder(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    index, bundle, other = tmp_path / "index", tiny_bundle.folder, tmp_path / "others"
    strike(other / "metal/pan_0.wav", 300)
    strike(other / "two.wav", 900)
    thud(bundle, sounds, index)
    thud("remove", index, "metal/pan_0.wav")
    before = listed(index)
    refused(bundle, other, index, said=f"is the index of {sounds}; name another folder for the index of {other}")
    assert listed(index) == before
    thud(bundle, sounds, index)
    assert "metal/pan_0.wav" not in listed(index)
    # A library that has moved is the same one.
    moved = sounds.rename(tmp_path / "moved")
    goes_on = thud(bundle, moved, index)
    assert f"the index of {sounds}, which is not there, goes on with {moved}" in goes_on.stderr
    assert listed(index) == before
    replaced = thud(bundle, other, index, "--replace")
    assert f"taken out of the index of {moved} is forgotten: 1 names" in replaced.stderr
    assert set(listed(index)) == {"metal/pan_0.wav", "two.wav"}


def test_another_library_does_not_take_the_place_of_one_that_is_away(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    index, bundle, other = tmp_path / "index", tiny_bundle.folder, tmp_path / "others"
    strike(other / "one.wav", 300)
    thud(bundle, sounds, index)
    thud("remove", index, "metal/pan_0.wav")
    before = listed(index)
    moved = sounds.rename(tmp_path / "moved")
    said = f"{index} is the index of {sounds}, which is not there and has no sound in common with {other}; name"
    refused(bundle, other, index, said=said)
    assert listed(index) == before
    # One folder deeper, no path is the same: the contents tell that it is the same library.
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    moved.rename(deeper / "all")
    assert f"goes on with {deeper}" in thud(bundle, deeper, index).stderr
    shutil.rmtree(deeper)
    assert "is forgotten: 1 names" in thud(bundle, other, index, "--replace").stderr
    assert set(listed(index)) == {"one.wav"}


def test_all_sounds_are_not_taken_out_by_a_dot(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    thud(tiny_bundle.folder, sounds, index)
    for place, name, said in (
        (sounds, ".", ". stands for all sounds of the index"),
        (tmp_path, ".", ". is not in the index"),
        (tmp_path, "", "a name is empty"),
        (tmp_path, str(sounds / "metal" / ".."), "stands for all sounds of the index"),
    ):
        monkeypatch.chdir(place)
        refused("remove", index, name, said=said)
    assert len(listed(index)) == 9


def test_sounds_are_named_as_they_are_listed(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    strike(sounds / "odd\nname\x1b[2J/ü \\ one.wav", 700)
    monkeypatch.chdir(tmp_path)
    thud(tiny_bundle.folder, sounds, index)
    whole = set(listed(index))
    (odd,) = (path for path in whole if path.startswith("odd"))
    assert "\\n" in odd
    for name in (odd, odd.rpartition("/")[0], "metal"):
        thud("remove", index, name)
        gone = whole - set(listed(index))
        assert gone
        assert all(path == name or path.startswith(f"{name}/") for path in gone)
        thud("add", index, name)
        assert set(listed(index)) == whole
    thud("remove", index, os.path.relpath(sounds / "metal"))
    thud("add", index, os.path.relpath(sounds))
    assert set(listed(index)) == whole
    refused("add", index, "metal/none.wav", said="metal/none.wav is no file or folder in ")
    (sounds / "notes.txt").write_text("x")
    refused("add", index, "notes.txt", said="notes.txt is no sound that can be indexed: no sound by its extension")


def test_a_manifest_in_capitals_is_read(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    index, command = tmp_path / "index", (tiny_bundle.folder, sounds, tmp_path / "index")
    (sounds / "Manifest.CSV").write_text("path,material\nmetal/pan_0.wav,glass\n")
    done = thud(*command)
    assert "Manifest.CSV" in done.stderr
    assert listed(index)["metal/pan_0.wav"] == "glass"
    assert "the manifest" in skipped(index)["Manifest.CSV"]
    (sounds / "manifest.csv").write_text("path,material\nmetal/pan_0.wav,water\n")
    refused(*command, said="has Manifest.CSV and manifest.csv, of which one is to be read")
    thud(*command, "--manifest", sounds / "manifest.csv")
    assert listed(index)["metal/pan_0.wav"] == "water"


def test_a_manifest_that_is_a_link_to_nothing_is_said(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    command = (tiny_bundle.folder, sounds, tmp_path / "index")
    for place in (sounds, sounds.parent):
        link = place / "manifest.csv"
        link.symlink_to("away/labels.csv")
        refused(*command, said="manifest.csv is a link to away/labels.csv, which is not there")
        link.unlink()
    thud(*command)


def test_what_means_not_known_leaves_the_label_to_the_folder(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    words = ["n/a", "N/A", "-", "unknown", "?", "none", "NULL", "tbd", " – ", "unknown; ?"]
    shutil.rmtree(sounds)
    for number, _ in enumerate(words):
        strike(sounds / f"metal/{number}.wav", 300 + 100 * number)
    strike(sounds / "metal/other.wav", 2000)
    rows = [f'metal/{number}.wav,"{word}"' for number, word in enumerate(words)]
    (sounds / "manifest.csv").write_text("\n".join(["path,material", *rows, "metal/other.wav,rubber"]))
    done = thud(tiny_bundle.folder, sounds, tmp_path / "index")
    found = listed(tmp_path / "index")
    # A word for something else than the 17 still is a person's word that it is none of them.
    assert found.pop("metal/other.wav") == "-"
    assert set(found.values()) == {"metal"}
    assert "taken as unlabelled: 1 (rubber 1)" in done.stderr
