"""The result of one run: what was trained, on what, how it measured; what reports are written from."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from model.atomic import atomic_file
from model.errors import TrainingError
from training.data.dataset import Validation
from training.measures.records import AnySplit, Epoch

T = TypeVar("T")

RESULT_FILE = "result.json"


class RunResult(BaseModel):
    """`result.json` of a run. Measures are shares in [0, 1]; an `..._interval` is a 95 % bootstrap over videos.

    `val` and `test` are what `training.measures.evaluate.evaluate` gave: `ClassMeasures` of sound and fc_agg,
    `LabelMeasures` of visual, `TowerMeasures` of tt_agg, and `NotMeasured` where the split cannot be measured.
    `recipe` is as it was trained, perhaps by another version of Thud, whose keys are not all of today's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict[str, Any]
    seed: int
    validation: Validation
    epochs: int
    checkpoint: str
    dataset: str
    steps: int | None = None
    command: str
    device: str
    precision: str
    versions: dict[str, str]
    seconds: float
    samples_per_second: float
    history: list[Epoch]
    val: AnySplit
    test: AnySplit

    @property
    def run(self) -> str:
        """Recipe, dataset, validation, seed and steps as text: two results that have the same are of one run."""
        return json.dumps([self.recipe, self.dataset, self.validation, self.seed, self.steps], sort_keys=True)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.recipe["name"])

    @property
    def system(self) -> str:
        """Which of the paper's four systems the recipe trains: sound, visual, fc_agg or tt_agg."""
        return str(self.recipe["system"])


_ONE = TypeAdapter(RunResult)
RESULTS = TypeAdapter(list[RunResult])
"""The list of runs in a report's numbers.json."""


def versions() -> dict[str, str]:
    """What decides the numbers of a run besides its recipe, data and seed."""
    return {name: version(name) for name in ("thud", "torch", "torchvision", "numpy")}


def write_result(result: RunResult, run: Path) -> None:
    """Write the run's result beside its checkpoint."""
    with atomic_file(run / RESULT_FILE) as aside:
        aside.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_result(run: Path) -> RunResult:
    """Read the result of a run. Raises TrainingError if there is none, or if it is not valid."""
    if not (run / RESULT_FILE).exists():
        raise TrainingError(f"{run} has no {RESULT_FILE}")
    return _read(run / RESULT_FILE, _ONE)


def load_numbers(file: Path) -> list[RunResult]:
    """Read the results in a report's numbers.json. Raises TrainingError if it cannot be read, or is not valid."""
    return _read(file, RESULTS)


def _read(file: Path, kind: TypeAdapter[T]) -> T:
    try:
        return kind.validate_json(file.read_bytes())
    except OSError as error:
        raise TrainingError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise TrainingError(f"{file} is not valid: {error.errors()[0]['msg']}") from error
