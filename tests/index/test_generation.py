"""Generations: named by content, published whole, refused when anything about them is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.building.records import code_files
from index.generation import CATALOGUE, SPEC_FILE, IndexSpec, open_generation
from index.nearest.vectors import VECTORS
from model.bundle import HEADS, Bundle
from model.errors import LibraryError
from tests.index.conftest import Strike
from tests.model.test_atomic import record_disk
from tests.model.test_files import NO_FILES, ODD_JSON
from tests.tiny_bundle import tiny_heads, write_tiny_bundle

FILES = {".lock", "cache.sqlite", "current", "generations", "library.json", "skipped.tsv"}


@pytest.fixture
def built(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    return tmp_path / "index"


def test_it_is_named_by_its_content(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    first = build_index(tiny_bundle, sounds, tmp_path / "one").spec
    second = build_index(tiny_bundle, sounds, tmp_path / "two", workers=1).spec
    assert first == second
    for name in (VECTORS, CATALOGUE, SPEC_FILE):
        files = [tmp_path / which / "generations" / first.id / name for which in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()
    (sounds / "unsorted").rename(sounds / "glass")
    assert build_index(tiny_bundle, sounds, tmp_path / "one").spec.id != first.id


def test_the_name_depends_on_bundle_options_contents_and_what_is_known_of_them(
    tiny_bundle: Bundle, other_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    tiny_heads().save(tmp_path / HEADS)
    labelling = write_tiny_bundle(tmp_path / "labelling", others={HEADS: tmp_path / HEADS}, label_strength=0.8)
    names = [
        build_index(tiny_bundle, sounds, tmp_path / "1").spec.id,
        build_index(other_bundle, sounds, tmp_path / "2").spec.id,
        build_index(labelling, sounds, tmp_path / "3").spec.id,
        build_index(labelling, sounds, tmp_path / "4", labels=False).spec.id,
    ]
    strike(sounds / "metal/pan_0.wav", 5000)
    names.append(build_index(tiny_bundle, sounds, tmp_path / "5").spec.id)
    (sounds / "metal/pan_0.wav").rename(sounds / "metal/pot.wav")
    names.append(build_index(tiny_bundle, sounds, tmp_path / "6").spec.id)
    (sounds / "copy.wav").write_bytes((sounds / "metal/pot.wav").read_bytes())
    names.append(build_index(tiny_bundle, sounds, tmp_path / "7").spec.id)
    assert len(set(names)) == len(names)


def test_the_file_says_what_the_index_is(built: Path, tiny_bundle: Bundle, sounds: Path) -> None:
    generation = open_generation(built, tiny_bundle.id)
    raw = json.loads((generation.folder / "index.json").read_text(encoding="utf-8"))
    assert raw["format_version"] == 4
    assert (raw["id"], raw["bundle_id"]) == (generation.folder.name, tiny_bundle.id)
    assert (raw["sounds"], raw["embedding_size"], raw["search"]["kind"]) == (9, 128, "flat")
    assert raw["search"]["recall_at_10"] == 1.0
    assert (raw["materials"], raw["unlabelled"]) == ({"metal": 3, "plastic-bag": 1, "wood": 2}, 3)
    assert raw["library_root"] == str(sounds.resolve())
    assert set(raw["files"]) == {"vectors.f32", "catalogue.sqlite"}
    assert raw["files"]["vectors.f32"]["bytes"] == (generation.folder / "vectors.f32").stat().st_size


def test_an_index_of_another_bundle_is_refused(built: Path, tiny_bundle: Bundle, other_bundle: Bundle) -> None:
    message = f"made with bundle {tiny_bundle.id}; you gave bundle {other_bundle.id}: run thud index again"
    with pytest.raises(LibraryError, match=message):
        SoundIndex.open(built, other_bundle)


@pytest.mark.parametrize("name", [VECTORS, CATALOGUE])
def test_a_flipped_bit_is_found(built: Path, tiny_bundle: Bundle, name: str) -> None:
    path = open_generation(built, tiny_bundle.id).folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(LibraryError, match=f"{name} is damaged"):
        SoundIndex.open(built, tiny_bundle)


@pytest.mark.parametrize("name", [VECTORS, CATALOGUE, SPEC_FILE])
def test_a_missing_file_is_found(built: Path, tiny_bundle: Bundle, name: str) -> None:
    (open_generation(built, tiny_bundle.id).folder / name).unlink()
    with pytest.raises(LibraryError, match=f"{name} cannot be read"):
        SoundIndex.open(built, tiny_bundle)


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ("0123456789abcdef", "names generation 0123456789abcdef, which is not there"),
        ("../../etc/passwd", "names no generation"),
        ("", "names no generation"),
        ("\u00e9", "names no generation"),
    ],
)
def test_a_pointer_to_nothing_is_refused(built: Path, tiny_bundle: Bundle, pointer: str, message: str) -> None:
    (built / "current").write_text(pointer, encoding="utf-8")
    with pytest.raises(LibraryError, match=message):
        SoundIndex.open(built, tiny_bundle)


@pytest.mark.parametrize("kind", [kind for kind in NO_FILES if kind != "missing"])
@pytest.mark.parametrize("name", ["current", SPEC_FILE, VECTORS, CATALOGUE])
def test_what_is_no_file_in_place_of_one_is_refused_at_once(
    built: Path, tiny_bundle: Bundle, name: str, kind: str
) -> None:
    path = built / name if name == "current" else open_generation(built, tiny_bundle.id).folder / name
    path.unlink()
    NO_FILES[kind][0](path)
    with pytest.raises(LibraryError, match=f"{name} (cannot be read: |is damaged: its size)") as caught:
        SoundIndex.open(built, tiny_bundle)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ODD_JSON)
def test_an_index_json_that_is_odd_is_refused(built: Path, tiny_bundle: Bundle, kind: str) -> None:
    path = open_generation(built, tiny_bundle.id).folder / SPEC_FILE
    path.write_bytes(ODD_JSON[kind][0])
    with pytest.raises(LibraryError, match=f"{SPEC_FILE} cannot be read: .*{ODD_JSON[kind][1]}"):
        SoundIndex.open(built, tiny_bundle)


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path, tiny_bundle: Bundle) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(LibraryError, match="is not an index"):
            SoundIndex.open(folder, tiny_bundle)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(format_version=2), "index format 2; this version of Thud reads format 4"),
        (lambda raw: raw.pop("format_version"), "index format None"),
        (lambda raw: raw.update(sounds="many"), "sounds: "),
        (lambda raw: raw.update(files={}), "lists"),
        (lambda raw: raw.update(id="0123456789abcdef"), "belongs to generation"),
        (lambda raw: raw.update(sounds=8), "does not fit together"),
        (lambda raw: raw.update(sounds=-1), "sounds: "),
        (lambda raw: raw.update(sounds=10**12), "sounds: "),
        (lambda raw: raw.update(embedding_size=10**12), "embedding_size: "),
        (lambda raw: raw.update(bundle_id="a\nb"), "bundle_id: "),
        (lambda raw: raw.update(library_root="/a\0b"), "library_root: "),
        (lambda raw: raw.update(format_version=["a\n" * 1000]), "index format"),
        (lambda raw: raw["files"].update({"a\nb": {"sha256": "", "bytes": 0}}), "lists not"),
        (lambda raw: raw["files"].update({"a\nb": {"sha256": "", "bytes": -1}}), "bytes'?: "),
        (lambda raw: raw["files"][VECTORS].update(bytes=10**12), "is damaged: its size"),
        (lambda raw: raw["files"][CATALOGUE].update(bytes=10**300), "is damaged: its size"),
    ],
)
def test_an_index_json_that_does_not_fit_is_refused(
    built: Path, tiny_bundle: Bundle, change: Change, message: str
) -> None:
    path = open_generation(built, tiny_bundle.id).folder / SPEC_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(LibraryError, match=message) as caught:
        SoundIndex.open(built, tiny_bundle)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_keys_of_a_later_minor_version_are_ignored(built: Path, tiny_bundle: Bundle) -> None:
    path = open_generation(built, tiny_bundle.id).folder / SPEC_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(raw | {"not_heard_of_yet": 3}), encoding="utf-8")
    assert isinstance(open_generation(built, tiny_bundle.id).spec, IndexSpec)


def test_the_previous_generation_is_kept_and_older_ones_go(
    built: Path, tiny_bundle: Bundle, sounds: Path, strike: Strike
) -> None:
    def generations() -> set[str]:
        return {folder.name for folder in (built / "generations").iterdir()}

    first = (built / "current").read_text().strip()
    leftover = built / "generations" / f".{first}.abc123"  # of a run that was killed while publishing
    leftover.mkdir()
    other = built / "generations" / "notes"  # not ours
    other.mkdir()
    file = built / "generations" / ("0" * 16)  # no generation is a file
    file.touch()
    reader = SoundIndex.open(built, tiny_bundle)
    strike(sounds / "glass" / "one.wav", 1500)
    second = build_index(tiny_bundle, sounds, built).spec.id
    assert generations() == {first, second, "notes", file.name}
    leftover.mkdir()
    assert build_index(tiny_bundle, sounds, built).spec.id == second
    assert generations() == {first, second, "notes", file.name}
    strike(sounds / "glass" / "two.wav", 1700)
    third = build_index(tiny_bundle, sounds, built).spec.id
    assert generations() == {second, third, "notes", file.name}
    # What opened the first generation goes on answering from it.
    assert (reader.id, len(reader)) == (first, 9)
    assert len(reader.search(np.eye(1, 128, dtype=np.float32)[0], 100)) == 9
    reader.close()


def test_a_generation_is_durable_before_it_is_pointed_to(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = record_disk(monkeypatch)
    spec = build_index(tiny_bundle, sounds, tmp_path / "index").spec
    generations = tmp_path / "index" / "generations"
    files = [generations / spec.id / name for name in (VECTORS, CATALOGUE, SPEC_FILE)]
    pointed_to = happened.index("current")
    assert max(happened.index(file.stat().st_ino) for file in files) < happened.index(spec.id) < pointed_to
    assert generations.stat().st_ino in happened[happened.index(spec.id) : pointed_to]
    assert (tmp_path / "index").stat().st_ino in happened[pointed_to:]
    # A run may have been killed when the generation stood and its name was not on disk yet.
    (tmp_path / "index" / "current").unlink()
    happened.clear()
    build_index(tiny_bundle, sounds, tmp_path / "index")
    assert generations.stat().st_ino in happened[: happened.index("current")]


def test_a_journal_of_a_killed_run_goes_with_the_next(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "cache.sqlite-journal").write_bytes(b"of a run that was killed" * 100)
    build_index(tiny_bundle, sounds, tmp_path / "index")
    assert {path.name for path in (tmp_path / "index").iterdir()} == FILES


def test_a_damaged_generation_is_mended_by_building_it_again(
    built: Path, tiny_bundle: Bundle, sounds: Path
) -> None:
    generation = open_generation(built, tiny_bundle.id)
    (generation.folder / VECTORS).write_bytes(b"damaged")
    build_index(tiny_bundle, sounds, built)
    assert open_generation(built, tiny_bundle.id).spec == generation.spec


def test_building_from_a_moved_folder_renews_the_library_root(
    built: Path, tiny_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    before = open_generation(built, tiny_bundle.id).spec
    sounds.rename(tmp_path / "moved")
    build_index(tiny_bundle, tmp_path / "moved", built)
    after = open_generation(built, tiny_bundle.id).spec
    assert after.id == before.id
    assert after.library_root == str((tmp_path / "moved").resolve())


def test_a_change_of_the_tables_of_words_is_one_of_the_records() -> None:
    assert {"names.toml", "objects.toml", "facts.py", "words.py"} <= {file.name for file in code_files()}
