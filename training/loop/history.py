"""The history of a run, one record an epoch: what it says, a line on each, and its curves in RUN/tensorboard."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from training.measures.evaluate import MONITOR
from training.systems.recipe import Recipe


def best_epoch(history: list[dict[str, Any]]) -> int | None:
    """Number of the epoch (from 1) that validation found best, the earliest of equals; None without validation."""
    judged = [(record["val"][MONITOR], -record["epoch"]) for record in history if "val" in record]
    return -max(judged)[1] if judged else None


def finished(recipe: Recipe, history: list[dict[str, Any]]) -> bool:
    """Whether a run with this history is done: all epochs, or none better for `patience` epochs."""
    best = best_epoch(history)
    tired = recipe.patience > 0 and best is not None and len(history) - best >= recipe.patience
    return tired or len(history) >= recipe.epochs


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


FOLDER = "tensorboard"


class Curves:
    """Writes loss, learning rate, speed and validation measures; a run that goes on writes over what it repeats.

    Where they cannot be written that is said once, and training goes on: its checkpoints hold the same numbers.
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
        """A look within an epoch: the mean loss of the epoch so far, and the learning rate."""
        self._add({"step/loss": loss, "step/learning_rate": rate}, step)

    def epoch(self, record: dict[str, Any]) -> None:
        """A finished epoch: every number of its record, at the step that ended it."""
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
            with suppress(OSError):  # what cannot be written was said before
                writer.close()

    def _of_a_thread(self, args: threading.ExceptHookArgs) -> None:
        # The writer's thread keeps what it met for the next call, which tells it; no traceback besides.
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
