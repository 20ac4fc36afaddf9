"""Running out of memory, told with advice instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.errors import TrainingError

_PHRASES = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise TrainingError with the advice where the device or the machine runs out of memory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(phrase in str(error) for phrase in _PHRASES):
            raise
        raise TrainingError(f"the device ran out of memory; {advice}") from error
