"""The history of a run, one record an epoch: its best epoch, whether it is finished, and its curves in TensorBoard.

A record holds `epoch` (from 1), `step` (steps so far), `loss`, `seconds`, `samples_per_second` and, where there is
validation data, `val` with its measures.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from training.measures.evaluate import MONITOR
from training.systems.recipe import Recipe

FOLDER = "tensorboard"
"""Of the curves, in the run's folder."""


def best_epoch(history: list[dict[str, Any]]) -> int | None:
    """The number, from 1, of the epoch that validation found best, the first of equals; None without validation."""
    judged = [(record["val"][MONITOR], -record["epoch"]) for record in history if "val" in record]
    return -max(judged)[1] if judged else None


def finished(recipe: Recipe, history: list[dict[str, Any]]) -> bool:
    """Whether a run with this history is done: all epochs, or none better for `patience` epochs."""
    best = best_epoch(history)
    no_better = recipe.patience > 0 and best is not None and len(history) - best >= recipe.patience
    return no_better or len(history) >= recipe.epochs


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """One line on an epoch: loss, speed, validation, and the time that the training steps still take."""
    text = (
        f"epoch {record['epoch']}/{epochs}: loss {record['loss']:.4f}, {record['samples_per_second']:.1f} samples/s"
    )
    if "val" in record:
        text += "; validation " + ", ".join(f"{name} {value:.4f}" for name, value in _flat(record["val"]))
    left = (epochs - record["epoch"]) * record["seconds"]
    return f"{text}; {left / 60:.0f} min left" if left else text


def _flat(measures: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in measures.items() if isinstance(value, float) and name != MONITOR]


class Curves:
    """Writes loss, learning rate, speed and validation measures to RUN/tensorboard, for TensorBoard.

    A resumed run replaces the steps that it repeats. Where the curves cannot be written, that is said once, and
    training goes on: its checkpoints hold the same numbers.

    Args:
        run: The run's folder.
        steps_done: Steps of the epochs that are finished.
        say: Takes the line that says why there are no curves.
        writes: Whether this process writes; of several, one does.
    """

    def __init__(self, run: Path, steps_done: int, say: Callable[[str], None], writes: bool = True) -> None:
        self._folder, self._say = run / FOLDER, say
        self._writer: SummaryWriter | None = None
        self._other_threads = threading.excepthook
        threading.excepthook = self._of_a_thread
        if writes:
            try:
                self._writer = SummaryWriter(str(self._folder), purge_step=steps_done + 1)
            except OSError as error:
                self._ended(error)

    def step(self, step: int, loss: float, rate: float) -> None:
        """Within an epoch: write the mean loss of the epoch so far, and the learning rate."""
        self._add({"step/loss": loss, "step/learning_rate": rate}, step)

    def epoch(self, record: dict[str, Any]) -> None:
        """After an epoch: write every number of its record, at the step that ended it."""
        found = {f"epoch/{name}": value for name, value in _numbers(record, "") if name not in ("epoch", "step")}
        self._add(found, record["step"], flush=True)

    def _add(self, numbers: dict[str, float], step: int, flush: bool = False) -> None:
        if self._writer is None:
            return
        try:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)
            if flush:
                self._writer.flush()
        except OSError as error:
            self._ended(error)

    def _ended(self, error: OSError) -> None:
        self._say(f"{self._folder} cannot be written ({error.strerror}): is the disk full? The curves end here")
        self._close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # it was said before that the curves cannot be written
                writer.close()

    def _of_a_thread(self, args: threading.ExceptHookArgs) -> None:
        # The writer's thread keeps its error for the next call, which raises it: no traceback is needed here.
        if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
            self._other_threads(args)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        threading.excepthook = self._other_threads


def _numbers(record: dict[str, Any], above: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{above}{name}/")
        elif isinstance(value, int | float):
            found.append((above + name, value))
    return found
