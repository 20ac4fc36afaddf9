"""Finding the sounds of a folder and what they are made of."""

import json
import os
from pathlib import Path

import pytest

from index.library.finding import Library, find_library
from model.errors import LibraryError, ManifestError


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def labels(library: Library) -> dict[str, str | None]:
    return {sound.path: sound.material for sound in library.sounds}


def test_labels_from_the_first_sub_folder_that_is_a_material(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "wood",
        "Plastic Bag/a.wav",
        "plastic_bag/b.WAV",
        "kitchen/metal/glass/c.ogg",
        "rubber/d.flac",
        "e.mp3",
    )
    library = find_library(root)
    assert labels(library) == {
        "Plastic Bag/a.wav": "plastic-bag",
        "plastic_bag/b.WAV": "plastic-bag",
        "kitchen/metal/glass/c.ogg": "metal",
        "rubber/d.flac": None,
        "e.mp3": None,
    }
    assert [sound.path for sound in library.sounds] == sorted(labels(library))
    assert library.root == root.resolve()


def test_hidden_files_and_other_files_are_counted(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "a.wav", ".b.wav", ".git/c.wav", "notes.txt", "cover.jpg", "README")
    library = find_library(root)
    assert list(labels(library)) == ["a.wav"]
    assert "hidden files and folders left out: 2" in library.notes
    assert any("no sounds by their extension: 3" in note and ".txt 1" in note for note in library.notes)


def test_links_are_followed_only_to_files_inside(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "metal/a.wav")
    outside = touch(tmp_path / "outside", "secret.wav")
    (root / "in.wav").symlink_to(root / "metal" / "a.wav")
    (root / "out.wav").symlink_to(outside / "secret.wav")
    (root / "gone.wav").symlink_to(root / "nothing.wav")
    (root / "away").symlink_to(outside)
    (root / "loop").symlink_to(root)
    library = find_library(root)
    assert list(labels(library)) == ["in.wav", "metal/a.wav"]
    assert {one.path: one.reason for one in library.skipped} == {
        "away": "a link that leads outside the folder",
        "gone.wav": "a link to a file that is not there",
        "loop": "a link to a folder inside, not followed",
        "out.wav": "a link that leads outside the folder",
    }
    assert [sound.path for sound in library.sounds if sound.link] == ["in.wav"]
    assert "links to folders inside the folder, not followed: 1" in library.notes


def test_what_only_looks_like_a_sound_file_is_skipped(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "a.wav")
    os.mkfifo(root / "pipe.wav")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.wav")).write_bytes(b"x")
    library = find_library(root)
    assert list(labels(library)) == ["a.wav"]
    assert sorted(one.reason for one in library.skipped) == [
        "its name is not valid UTF-8; rename it",
        "not a regular file",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every folder")
def test_a_folder_without_permission_is_skipped(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "a.wav", "closed/b.wav")
    (root / "closed").chmod(0)
    try:
        library = find_library(root)
    finally:
        (root / "closed").chmod(0o755)
    assert [one.path for one in library.skipped] == ["closed"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="is not a folder"):
        find_library(tmp_path / "missing")


MANIFEST = """kind,path,material,source,origin,licence,open_licence,note
sound,sounds/a.wav,Plastic Bag,studio,somewhere,CC0,1,
image,sounds/b.wav,metal,,,,,
sound,sounds/c.ogg,rubber,,,,,
sound,./sounds/../sounds/d.wav,,,,,,
sound,sounds/missing.wav,wood,,,,,
sound,sounds/.hidden.wav,wood,,,,,
sound,elsewhere/e.wav,wood,,,,,
sound,sounds/a.wav,metal,,,,,
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    root = touch(tmp_path / "sounds", "a.wav", "metal/b.wav", "c.ogg", "d.wav", ".hidden.wav")
    (tmp_path / "manifest.csv").write_text("\ufeff" + MANIFEST, encoding="utf-8")
    return root


def test_a_manifest_in_the_parent_is_used_and_that_is_said(listed: Path) -> None:
    library = find_library(listed)
    assert labels(library) == {"a.wav": "plastic-bag", "metal/b.wav": "metal", "c.ogg": None, "d.wav": None}
    first, *_, last = library.sounds
    assert (first.label_from, last.label_from) == ("manifest", "folder")
    assert (first.columns["source"], first.columns["licence"]) == ("studio", "CC0")
    assert {one.path: one.reason for one in library.skipped} == {
        "missing.wav": "listed in the manifest, but not there",
        ".hidden.wav": "a hidden file",
    }
    assert f"labels are taken from {listed.parent / 'manifest.csv'}" in library.notes
    assert "sounds of a material that is not one of the 17, taken as unlabelled: 1 (rubber 1)" in library.notes
    assert "rows that give a file a second material (the first counts): 1" in library.notes
    assert "sounds not listed in manifest.csv: 1" in library.notes
    assert "sounds listed in manifest.csv that were not found: 2" in library.notes
    assert f"sounds listed in manifest.csv outside {listed}, left out: 1" in library.notes


def test_a_given_manifest_goes_before_one_that_is_found(listed: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.jsonl"
    rows = [{"path": "sounds/a.wav", "material": "glass"}, {"path": "sounds/d.wav", "material": None, "extra": [1]}]
    given.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert labels(find_library(listed, given))["a.wav"] == "glass"


def test_a_manifest_in_the_folder_itself_goes_before_the_parents(listed: Path) -> None:
    (listed / "manifest.jsonl").write_text('{"path": "a.wav", "material": "tile"}\n', encoding="utf-8")
    library = find_library(listed)
    assert labels(library)["a.wav"] == "tile"
    assert not any("no sounds by their extension" in note for note in library.notes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.csv", "package,version\nx,1\n"),
        ("manifest.csv", ""),
        ("manifest.jsonl", '{"audio_filepath": "sounds/metal/a.wav"}\n'),
        ("manifest.jsonl", "[1]\n"),
    ],
)
def test_somebody_elses_manifest_is_left_alone_unless_it_is_given(tmp_path: Path, name: str, text: str) -> None:
    root = touch(tmp_path / "sounds", "metal/a.wav")
    (tmp_path / name).write_text(text, encoding="utf-8")
    library = find_library(root)
    assert labels(library) == {"metal/a.wav": "metal"}
    assert any(f"{name} has no" in note and "is not used" in note for note in library.notes)
    (root / name).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=f"{name} has no (column|field) named path.*--no-manifest"):
        find_library(root)
    assert labels(find_library(root, use_manifest=False)) == {"metal/a.wav": "metal"}
    with pytest.raises(ManifestError, match=f"{name} has no (column|field) named path"):
        find_library(root, tmp_path / name)


def test_a_manifest_of_other_folders_is_left_alone_and_refused_if_it_is_given(tmp_path: Path) -> None:
    root = touch(tmp_path / "sounds", "metal/a.wav")
    (tmp_path / "manifest.csv").write_text("path,material\nother/b.wav,wood\n", encoding="utf-8")
    library = find_library(root)
    assert labels(library) == {"metal/a.wav": "metal"}
    assert f"{tmp_path / 'manifest.csv'} lists no sound of this folder and is not used" in library.notes
    with pytest.raises(LibraryError, match=r"lists no sound of .*; its paths begin at the folder that it lies in"):
        find_library(root, tmp_path / "manifest.csv")
    (tmp_path / "manifest.csv").write_text("path,material\n", encoding="utf-8")
    assert labels(find_library(root, tmp_path / "manifest.csv")) == {"metal/a.wav": "metal"}


@pytest.mark.parametrize("text", ["path,material\n", "path,material\n,wood\n", "material,path\nwood\n"])
def test_a_manifest_without_a_path_labels_nothing_and_is_said(tmp_path: Path, text: str) -> None:
    root = touch(tmp_path / "sounds", "metal/a.wav")
    (root / "manifest.csv").write_text(text, encoding="utf-8")
    for given in (None, root / "manifest.csv"):
        library = find_library(root, given)
        assert labels(library) == {"metal/a.wav": "metal"}
        assert f"{root / 'manifest.csv'} has no row with a path: no labels are taken from it" in library.notes


def test_a_manifest_in_the_folder_that_lists_none_of_its_sounds_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "sounds", "metal/a.wav")
    (root / "manifest.csv").write_text("path,material\nD:\\Sounds\\metal\\a.wav,wood\n", encoding="utf-8")
    with pytest.raises(LibraryError, match=r"lists no sound of .*, but such as .*a\.wav; .*--no-manifest"):
        find_library(root)
    assert labels(find_library(root, use_manifest=False)) == {"metal/a.wav": "metal"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", b"path,material\n\x81\x8d,wood\n", "not UTF-8"),
        ("manifest.csv", b'path,material\n"' + b"x" * 200_000 + b'",wood\n', "not a CSV table"),
        ("manifest.jsonl", b'{"path": "a.wav"}\n{"path": 7}\n', "line 2: path"),
        ("manifest.jsonl", b'{"path": "a.wav"}\n{"path": \n', "line 2: not JSON"),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_an_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    root = touch(tmp_path / "sounds", "a.wav")
    (root / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        find_library(root)


def test_a_manifest_without_materials_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    table = tmp_path / "table.csv"
    table.write_text("path;Stoff;Author\na.wav;wood;Ann\n")
    with pytest.raises(ManifestError) as refused:
        find_library(tmp_path, table)
    assert "has no column named material (columns found: path, Stoff, author)" in str(refused.value)
    table.write_text("path;material;Author\na.wav;;Ann\n")
    (sound,) = find_library(tmp_path, table).sounds
    assert (sound.material, sound.label_from, sound.columns["author"]) == (None, None, "Ann")


def test_rows_without_a_path_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    (tmp_path / "manifest.csv").write_text("path,material\n,wood\n , \na.wav,glass\n,,\n,metal\n")
    library = find_library(tmp_path)
    assert labels(library) == {"a.wav": "glass"}
    assert "rows of manifest.csv without a path, left out: 2 (first: line 2)" in library.notes


def test_many_unknown_materials_are_not_all_listed(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    table = tmp_path / "table.csv"
    table.write_text("path,material\n" + "".join(f"a.wav,{'long' * 50}{row:03}\n" for row in range(100)))
    (note,) = (note for note in find_library(tmp_path, table).notes if "not one of the 17" in note)
    assert "100 (" in note
    assert note.endswith(", …)")
    assert len(note) < 600
