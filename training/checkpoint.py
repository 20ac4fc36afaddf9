"""The checkpoint: everything a training run needs to go on where it stopped."""

import hashlib
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from model.atomic import atomic_file
from model.bundle import ClipSpec, PictureSpec
from model.errors import TrainingError
from model.two_tower import TwoTower, build_two_tower
from training.recipe import Recipe

FORMAT_VERSION = 1
CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epoch` finished epochs of `recipe` with `seed` on the dataset `dataset_id`.

    `history` has one record an epoch; `source` is the dataset's provenance.
    """

    epoch: int
    recipe: dict[str, Any]
    seed: int
    dataset_id: str
    source: dict[str, Any]
    picture: dict[str, Any]
    clip: dict[str, Any]
    towers: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    history: list[dict[str, Any]]
    format_version: int = FORMAT_VERSION

    @property
    def id(self) -> str:
        """16 hex digits that change with any weight of the towers."""
        digest = hashlib.sha256()
        for name, value in sorted(self.towers.items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def build(self) -> TwoTower:
        """The two towers with the weights of this checkpoint, on the CPU."""
        recipe = Recipe.model_validate(self.recipe)
        towers = build_two_tower(
            recipe.image_network,
            recipe.sound_network,
            PictureSpec.model_validate(self.picture),
            ClipSpec.model_validate(self.clip),
            self.seed,
        )
        towers.load_state_dict(self.towers)
        return towers


def save_checkpoint(checkpoint: Checkpoint, run: Path) -> None:
    """Write the run's checkpoint; the one before stays whole until the new one is."""
    with atomic_file(run / CHECKPOINT_FILE) as aside:
        torch.save(asdict(checkpoint), aside)


def load_checkpoint(run: Path) -> Checkpoint:
    """Read the checkpoint of a run. Raises TrainingError if there is none, or if it is broken."""
    file = run / CHECKPOINT_FILE
    try:
        # weights_only: a checkpoint from elsewhere must not be able to run code.
        fields = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{run} has no {CHECKPOINT_FILE}: it is not a training run") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{file} is broken: {str(error).splitlines()[0]}") from error
    if not isinstance(fields, dict) or fields.get("format_version") != FORMAT_VERSION:
        raise TrainingError(f"{file} is not a checkpoint of format {FORMAT_VERSION}")
    try:
        return Checkpoint(**fields)
    except TypeError as error:
        raise TrainingError(f"{file} is not a checkpoint of this version: {error}") from error
