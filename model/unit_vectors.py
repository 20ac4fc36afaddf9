"""Arrays of unit vectors in a bundle: L2-normalised embeddings, stored as float16 `[N, d]` in a .npy file."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file
from model.bundle import Bundle
from model.errors import BundleError

Embeddings = npt.NDArray[np.float32]

# Rounding 128 numbers to float16 changes a vector's length by far less.
_LENGTH_TOLERANCE = 0.01


def save_unit_vectors(path: Path, embeddings: Embeddings) -> None:
    """Write L2-normalised `embeddings [N, d]` to `path`, atomically. The same embeddings give the same bytes.

    Raises ValueError unless there is at least one row and all are finite and of length 1.
    """
    _check(embeddings)
    with atomic_file(path) as aside, aside.open("wb") as out:
        np.save(out, embeddings.astype(np.float16), allow_pickle=False)


def load_unit_vectors(bundle: Bundle, name: str) -> Embeddings:
    """The file `name` of `bundle`, float32 `[N, d]`, L2-normalised again after its storage in float16.

    Raises BundleError where it is broken or of another embedding size.
    """
    path = bundle.file(name)
    try:
        stored = _read(path)
        if stored.dtype != np.float16:
            raise ValueError(f"it is {stored.dtype}, not float16")
        _check(stored)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: {error}") from error
    if stored.shape[1] != bundle.spec.embedding_size:
        raise BundleError(
            f"{path} holds embeddings of {stored.shape[1]} numbers; "
            f"those of the bundle have {bundle.spec.embedding_size}"
        )
    exact = stored.astype(np.float32)
    vectors: Embeddings = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return vectors


def _read(path: Path) -> npt.NDArray[np.generic]:
    """The array of a .npy file, memory-mapped: so a false size in its header reserves no memory."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # what a damaged header raises depends on where it is damaged
        raise ValueError(f"it cannot be read as a NumPy array (.npy): {error}") from error


def _check(embeddings: npt.NDArray[np.generic]) -> None:
    if embeddings.ndim != 2 or len(embeddings) == 0:
        raise ValueError(f"it is {list(embeddings.shape)}, not [N, d] with at least one row")
    lengths = np.linalg.norm(embeddings.astype(np.float32), axis=1)
    # An infinity or a NaN has no such length either.
    bad = np.flatnonzero(~(np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE))
    if len(bad):
        raise ValueError(f"{len(bad)} of its {len(embeddings)} rows are not of length 1 (first: row {bad[0]})")
