"""The curves of a run for TensorBoard, in RUN/tensorboard."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class Curves:
    """Writes loss, learning rate, speed and validation measures; a run that goes on writes over what it repeats."""

    def __init__(self, run: Path, steps_done: int, writes: bool = True) -> None:
        self._writer = SummaryWriter(str(run / FOLDER), purge_step=steps_done + 1) if writes else None

    def step(self, step: int, loss: float, rate: float) -> None:
        """A look within an epoch: the mean loss of the epoch so far, and the learning rate."""
        if self._writer is not None:
            self._writer.add_scalar("step/loss", loss, step)
            self._writer.add_scalar("step/learning_rate", rate, step)

    def epoch(self, record: dict[str, Any]) -> None:
        """A finished epoch: every number of its record, at the step that ended it."""
        if self._writer is None:
            return
        for name, value in _numbers(record, ""):
            if name not in ("epoch", "step"):
                self._writer.add_scalar(f"epoch/{name}", value, record["step"])
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def _numbers(record: dict[str, Any], above: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{above}{name}/")
        elif isinstance(value, int | float):
            found.append((above + name, value))
    return found
