"""Hubs: sounds that are near to nearly every picture, and what takes them out of answers they do not belong to.

A hub's similarity to each picture loses the sound's bias, `strength` times the mean of its largest cosines with a
bank of training pictures: nearest-neighbour normalisation (Chowdhury et al. 2024, arXiv 2410.24114).
"""

import numpy as np
import numpy.typing as npt

from model.bundle import Hubness

Embeddings = npt.NDArray[np.float32]
Biases = npt.NDArray[np.float32]

_PART = 2**21  # cosines held at a time


def hub_biases(sounds: Embeddings, bank: Embeddings, hubness: Hubness) -> Biases:
    """The bias `[n]` of each of `sounds [n, d]` against `bank [N, d]`; all are L2-normalised.

    Where the bank has fewer pictures than `hubness.neighbours`, the mean is over all of it.
    """
    nearest = min(hubness.neighbours, len(bank))
    # In float64 a product's last bits, which depend on where in the matrix a row stands, are lost in rounding
    # to float32: copies of one sound get one bias.
    pictures = bank.astype(np.float64).T
    biases = np.empty(len(sounds), np.float32)
    step = max(1, _PART // len(bank))
    for start in range(0, len(sounds), step):
        cosines = sounds[start : start + step].astype(np.float64) @ pictures
        cosines.partition(len(bank) - nearest, axis=1)
        biases[start : start + step] = hubness.strength * cosines[:, len(bank) - nearest :].mean(axis=1)
    return biases


def occurrences(
    pictures: Embeddings, sounds: Embeddings, biases: Biases | None = None, k: int = 10
) -> npt.NDArray[np.int64]:
    """How often each of `sounds [n, d]` is among the `k` first of a picture `[N, d]`, as `[n]` (sum N min(k, n)).

    They are ranked by cosine less their bias, to 6 decimals; of equals the earlier come first.
    """
    k = min(k, len(sounds))
    counts = np.zeros(len(sounds), np.int64)
    step = max(1, _PART // len(sounds))
    for start in range(0, len(pictures), step):
        scores = pictures[start : start + step] @ sounds.T
        if biases is not None:
            scores -= biases
        scores = np.round(scores, 6)
        last = np.partition(scores, len(sounds) - k, axis=1)[:, len(sounds) - k, None]
        above, level = scores > last, scores == last
        room = k - above.sum(axis=1, keepdims=True)
        counts += (above | (level & (level.cumsum(axis=1) <= room))).sum(axis=0)
    return counts


def skewness(counts: npt.NDArray[np.int64]) -> float:
    """Third standardised moment of `counts [n]`: 0 where all are equal, large where a few sounds are hubs.

    Of k-occurrences it is the measure of hubness (Radovanović et al. 2010, S_Nk).
    """
    if np.ptp(counts) == 0:
        return 0.0
    away = counts - counts.mean()
    return float((away**3).mean() / counts.std() ** 3)
