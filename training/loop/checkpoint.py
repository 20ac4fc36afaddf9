"""The checkpoint: everything a training run needs to go on where it stopped, or to be used."""

import hashlib
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from model.atomic import atomic_file
from model.errors import TrainingError
from model.torch_towers.two_tower import TwoTower
from training.data.dataset import DatasetInfo, Validation
from training.loop.fit_options import FitOptions
from training.measures.results import RunResult
from training.systems.recipe import Recipe
from training.systems.systems import System, TtAgg, build_system

FORMAT_VERSION = 2
CHECKPOINT_FILE = "checkpoint.pt"
BEST_FILE = "best.pt"


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epoch` finished epochs of `recipe` with `seed` on the dataset that `info` describes.

    `system` holds the weights that are trained, `average` those that are used (the same unless the recipe
    averages). `history` has one record an epoch.
    """

    epoch: int
    recipe: dict[str, Any]
    seed: int
    validation: Validation
    precision: str
    command: str
    info: dict[str, Any]
    system: dict[str, Any]
    average: dict[str, Any] | None
    optimizer: dict[str, Any]
    history: list[dict[str, Any]]
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    steps: int | None = None
    format_version: int = FORMAT_VERSION

    @property
    def weights(self) -> dict[str, Any]:
        """The weights to use: averaged ones where there are any."""
        return self.system if self.average is None else self.average

    @property
    def id(self) -> str:
        """16 hex digits that change with any of the weights to use."""
        digest = hashlib.sha256()
        for name, value in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def dataset(self) -> DatasetInfo:
        """What the dataset was."""
        return DatasetInfo.model_validate(self.info)

    def build(self) -> System:
        """The system with the weights to use, on the CPU."""
        system = build_system(Recipe.model_validate(self.recipe), self.dataset, self.seed, pretrained=False)
        system.load_state_dict(self.weights)
        return system.eval()

    def towers(self) -> TwoTower:
        """The two towers with the weights to use. Raises TrainingError if another system was trained."""
        system = self.build()
        if not isinstance(system, TtAgg):
            raise TrainingError(f"the run trained {self.recipe['system']}, which has no two towers; tt_agg has")
        return system.towers().eval()


def result_of(checkpoint: Checkpoint, measured: dict[str, Any], command: str) -> RunResult:
    """The result of a checkpoint that measured as `training.measures.evaluate.evaluate` says, by `command`."""
    seconds = sum(record["seconds"] for record in checkpoint.history)
    samples = sum(record["seconds"] * record["samples_per_second"] for record in checkpoint.history)
    return RunResult(
        recipe=checkpoint.recipe,
        seed=checkpoint.seed,
        validation=checkpoint.validation,
        epochs=checkpoint.epoch,
        checkpoint=checkpoint.id,
        dataset=checkpoint.info["id"],
        command=f"{checkpoint.command} && {command}",
        device=checkpoint.device,
        steps=checkpoint.steps,
        precision=checkpoint.precision,
        versions=checkpoint.versions,
        seconds=seconds,
        samples_per_second=samples / seconds,
        history=checkpoint.history,
        val=measured["val"],
        test=measured["test"],
    )


def save_checkpoint(checkpoint: Checkpoint, file: Path) -> None:
    """Write a checkpoint; the one before stays whole until the new one is. Raises TrainingError if it cannot be."""
    try:
        with atomic_file(file) as aside:
            torch.save(asdict(checkpoint), aside)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        kept = "the one before it is kept" if file.exists() else "nothing is kept of this run"
        raise TrainingError(f"{file} cannot be written ({reason}): is the disk full? {kept}") from error


def load_judged(run: Path, best: bool | None = None) -> Checkpoint:
    """The checkpoint of a run that is to be used: the last epoch's, or the one that validation found best.

    By default the last, but the best where the recipe stops early: the last is then one of those that were no
    better. Raises TrainingError if there is none, or if it is broken.
    """
    last = load_checkpoint(run)
    if best is None:
        best = Recipe.model_validate(last.recipe).patience > 0 and (run / BEST_FILE).exists()
    return load_checkpoint(run, BEST_FILE) if best else last


def load_checkpoint(run: Path, name: str = CHECKPOINT_FILE) -> Checkpoint:
    """Read a checkpoint of a run. Raises TrainingError if there is none, or if it is broken."""
    file = run / name
    try:
        # weights_only: a checkpoint from elsewhere must not be able to run code.
        fields = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        why = "validation never judged it" if (run / CHECKPOINT_FILE).exists() else "it is not a training run"
        raise TrainingError(f"{run} has no {name}: {why}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{file} is broken: {str(error).splitlines()[0]}") from error
    if not isinstance(fields, dict) or fields.get("format_version") != FORMAT_VERSION:
        raise TrainingError(f"{file} is not a checkpoint of format {FORMAT_VERSION}")
    try:
        checkpoint = Checkpoint(**fields)
        Recipe.model_validate(checkpoint.recipe)
        DatasetInfo.model_validate(checkpoint.info)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first["loc"] else first["msg"]
        raise TrainingError(f"{file} is a checkpoint of another version of Thud ({what})") from error
    except TypeError as error:
        raise TrainingError(f"{file} is not a checkpoint of this version: {error}") from error
    return checkpoint


def checkpoint_to_resume(run: Path, recipe: Recipe, dataset_id: str, options: FitOptions) -> Checkpoint | None:
    """The checkpoint in `run`, None if there is none.

    Raises TrainingError if it is of another recipe, seed, validation, dataset, number of steps or precision: what
    a run reports must hold for all of its epochs. More epochs of a recipe whose learning rate is constant are
    the same run, going on.
    """
    if not (run / CHECKPOINT_FILE).exists():
        return None
    checkpoint = load_checkpoint(run)
    before, now = Recipe.model_validate(checkpoint.recipe).model_dump(), recipe.model_dump()
    epochs = (before.pop("epochs"), now.pop("epochs"))
    differing = [key for key in now if before[key] != now[key]]
    if differing:
        raise TrainingError(
            f"{run} holds a run of another recipe (it differs in {', '.join(differing)}); choose another folder"
        )
    for what, theirs, ours in (
        ("seed", checkpoint.seed, options.seed),
        ("way of holding out validation data", checkpoint.validation, options.validation),
        ("dataset", checkpoint.info["id"], dataset_id),
        ("number of steps an epoch", checkpoint.steps, options.steps),
    ):
        if theirs != ours:
            raise TrainingError(f"{run} holds a run with another {what}; choose another folder")
    precision = "bf16" if options.bf16 else "fp32"
    if checkpoint.precision != precision:
        raise TrainingError(
            f"{run} holds a run in {checkpoint.precision}, not {precision}; go on with --precision "
            f"{checkpoint.precision}, or choose another folder"
        )
    if epochs[0] != epochs[1] and (recipe.schedule != "constant" or recipe.warm_up):
        raise TrainingError(
            f"{run} was begun for {epochs[0]} epochs, over which its learning rate is scheduled, not for "
            f"{epochs[1]}; choose another folder"
        )
    if checkpoint.epoch > epochs[1]:
        raise TrainingError(f"{run} has {checkpoint.epoch} epochs behind it, more than the {epochs[1]} asked for")
    return checkpoint
