"""The bundle's format: what is written is read back, and what was changed is refused."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from model.atomic import atomic_file, atomic_folder
from model.bundle import IMAGE_TOWER, SOUND_TOWER, SPEC_FILE, ObjectSpec, load_bundle, write_bundle
from model.errors import BundleError
from model.runtime import TowerRuntime
from tests.model.test_files import NO_FILES, ODD_JSON
from tests.tiny_bundle import OBJECTS, write_tiny_bundle

FIELDS = ("name", "backbones", "embedding_size", "cells", "materials", "picture", "clip")


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


def test_what_pictures_use_of_the_embedding_and_objects_are_declared_or_not(tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain")
    assert (plain.spec.picture_columns, plain.spec.objects) == (None, None)
    raw = json.loads((tmp_path / "plain" / SPEC_FILE).read_text())
    # As bundles were written before there were these fields.
    del raw["picture_columns"], raw["objects"]
    (tmp_path / "plain" / SPEC_FILE).write_text(json.dumps(raw))
    edit(tmp_path / "plain")
    old = load_bundle(tmp_path / "plain").spec
    assert (old.id, old.picture_columns, old.objects) == (plain.id, None, None)
    write_tiny_bundle(tmp_path / "b", with_objects=True, picture_columns=(0, 5, 127))
    spec = load_bundle(tmp_path / "b").spec
    assert spec.picture_columns == (0, 5, 127)
    assert spec.objects == ObjectSpec(names=OBJECTS, shown=0.1)


def test_a_tower_without_the_objects_that_are_declared_is_refused(tmp_path: Path) -> None:
    pictures = np.zeros((1, 64, 64, 3), np.uint8)
    objects = ObjectSpec(names=("bottle", "cup", "door"))
    for bundle in (
        write_tiny_bundle(tmp_path / "none", objects=objects),
        write_tiny_bundle(tmp_path / "fewer", with_objects=True, objects=objects),
        write_tiny_bundle(tmp_path / "unsaid", with_objects=True, objects=None),
    ):
        with pytest.raises(BundleError, match="does not have the outputs that bundle"):
            TowerRuntime(bundle).embed_pictures(pictures)
    found = TowerRuntime(write_tiny_bundle(tmp_path / "b", with_objects=True)).embed_pictures(pictures)
    assert found.objects is not None
    assert found.objects.shape == (1, 2)


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


@pytest.mark.parametrize("kind", ODD_JSON)
def test_a_bundle_json_that_is_odd_is_refused(tmp_path: Path, kind: str) -> None:
    write_tiny_bundle(tmp_path / "b")
    (tmp_path / "b" / SPEC_FILE).write_bytes(ODD_JSON[kind][0])
    with pytest.raises(BundleError, match=f"cannot be read: .*{ODD_JSON[kind][1]}"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", [SPEC_FILE, IMAGE_TOWER])
def test_a_pipe_or_folder_in_place_of_a_file_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    write_tiny_bundle(tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    NO_FILES[kind][0](tmp_path / "b" / name)
    with pytest.raises(BundleError, match=r"cannot be read: |is damaged: its size|it has no bundle\.json"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"picture": {"size": 10**12}}, "picture.size"),
        ({"picture": {"size": -64}}, "picture.size"),
        ({"picture": {"size": [64]}}, "picture.size"),
        ({"clip": {"sample_rate": 10**12}}, "clip.sample_rate"),
        ({"clip": {"before": 1e12}}, "clip.before"),
        ({"clip": {"before": 0, "after": 1e-9}}, "clip: "),
        ({"clip": {"after": -1}}, "clip.after"),
        ({"embedding_size": 10**12}, "embedding_size"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"cells": [10**12, 1]}, "cells.0"),
        ({"cells": [0, 1]}, "cells.0"),
        ({"hubness": {"neighbours": 10**12}}, "hubness.neighbours"),
        ({"files": {"a\nb": {"sha256": "", "bytes": -1}}}, "bytes"),
        ({"files": {"a\0b": {"sha256": "", "bytes": 0}}}, "lists no"),
        ({"materials": 5}, "materials"),
        ({"picture_columns": [0, 128]}, "must rise from 0 to 127"),
        ({"picture_columns": [5, 5]}, "must rise from 0 to 127"),
        ({"picture_columns": []}, "picture_columns"),
        ({"objects": {"names": ["cup", "cup"]}}, "two objects have one name"),
        ({"objects": {"names": []}}, "objects.names"),
        ({"objects": {"names": ["cup"], "shown": 0}}, "objects.shown"),
        ({"format_version": "9" * 10**6}, "format"),
    ],
)
def test_impossible_values_are_refused_in_one_line(tmp_path: Path, changes: dict[str, object], place: str) -> None:
    write_tiny_bundle(tmp_path / "b")
    edit(tmp_path / "b", **changes)
    with pytest.raises(BundleError, match=place) as caught:
        load_bundle(tmp_path / "b")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "..", ""])
def test_a_file_of_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    files = {name: record.model_dump() for name, record in bundle.spec.files.items()}
    edit(tmp_path / "b", files={**files, name: {"sha256": "0", "bytes": 0}})
    with pytest.raises(BundleError, match=r"outside the bundle|cannot be read") as caught:
        load_bundle(tmp_path / "b")
    assert str(caught.value).isprintable()


def test_a_tower_that_changes_after_the_check_is_refused(tmp_path: Path) -> None:
    """Overwritten after the bundle was opened, it is refused; overwritten after it was loaded, it still runs."""
    bundle = write_tiny_bundle(tmp_path / "b")
    pictures = np.full((1, 64, 64, 3), 200, np.uint8)
    runtime = TowerRuntime(bundle)
    before = runtime.embed_pictures(pictures).embedding
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    for name in (IMAGE_TOWER, SOUND_TOWER):
        content = other.file(name).read_bytes()
        assert len(content) == bundle.file(name).stat().st_size
        bundle.file(name).write_bytes(content)
    np.testing.assert_array_equal(runtime.embed_pictures(pictures).embedding, before)
    with pytest.raises(BundleError, match=r"image_tower\.onnx is damaged"):
        TowerRuntime(bundle).embed_pictures(pictures)
    os.truncate(bundle.file(IMAGE_TOWER), 10)
    np.testing.assert_array_equal(runtime.embed_pictures(pictures).embedding, before)


def test_a_tower_whose_weights_lie_in_another_file_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime would map that file, which was not checked."""
    bundle = write_tiny_bundle(tmp_path / "b")
    model = onnx.load(str(bundle.file(IMAGE_TOWER)))
    (tmp_path / "outside").mkdir()
    onnx.save_model(
        model,
        str(tmp_path / "outside" / "tower.onnx"),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=256,
    )
    files = dict.fromkeys((IMAGE_TOWER, SOUND_TOWER), tmp_path / "outside" / "tower.onnx")
    written = write_bundle(
        tmp_path / "c",
        files | {"weights.bin": tmp_path / "outside" / "weights.bin"},
        **{name: getattr(bundle.spec, name) for name in FIELDS},
    )
    with pytest.raises(BundleError, match="cannot be loaded"):
        TowerRuntime(written).embed_pictures(np.zeros((1, 64, 64, 3), np.uint8))


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
