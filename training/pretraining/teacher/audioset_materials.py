"""What AudioSet's classes say of the materials of a sound, by a table written by hand: audioset_materials.toml.

A clip of a broken bottle is told as "Glass" or "Shatter" by a network that heard millions of clips, whatever the
microphone and the room. What it says is not used when a library is indexed: the classifier of sounds learns to say
the same from its own features (`fit_sounds`), so that a bundle has no second network.
"""

import hashlib
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor, nn

from model.bundle import ClipSpec
from model.materials import MATERIALS
from training.pretraining.teacher.yamnet import CLASSES, SECONDS, YamnetSpectrogram, class_names, yamnet

_LEAST = 0.03
"""Added to a material's sum before its logarithm is taken: what is less likely says nothing."""


class HeardMaterials(nn.Module):
    """Clips float32 `[B, samples]` of SECONDS or more to `[B, 17]`: the logarithm of what speaks for each material.

    Less the mean of all materials. What speaks for one is the sum of its classes' probabilities, weighted by the
    table. Raises TrainingError as `yamnet`.
    """

    weights: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.samples = round(SECONDS * sample_rate)
        self.hear = nn.Sequential(YamnetSpectrogram(sample_rate), yamnet())
        self.register_buffer("weights", class_weights().T.contiguous())

    def forward(self, clips: Tensor) -> Tensor:
        """Logarithms `[B, 17]`."""
        said = torch.log(self.hear(clips[:, : self.samples]) @ self.weights + _LEAST)
        return said - said.mean(dim=1, keepdim=True)


def class_weights() -> Tensor:
    """The table's weights of AudioSet's classes for each of the 17 materials, 0 to 1, `[17, 521]`."""
    names = class_names()
    weights = torch.zeros(len(MATERIALS), CLASSES)
    for material in MATERIALS:
        for weight, classes in _table()[material.name].items():
            for name in classes:
                weights[material.id, names.index(name)] = float(weight)
    return weights


def teacher_clip(clip: ClipSpec) -> ClipSpec:
    """As `clip`, but at least as long as YAMNet needs."""
    return clip.model_copy(update={"after": max(clip.after, SECONDS - clip.before)})


def table_digest() -> str:
    """A digest of the table and of what is made of it: features that were kept for another are computed anew."""
    return hashlib.sha256(_text().encode() + str(_LEAST).encode()).hexdigest()


@cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_text())


def _text() -> str:
    return (files("training.pretraining.teacher") / "audioset_materials.toml").read_text(encoding="utf-8")
