"""Hubs, sounds that are near to almost every picture: the bias that corrects them, the bank, and measures.

Nearest-neighbour normalisation (Chowdhury et al. 2024, arXiv 2410.24114): from a sound's cosine with any picture
its hub bias is subtracted, `strength` times the mean of its largest cosines with a bank of training pictures. The
bank is `bank.npy` of a bundle. `occurrences` and `skewness` measure how strong hubs are.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file
from model.bundle import BANK, Bundle, Hubness
from model.errors import BundleError

Embeddings = npt.NDArray[np.float32]
Biases = npt.NDArray[np.float32]

_COSINES_AT_A_TIME = 2**21  # 16 MiB in float64

SCORE_DECIMALS = 6
"""To how many decimals similarities and probabilities are rounded before they are compared: copies of one sound
must tie, though the last bits of their cosines depend on where in a matrix they stand."""


def hub_biases(sounds: Embeddings, bank: Embeddings, hubness: Hubness) -> Biases:
    """The bias `[n]` of each of `sounds [n, d]` against `bank [N, d]`; all are L2-normalised.

    Where the bank has fewer pictures than `hubness.neighbours`, the mean is over all of it.
    """
    nearest = min(hubness.neighbours, len(bank))
    # The last bits of a matrix product depend on a row's position. Computed in float64 they are lost in rounding to
    # float32, so that copies of one sound get the same bias.
    pictures = bank.astype(np.float64).T
    biases = np.empty(len(sounds), np.float32)
    step = max(1, _COSINES_AT_A_TIME // len(bank))
    for start in range(0, len(sounds), step):
        cosines = sounds[start : start + step].astype(np.float64) @ pictures
        cosines.partition(len(bank) - nearest, axis=1)
        biases[start : start + step] = hubness.strength * cosines[:, len(bank) - nearest :].mean(axis=1)
    return biases


def occurrences(
    pictures: Embeddings, sounds: Embeddings, biases: Biases | None = None, k: int = 10
) -> npt.NDArray[np.int64]:
    """How often each of `sounds [n, d]` is among the first `k` of a picture, over `pictures [N, d]`, as `[n]`.

    The k-occurrences N_k of Radovanović et al. 2010; they add up to N min(k, n). Sounds are ranked by cosine minus
    bias, rounded to `SCORE_DECIMALS` decimals; of equal ones the earlier comes first.
    """
    k = min(k, len(sounds))
    counts = np.zeros(len(sounds), np.int64)
    step = max(1, _COSINES_AT_A_TIME // len(sounds))
    for start in range(0, len(pictures), step):
        scores = pictures[start : start + step] @ sounds.T
        if biases is not None:
            scores -= biases
        scores = np.round(scores, SCORE_DECIMALS)
        last = np.partition(scores, len(sounds) - k, axis=1)[:, len(sounds) - k, None]
        above, tied = scores > last, scores == last
        left = k - above.sum(axis=1, keepdims=True)
        counts += (above | (tied & (tied.cumsum(axis=1) <= left))).sum(axis=0)
    return counts


def skewness(counts: npt.NDArray[np.int64]) -> float:
    """Third standardised moment of `counts [n]`: 0 where all are equal, large where a few sounds are hubs.

    The skewness of k-occurrences is the measure of hubness S_Nk (Radovanović et al. 2010).
    """
    if np.ptp(counts) == 0:
        return 0.0
    deviations = counts - counts.mean()
    return float((deviations**3).mean() / counts.std() ** 3)


# Rounding 128 numbers to float16 changes a vector's length by far less.
_LENGTH_TOLERANCE = 0.01


def save_bank(path: Path, embeddings: Embeddings) -> None:
    """Write L2-normalised `embeddings [N, d]` to `path`, atomically. The same embeddings give the same bytes.

    Raises ValueError unless there is at least one row and all are finite and of length 1.
    """
    _check(embeddings)
    with atomic_file(path) as aside, aside.open("wb") as out:
        np.save(out, embeddings.astype(np.float16), allow_pickle=False)


def load_bank(bundle: Bundle) -> Embeddings:
    """The bank of `bundle`, float32 `[N, d]`, L2-normalised again after its storage in float16.

    Raises BundleError where there is none, or one that is broken or of another embedding size.
    """
    path = bundle.file(BANK)
    if BANK not in bundle.spec.files:
        raise BundleError(f"{bundle.folder} has no {BANK}, which its hubness asks for")
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
    pictures = stored.astype(np.float32)
    bank: Embeddings = pictures / np.linalg.norm(pictures, axis=1, keepdims=True)
    return bank


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
