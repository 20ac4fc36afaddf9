"""Diversity: another order of the best sounds, so that takes of one object do not fill the answer.

The next sound is always the one with the largest maximal marginal relevance (Carbonell & Goldstein 1998): its
value less its cosine to the nearest sound that comes before it. No recording and no material has more than its
share of ten in a row, as long as there are others.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from index.nearest.vectors import Rows, Vectors

BLOCK = 256
"""So many sounds, in the order of the ranking, are put into another order among themselves."""
WINDOW = 10
"""The caps hold from the first to the tenth sound, from the eleventh to the twentieth, and so on."""


def diversified(
    values: npt.NDArray[np.float64],
    vectors: Vectors,
    materials: Rows,
    recordings: Rows,
    diversity: float,
    most: int,
    before: Sequence[int] = (),
) -> Rows:
    """The next `most` places, after those `before`, of another order of n sounds that come best first.

    By their `values [n]`, `vectors [n, d]`, and the ids of their `materials [n]` (-1: none, which has no cap) and
    of their `recordings [n]`. `diversity` is 0 (the order as it is) to 1 (as far apart as these n sounds can be).
    Of ten sounds at most 4 are of one recording (1 at diversity 1), at most 10 of one material (6 at diversity 1).
    """
    # Squared, because small weights change most: see docs/decisions/answers.md.
    weight = diversity**2
    caps = ((recordings, 4 - math.floor(3 * diversity)), (materials, WINDOW - math.floor(4 * diversity)))
    order: list[int] = []
    left = np.ones(len(values), np.bool_)
    allowed = left.copy()
    nearest = np.zeros(len(values))
    while len(order) < min(len(before) + most, len(values)):
        if len(order) % WINDOW == 0:
            allowed[:] = True
        if len(order) < len(before):
            best = before[len(order)]
        else:
            candidates = np.flatnonzero(left & allowed)
            if not candidates.size:
                candidates = np.flatnonzero(left)
            merit = (1 - weight) * values[candidates] - weight * nearest[candidates]
            best = int(candidates[np.argmax(merit)])
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, np.einsum("rd,d->r", vectors, vectors[best]))
        window = order[-(len(order) % WINDOW or WINDOW) :]
        for ids, cap in caps:
            if ids[best] >= 0 and np.count_nonzero(ids[window] == ids[best]) >= cap:
                allowed &= ids != ids[best]
    return np.array(order[len(before) :], np.int64)
