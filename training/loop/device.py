"""The device that trains: choosing it, and what to say when its memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.errors import TrainingError
from training.systems.recipe import Recipe


def choose_device(wanted: str = "auto") -> torch.device:
    """The device by name, or for "auto" the first there is of CUDA, Apple's GPU and the CPU.

    Raises TrainingError if the wanted device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, present in there.items() if present)
    kind = wanted.split(":")[0]
    if not there.get(kind, False):
        raise TrainingError(
            f"there is no device {wanted!r} here; there is {', '.join(k for k in there if there[k])}"
        )
    try:
        return torch.device(wanted)
    except RuntimeError as error:
        raise TrainingError(f"{wanted!r} is no device; write cpu, cuda, cuda:1 or mps") from error


def numbered(device: torch.device) -> torch.device:
    """The same device, a GPU by its number: torch takes no other where a thread is to use it."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise TrainingError with the advice where the device or the machine runs out of memory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(phrase in str(error) for phrase in _OUT_OF_MEMORY):
            raise
        raise TrainingError(f"the device ran out of memory; {advice}") from error


def memory_advice(recipe: Recipe) -> str:
    """What to do when memory runs out while this recipe is trained."""
    also = f" or pictures_per_batch ({recipe.pictures_per_batch})" if recipe.sampling == "grid" else ""
    return (
        f"lower batch_size (now {recipe.batch_size}){also} in the recipe, or prepare smaller pictures; the "
        "checkpoint of the last epoch is kept"
    )
