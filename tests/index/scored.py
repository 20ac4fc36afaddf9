"""Libraries of drawn vectors, and what a search of them must give: every vector is scored."""

from collections.abc import Mapping

import numpy as np

from index.catalogue import SoundRecord
from index.catalogue.filters import SoundFilter
from index.nearest.vectors import Vectors
from tests.index.catalogues import sound

SIZE = 8
WOOD = SoundFilter(material=("wood",))


def library(seed: int, sounds: int, most_hits: int) -> tuple[list[SoundRecord], Vectors, Vectors]:
    """Records, the vectors of their hits, of which many are equal, and their biases."""
    draws = np.random.default_rng(seed)
    counts = draws.integers(1, most_hits + 1, sounds)
    vectors = draws.integers(-1, 2, (counts.sum(), SIZE)).astype(np.float32) + np.float32(0.1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    records = [
        sound(
            row,
            path=f"{'abc'[row * 3 // sounds]}/take_{row:04}.wav",
            hits=tuple(float(number) for number in range(count)),
            ends=tuple(number + 0.5 for number in range(count)),
            hit=float(count - 1),
            material=["wood", "metal", None][draws.integers(3)],
            objects=("cup",) if draws.random() < 0.3 else (),
        )
        for row, count in enumerate(counts.tolist())
    ]
    return records, vectors, draws.choice([0, 0.1, 0.3], len(vectors)).astype(np.float32)


def by_hand(
    records: list[SoundRecord],
    vectors: Vectors,
    biases: Vectors | None,
    query: Vectors,
    only: SoundFilter | None,
    shares: Mapping[str, float],
) -> list[tuple[int, float]]:
    """Rows and seconds of the hits that matched, best first, by scoring every vector."""
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    scores = np.round(scores - (0 if biases is None else biases.astype(np.float64)), 6)
    past = np.cumsum([len(record.hits) for record in records]).tolist()
    found = []
    for row, record in enumerate(records):
        if only and record.material != "wood":
            continue
        its = scores[past[row] - len(record.hits) : past[row]]
        units = np.rint(its * 1e6)
        its = np.rint(units - 0.25 * (units - units.sum() / len(units))) / 1e6
        gain = 2 * max((shares.get(name, 0.0) for name in record.objects), default=0.0)
        best = int(np.argmax(np.round(its + gain, 6)))
        found.append((-round(float(its[best]) + gain, 6), row, record.hits[best]))
    return [(row, hit) for _, row, hit in sorted(found)]
