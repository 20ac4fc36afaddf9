"""Towers in INT8: exact kernels where the fastest ones saturate, and the precision that is reported."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from model.bundle import IMAGE_TOWER, Bundle
from model.runtime import TowerRuntime
from tests.tiny_bundle import write_tiny_bundle

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def opened_as(monkeypatch: pytest.MonkeyPatch, default: Bundle, exact: Bundle) -> None:
    """Let all sessions compute with the towers of `default`, and of `exact` where they are exact."""
    opened = TowerRuntime._open

    def instead(runtime: TowerRuntime, name: str, **options: Any) -> onnxruntime.InferenceSession:
        return opened(TowerRuntime(exact if options.get("exact") else default), name, **options)

    monkeypatch.setattr(TowerRuntime, "_open", instead)


def test_a_tower_whose_sums_saturate_is_computed_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", precision="int8")
    others = write_tiny_bundle(tmp_path / "others", seed=1)
    wanted = TowerRuntime(bundle).embed_pictures(PICTURES).embedding
    session = TowerRuntime(bundle)._open("image_tower.onnx")
    if session.get_session_options().get_session_config_entry("session.x64quantprecision") == "1":
        pytest.skip("exact kernels are forced on every session here, so that none can saturate")
    assert TowerRuntime(bundle).precision == "int8"
    opened_as(monkeypatch, others, bundle)
    runtime = TowerRuntime(bundle)
    assert runtime.precision == "int8 by exact kernels"
    np.testing.assert_array_equal(runtime.embed_pictures(PICTURES).embedding, wanted)
    clips = np.zeros((1, bundle.spec.clip.samples), np.float32)
    clips[0, 100] = 1.0
    assert runtime.embed_clips(clips).shape == (1, 128)


def test_a_tower_in_float_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    others = write_tiny_bundle(tmp_path / "others", seed=1)
    wanted = TowerRuntime(bundle).embed_pictures(PICTURES).embedding
    opened_as(monkeypatch, bundle, others)
    runtime = TowerRuntime(bundle)
    assert runtime.precision == "float32"
    np.testing.assert_array_equal(runtime.embed_pictures(PICTURES).embedding, wanted)


def test_a_tower_for_one_picture_at_a_time_embeds_several(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", with_objects=True)
    tower = onnx.load(str(bundle.file(IMAGE_TOWER)))
    tower.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save_model(tower, str(tmp_path / "one.onnx"))
    one = write_tiny_bundle(tmp_path / "one", others={IMAGE_TOWER: tmp_path / "one.onnx"}, with_objects=True)

    wanted, found = (TowerRuntime(each).embed_pictures(PICTURES) for each in (bundle, one))

    assert found.objects is not None
    assert wanted.objects is not None
    np.testing.assert_allclose(found.embedding, wanted.embedding, atol=1e-6)
    np.testing.assert_allclose(found.objects, wanted.objects, atol=1e-6)
