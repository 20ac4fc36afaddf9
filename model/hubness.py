"""Hubs, sounds that are near to almost every picture: the bias that corrects them, the bank, and measures.

Nearest-neighbour normalisation (Chowdhury et al. 2024, arXiv 2410.24114): from a sound's cosine with any picture
its hub bias is subtracted, `strength` times the mean of its largest cosines with a bank of training pictures. The
bank is `bank.npy` of a bundle. `occurrences` and `skewness` measure how strong hubs are.
"""

import numpy as np
import numpy.typing as npt

from model.bundle import BANK, Bundle, Hubness
from model.errors import BundleError
from model.unit_vectors import Embeddings, load_unit_vectors

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


def load_bank(bundle: Bundle) -> Embeddings:
    """The bank of `bundle`, float32 `[N, d]`, L2-normalised.

    Raises BundleError where there is none, or one that is broken or of another embedding size.
    """
    if BANK not in bundle.spec.files:
        raise BundleError(f"{bundle.folder} has no {BANK}, which its hubness asks for")
    return load_unit_vectors(bundle, BANK)
