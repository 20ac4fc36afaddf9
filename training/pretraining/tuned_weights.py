"""Fine-tuned weights of the picture network, kept as what was added to ImageNet's, in few bits.

A folder has one file for the network that was fitted on all photographs, and one for each group of sources, of the
network that was fitted without it: heads are calibrated and measured on networks that have not seen the group.
`shipped` has those of the bundle that ships; `thud fine-tune` writes such a folder.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from model.atomic import atomic_file
from model.errors import TrainingError
from model.files import file_record, read_arrays
from model.materials import MATERIALS
from model.torch_towers.networks import PooledNetwork
from training.pretraining.classifier import LinearClassifier
from training.pretraining.features import contents, pretrained_network
from training.pretraining.material_files import MaterialFiles

SHIPPED = Path(str(files("training.pretraining.tuning"))) / "shipped"
ALL = "all"
_LARGEST, _LARGEST_OF_VECTORS = 7, 127
"""The most steps that a weight of a convolution, or of a vector, is changed by: 4 and 8 bits."""
_OURS = re.compile(r"(all|without-.+)\.npz|\.(all|without-.+)\.npz\.thud-.*")
_CLASSIFIER = ("classifier weight", "classifier bias")


class AboutTuned(BaseModel):
    """What the weights in a file were made of.

    `network` was fitted on so many photographs of each of `sources`, none of the group `without` (None: of all
    `groups`). `recipe` and `content` (`content_of`) tell one run from another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    without: str | None
    groups: tuple[str, ...]
    sources: dict[str, int]
    recipe: dict[str, Any]
    content: str


def content_of(data: Path, files: MaterialFiles) -> dict[str | None, str]:
    """A digest of the photographs of the manifest `data` that may be fitted on; by group, of those but the group's.

    Which of them become queries follows from what is digested: contents, materials, sources and names.
    """
    files = files.only(files.fitted)
    columns = (contents(files.paths), files.material.tolist(), files.source.tolist(), files.names(data))
    lines = np.array([" ".join(map(str, line)) for line in zip(*columns, strict=True)])
    groups: list[str | None] = [None, *sorted(set(files.group.tolist()))]
    return {
        without: hashlib.sha256("\n".join(sorted(lines[files.group != without].tolist())).encode()).hexdigest()
        for without in groups
    }


@dataclass(frozen=True)
class TunedWeights:
    """The folder of fine-tuned weights `folder`."""

    folder: Path

    def file(self, without: str | None) -> Path:
        """Where the weights of the network that was fitted without the group are, or without none."""
        return self.folder / (f"{ALL}.npz" if without is None else f"without-{quote(without, safe='')}.npz")

    def about(self, without: str | None) -> AboutTuned:
        """What a file says of itself. Raises TrainingError where it is not there or damaged."""
        return self._read(without, ())[0]

    def check(self, data: Path, files: MaterialFiles) -> None:
        """Raise TrainingError unless all networks are there, of one run on the photographs `files` of `data`."""
        whole, contents = self.about(None), content_of(data, files)
        for without, content in contents.items():
            found = self.about(without)
            wanted = whole.model_copy(update={"without": without, "content": content, "sources": found.sources})
            if found != wanted or set(found.groups) != contents.keys() - {None}:
                raise TrainingError(f"{self.file(without)} was fitted on other photographs than these of {data}")
            self.network(without)

    def network(self, without: str | None) -> tuple[PooledNetwork, LinearClassifier]:
        """The network in evaluation mode, its last layer ImageNet's, and the classifier fitted together with it.

        Raises TrainingError as `about`.
        """
        about = self.about(without)
        network = pretrained_network(about.network)
        names = [name for name, _ in network.features.named_parameters()]
        _, stored = self._read(
            without, [*_CLASSIFIER, *(part for name in names for part in (name, f"{name} step"))]
        )
        shapes = {name: tuple(weight.shape) for name, weight in network.features.named_parameters()}
        shapes |= {f"{name} step": (shape[0] if len(shape) > 1 else 1,) for name, shape in list(shapes.items())}
        shapes |= zip(
            _CLASSIFIER, ((len(MATERIALS), network.projection.in_features), (len(MATERIALS),)), strict=True
        )
        for name, shape in shapes.items():
            if stored[name].shape != shape or not np.isfinite(stored[name]).all():
                raise TrainingError(f"{self.file(without)}: {name} does not fit {about.network}")
        with torch.no_grad():
            for name, weight in network.features.named_parameters():
                added = stored[name].astype(np.float32) * _columns(stored[f"{name} step"], weight.ndim)
                weight.copy_(weight + torch.from_numpy(added))
        return network.eval(), LinearClassifier(*(torch.from_numpy(stored[part]) for part in _CLASSIFIER))

    def identity(self, without: str | None) -> dict[str, object]:
        """What tells the weights from others: the SHA-256 of their file."""
        return {"tuned": file_record(self.file(without)).sha256}

    def described(self) -> dict[str, Any]:
        """For a bundle: the digest of the weights of the network of all photographs, and what they were made of."""
        about = self.about(None)
        return {**self.identity(None), "pictures": about.sources, "recipe": about.recipe}

    def _read(self, without: str | None, names: Sequence[str]) -> tuple[AboutTuned, Mapping[str, npt.NDArray[Any]]]:
        file = self.file(without)
        try:
            stored = read_arrays(file, ("about", *names))
            return AboutTuned.model_validate_json(str(stored["about"])), stored
        except FileNotFoundError:
            raise TrainingError(f"{file} is not there; `thud fine-tune` writes it") from None
        except (OSError, ValueError) as error:  # ValidationError is a ValueError
            what = "what it says of itself cannot be read" if isinstance(error, ValidationError) else error
            raise TrainingError(f"{file} has no fine-tuned weights: {what}") from None


def check_tuned_folder(folder: Path) -> None:
    """Raise TrainingError where `folder` holds anything but networks of `thud fine-tune`."""
    others = [path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name)] if folder.is_dir() else []
    if others:
        raise TrainingError(f"{folder} holds other files, such as {min(others)}; choose another folder")


def save_tuned(file: Path, features: nn.Module, classifier: LinearClassifier, about: AboutTuned) -> None:
    """Write to `file` what the weights of `features` are more than ImageNet's, in steps, and `classifier`.

    Each output channel of a convolution has a step of its own, and so has each other vector of weights.
    """
    before = dict(pretrained_network(about.network).features.named_parameters())
    arrays: dict[str, Any] = {"about": np.array(about.model_dump_json())}
    for name, weight in features.named_parameters():
        added = (weight - before[name]).detach().numpy()
        rows, most = (added[None], _LARGEST_OF_VECTORS) if added.ndim == 1 else (added, _LARGEST)
        largest = np.abs(rows.reshape(len(rows), -1)).max(axis=1)
        steps = np.maximum(largest, np.finfo(np.float32).tiny * most) / most
        arrays[name] = np.round(added / _columns(steps, added.ndim)).astype(np.int8)
        arrays[f"{name} step"] = steps.astype(np.float32)
    arrays |= dict(zip(_CLASSIFIER, (classifier.weight.numpy(), classifier.bias.numpy()), strict=True))
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as aside, aside.open("wb") as out:
        np.savez_compressed(out, **arrays)


def _columns(steps: npt.NDArray[np.float32], dimensions: int) -> npt.NDArray[np.float32]:
    """The steps `[channels]` beside weights of so many dimensions."""
    return steps.reshape(-1, *[1] * (dimensions - 1))
