"""The bundle's format: what is written is read back, and what was changed is refused."""

import hashlib
import json
from pathlib import Path

import pytest

from model.atomic import atomic_file, atomic_folder
from model.bundle import IMAGE_TOWER, SPEC_FILE, load_bundle
from model.errors import BundleError
from tests.tiny_bundle import write_tiny_bundle


def edit(bundle: Path, **changes: object) -> None:
    """Change bundle.json and make its checksum fit again."""
    spec = {**json.loads((bundle / SPEC_FILE).read_text()), **changes}
    rest = {key: value for key, value in spec.items() if key != "checksum"}
    spec["checksum"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    (bundle / SPEC_FILE).write_text(json.dumps(spec))


def test_round_trip(tmp_path: Path) -> None:
    written = write_tiny_bundle(tmp_path / "b")
    assert load_bundle(tmp_path / "b") == written
    assert write_tiny_bundle(tmp_path / "again").id == written.id
    assert write_tiny_bundle(tmp_path / "other", seed=1).id != written.id
    edit(tmp_path / "b", unheard_of="an addition of a later version")
    assert load_bundle(tmp_path / "b").id == written.id


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "b")
    tower = tmp_path / "b" / IMAGE_TOWER
    data = bytearray(tower.read_bytes())
    data[len(data) // 2] ^= 1
    tower.write_bytes(data)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path / "b")


def test_a_flipped_letter_in_the_spec_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "b")
    text = (tmp_path / "b" / SPEC_FILE).read_text()
    (tmp_path / "b" / SPEC_FILE).write_text(text.replace('"wood"', '"wooe"'))
    with pytest.raises(BundleError, match="its checksum"):
        load_bundle(tmp_path / "b")


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.txt").write_text("mine")
    with pytest.raises(BundleError, match="is no bundle"):
        write_tiny_bundle(tmp_path / "holiday")
    assert (tmp_path / "holiday" / "photo.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert write_tiny_bundle(tmp_path / "empty") == load_bundle(tmp_path / "empty")


def test_changed_preprocessing_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "b")
    edit(tmp_path / "b", picture={"size": 64, "resize": "crop"})
    with pytest.raises(BundleError, match="was changed"):
        load_bundle(tmp_path / "b")


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"it has no bundle\.json"):
        load_bundle(tmp_path)
    write_tiny_bundle(tmp_path / "b")
    edit(tmp_path / "b", format_version=2)
    with pytest.raises(BundleError, match="format 2; this version of Thud reads format 1"):
        load_bundle(tmp_path / "b")
    edit(tmp_path / "b", format_version=1, clip={"sample_rate": "fast"})
    with pytest.raises(BundleError, match=r"clip\.sample_rate"):
        load_bundle(tmp_path / "b")
    edit(tmp_path / "b", clip={}, files={})
    with pytest.raises(BundleError, match="lists no image_tower"):
        load_bundle(tmp_path / "b")
    (tmp_path / "b" / SPEC_FILE).write_text("[]")
    with pytest.raises(BundleError, match="format None"):
        load_bundle(tmp_path / "b")
    (tmp_path / "b" / SPEC_FILE).write_bytes(b"\xff{")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(tmp_path / "b")


def test_a_file_outside_the_bundle_is_refused(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    files = {name: record.model_dump() for name, record in bundle.spec.files.items()}
    edit(tmp_path / "b", files={**files, "../secret": {"sha256": "0", "bytes": 0}})
    with pytest.raises(BundleError, match="outside the bundle"):
        load_bundle(tmp_path / "b")


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "file") as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    before = write_tiny_bundle(tmp_path / "folder")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "folder") as folder:
        (folder / "half").write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "file").read_text() == "old"
    assert load_bundle(tmp_path / "folder") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "folder.towers"]
