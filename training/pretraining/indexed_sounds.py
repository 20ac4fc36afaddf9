"""Sounds ranked as an index ranks them: by cosine minus hub bias, with or without their labels in the vectors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.bundle import Hubness
from model.heads import MaterialHeads, blend_labels
from model.hubness import Biases, hub_biases
from model.materials import MATERIALS

Embeddings = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IndexedSounds:
    """L sounds as in an index: L2-normalised `vectors [L, d]`, and hub `biases [L]` where there is a bank."""

    vectors: Embeddings
    biases: Biases | None

    def cosines(self, pictures: Embeddings) -> Floats:
        """The cosines `[P, L]` with `pictures [P, d]`, in float64, so that copies of a sound are equal."""
        found: Floats = pictures.astype(np.float64) @ self.vectors.astype(np.float64).T
        return found

    def scores(self, pictures: Embeddings) -> Floats:
        """The scores `[P, L]` for `pictures [P, d]`: cosines minus biases."""
        cosines = self.cosines(pictures)
        return cosines if self.biases is None else cosines - self.biases


def place(vectors: Embeddings, hubness: Hubness | None = None, bank: Embeddings | None = None) -> IndexedSounds:
    """The sounds `vectors [L, d]` with their hub biases against `bank [N, d]`, if there are one and a `hubness`."""
    return IndexedSounds(
        vectors, hub_biases(vectors, bank, hubness) if hubness is not None and bank is not None else None
    )


def with_labels(vectors: Embeddings, material: Ids, heads: MaterialHeads, strength: float) -> Embeddings:
    """`vectors [L, d]` of sounds that all have a label, `material [L]`, moved towards it (`blend_labels`)."""
    return blend_labels(vectors, [MATERIALS[id_].name for id_ in material], heads, strength)
