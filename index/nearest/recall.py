"""How many of the nearest vectors a search of inverted lists finds, and how many lists it must search for that."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from index.nearest.vector_file import Rows, Vectors, normalised

WANTED_RECALL = 0.997
"""Above 0.99, so that pictures which were not among the queries find 0.99 too."""

FIRST_K = 10
LARGEST_K = 1000

_NOISE_LENGTH = np.float32(2.0)
_TOLERANCE = np.float32(2e-6)  # by which two float32 sums of the same numbers can differ


@dataclass(frozen=True)
class Probes:
    """How many lists are searched for k neighbours: `first` for `FIRST_K` or fewer, `most` for `k` of them."""

    first: int
    most: int
    k: int

    def at(self, k: float) -> int:
        """The number for `k` neighbours: a power of k between the two that were measured, and beyond them."""
        if k <= FIRST_K or self.k <= FIRST_K:
            return self.first
        power = math.log(self.most / self.first) / math.log(self.k / FIRST_K)
        return math.ceil(self.first * math.pow(k / FIRST_K, power))


class Lists(Protocol):
    """Inverted lists, of which `len` is the number."""

    def __len__(self) -> int: ...

    def nearest(self, queries: Vectors, k: int, probes: int, /) -> tuple[Vectors, Rows]:
        """Scores and rows `[q, k]` of the nearest in the `probes` nearest lists; row -1 where they hold fewer."""
        ...


class RecallMeter:
    """Measures the recall of `lists` with `queries [q, c]`, as `VectorFile.comparing` makes them.

    A neighbour counts as found if it is as near as the exact neighbour of rank k.
    """

    def __init__(self, lists: Lists, queries: Vectors, vectors: int) -> None:
        self._lists = lists
        self._queries = queries
        self.first_k = min(FIRST_K, vectors)
        self.largest_k = min(LARGEST_K, vectors)
        exact, _ = lists.nearest(queries, self.largest_k, len(lists))
        self._exact = np.sort(exact, axis=1)[:, ::-1]

    def recall(self, k: int, probes: int) -> float:
        """Recall@k where `probes` lists are searched."""
        scores, rows = self._lists.nearest(self._queries, k, probes)
        least = self._exact[:, k - 1, None] - _TOLERANCE
        found: npt.NDArray[np.bool_] = (rows >= 0) & (scores >= least)
        return float(found.mean())

    def fewest_probes(self, k: int) -> int:
        """The fewest lists, to an eighth of a power of 2, with at least `WANTED_RECALL`."""
        steps = sorted({min(len(self._lists), round(2 ** (step / 8))) for step in range(8 * 20)})
        below, enough = -1, len(steps) - 1
        while enough - below > 1:
            middle = (below + enough) // 2
            if self.recall(k, steps[middle]) >= WANTED_RECALL:
                enough = middle
            else:
                below = middle
        return steps[enough]


def imitated_pictures(vectors: Vectors, columns: npt.NDArray[np.int64]) -> Vectors:
    """Queries `[n, d]` for a bundle without pictures: `vectors [n, d]` with noise, then 0 outside `columns`.

    Embeddings of pictures are distributed otherwise than those of sounds: a random vector of length 2 is added to
    each, which leaves a cosine of about 0.45 to the sound.
    """
    noise = np.random.default_rng(0).standard_normal(vectors.shape, np.float32)
    moved = vectors + _NOISE_LENGTH * normalised(noise)
    queries = np.zeros_like(vectors)
    queries[:, columns] = moved[:, columns]
    return normalised(queries)
