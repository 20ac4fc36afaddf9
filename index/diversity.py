"""Diversity: another order of the best sounds, so that takes of one object do not fill the answer."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from index.vectors import Rows, Vectors

BLOCK = 256
"""So many sounds, in the order of the ranking, are put into another order among themselves."""
WINDOW = 10
"""Caps hold in each so many results."""

_TAKE = re.compile(r"[\s_\-.()#]*\d+[a-z]?[\s_\-.()]*$", re.IGNORECASE)


def recording_of(path: str) -> str:
    """What takes of one object have in common: the path without its ending and the number at its end."""
    stem = path.rpartition(".")[0]
    return _TAKE.sub("", stem) or stem


def diversified(
    values: npt.NDArray[np.float64],
    vectors: Vectors,
    materials: Rows,
    recordings: Sequence[str],
    strength: float,
) -> Rows:
    """An order of n sounds that are given best first, with `values [n]`, `vectors [n, d]`, `materials [n]`.

    `strength` is 0 (the order that is given) to 1.
    """
    left = list(range(len(values)))
    order: list[int] = []
    closest = np.full(len(values), -1.0)
    most = 1 + round((1 - strength) * (WINDOW - 1))
    used: Counter[str] = Counter()
    while left:
        if len(order) % WINDOW == 0:
            used.clear()
        allowed = [one for one in left if used[recordings[one]] < most] or left
        merit = (1 - strength) * values[allowed] - strength * closest[allowed]
        best = allowed[int(np.argmax(merit))]
        left.remove(best)
        order.append(best)
        used[recordings[best]] += 1
        closest = np.maximum(closest, vectors @ vectors[best])
    return np.array(order, np.int64)
