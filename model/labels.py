"""Labels in the vectors of sounds: what a person said a sound is of counts for more than what a tower hears."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.heads import MaterialHeads
from model.materials import material_named

Vectors = npt.NDArray[np.float32]


def fold_labels(
    vectors: Vectors, materials: Sequence[str | None], heads: MaterialHeads, strength: float
) -> Vectors:
    """`vectors [n, d]` with the labels in `materials [n]` drawn into them, L2-normalised; the others as they were.

    A labelled vector becomes `1 - strength` times itself plus `strength` times the direction in which the head for
    sounds finds its material. From 0, which changes nothing, to 1, which keeps nothing of what was heard.
    """
    ids = np.array(
        [-1 if (found := material_named(name or "")) is None else found.id for name in materials],
        dtype=np.int64,
    )
    lengths = np.linalg.norm(heads.sound_weights, axis=1, keepdims=True)
    # A material that the head has no direction for cannot be drawn to.
    labelled = np.flatnonzero((ids >= 0) & (lengths[ids, 0] > 0))
    directions = heads.sound_weights / np.where(lengths > 0, lengths, 1)
    drawn = (1.0 - strength) * vectors[labelled] + strength * directions[ids[labelled]]
    folded = vectors.copy()
    length = np.linalg.norm(drawn, axis=1)
    # A vector that points just away from its material has nowhere to be drawn to.
    reached = length > 0
    folded[labelled[reached]] = drawn[reached] / length[reached, None]
    return folded
