"""Which photographs become the queries of the bundle: neither heads nor calibration see them."""

import hashlib

import numpy as np
import numpy.typing as npt

MOST_OF_A_SOURCE = 10
"""Of a source's pictures at most one in so many is a query."""


def choose_queries(
    paths: list[str], source: npt.NDArray[np.str_], fitted: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.bool_]:
    """Which of N pictures are queries, `[N]`: `count` of those that may be `fitted [N]` on, or fewer.

    Sources, `source [N]`, give one each in turn, as long as they have any to give; within one the order is that of
    the SHA-256 of `paths [N]`, relative to the manifest: the same files give the same choice in any order.
    """
    digests = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
    offered: list[tuple[int, str, int]] = []
    for name in sorted(set(source[fitted].tolist())):
        rows = sorted(np.flatnonzero(fitted & (source == name)).tolist(), key=digests.__getitem__)
        kept = rows[: len(rows) // MOST_OF_A_SOURCE]
        offered += [(turn, digests[row], row) for turn, row in enumerate(kept)]
    chosen = np.zeros(len(paths), np.bool_)
    chosen[[row for _, _, row in sorted(offered)[:count]]] = True
    return chosen
