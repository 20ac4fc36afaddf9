"""The weights of aiSFX: as published, rounded to 8 bits, and stored so."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model.errors import TrainingError
from model.runtime import session_options
from model.torch_towers.aisfx import AisfxNetwork
from training.pretraining import aisfx_weights
from training.pretraining.aisfx_weights import aisfx_network
from training.pretraining.stored_weights import rounded_weights, store_in_8_bits
from training.pretraining.tower_precision import precision_of


@pytest.fixture(scope="module")
def network() -> AisfxNetwork:
    pytest.importorskip("aisfx", reason="needs the weights in the package aisfx")
    return aisfx_network()


def test_the_published_weights_tell_a_ringing_tone_from_noise(network: AisfxNetwork) -> None:
    levels = torch.zeros(2, 1, 31, 96)
    levels[0, 0, 5:, 40] = 0.8
    levels[1, 0, 5:] = 0.5
    with torch.inference_mode():
        tone, noise = torch.nn.functional.normalize(network(levels), dim=1)
    assert torch.isfinite(tone).all()
    assert 0 < float(tone @ noise) < 0.9


def test_weights_are_rounded_to_127_steps_of_each_channel() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4, 3, 3)).astype(np.float32)
    weight[2] = 0
    rounded = rounded_weights(weight)
    steps = np.abs(weight).max(axis=(1, 2, 3)) / 127
    assert (np.abs(rounded - weight).max(axis=(1, 2, 3)) <= 0.51 * steps).all()
    np.testing.assert_allclose(rounded_weights(rounded), rounded, rtol=1e-6)


def test_a_tower_stored_in_8_bits_is_a_quarter_and_gives_the_same(network: AisfxNetwork, tmp_path: Path) -> None:
    levels = torch.rand(2, 1, 31, 96, generator=torch.manual_seed(0))
    file, small = tmp_path / "tower.onnx", tmp_path / "small.onnx"
    torch.onnx.export(network, (levels,), str(file), dynamo=True, external_data=False, verbose=False)
    store_in_8_bits(file, small)
    onnx.checker.check_model(str(small))
    assert small.stat().st_size < 0.27 * file.stat().st_size
    outputs = []
    for tower, exact in ((file, False), (small, False), (small, True)):
        session = onnxruntime.InferenceSession(str(tower), session_options(1, exact=exact))
        outputs.append(session.run(None, {session.get_inputs()[0].name: levels.numpy()})[0])
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(outputs[1], outputs[2])
    assert precision_of(file, "tower") == "The tower is computed in float."
    assert precision_of(small, "tower") == "The tower is computed in float, from weights in 8 bits."


def test_a_package_that_is_missing_or_changed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(aisfx_weights, "_PACKAGE", "no_such_package")
        with pytest.raises(TrainingError, match=r"^the weights .* pip install --no-deps aisfx==0\.1\.2$"):
            aisfx_network()
    pytest.importorskip("aisfx", reason="needs the weights in the package aisfx")
    monkeypatch.setattr(aisfx_weights, "_DIGEST", "0" * 64)
    with pytest.raises(TrainingError, match="is damaged"):
        aisfx_network()
