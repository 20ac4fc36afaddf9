"""The history of a run: which epoch was best, whether it is done, and an epoch in one line."""

from typing import Any

from training.evaluate import MONITOR
from training.recipe import Recipe


def best_epoch(history: list[dict[str, Any]]) -> int | None:
    """Number of the epoch (from 1) that validation found best, the earliest of equals; None without validation."""
    judged = [(record["val"][MONITOR], -record["epoch"]) for record in history if "val" in record]
    return -max(judged)[1] if judged else None


def finished(recipe: Recipe, history: list[dict[str, Any]]) -> bool:
    """Whether a run with this history is done: all epochs, or none better for `patience` epochs."""
    best = best_epoch(history)
    tired = recipe.patience > 0 and best is not None and len(history) - best >= recipe.patience
    return tired or len(history) >= recipe.epochs


def told(record: dict[str, Any], epochs: int) -> str:
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
