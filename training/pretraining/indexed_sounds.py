"""How an index ranks sounds: by cosine less each one's hub bias, as they are heard or drawn to their labels."""

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
    """L sounds where an index has them: L2-normalised `vectors [L, d]`, and `biases [L]` where hubs are told."""

    vectors: Embeddings
    biases: Biases | None

    def cosines(self, pictures: Embeddings) -> Floats:
        """The cosines `[P, L]` with `pictures [P, d]`, in float64: copies of a sound tie, wherever they stand."""
        found: Floats = pictures.astype(np.float64) @ self.vectors.astype(np.float64).T
        return found

    def scores(self, pictures: Embeddings) -> Floats:
        """What the sounds are ranked by for `pictures [P, d]`: cosines less biases, `[P, L]`."""
        cosines = self.cosines(pictures)
        return cosines if self.biases is None else cosines - self.biases


def place(vectors: Embeddings, hubness: Hubness | None = None, bank: Embeddings | None = None) -> IndexedSounds:
    """The sounds `vectors [L, d]`, labels drawn in or not, with the biases of just these against `bank [N, d]`."""
    return IndexedSounds(
        vectors, hub_biases(vectors, bank, hubness) if hubness is not None and bank is not None else None
    )


def with_labels(vectors: Embeddings, material: Ids, heads: MaterialHeads, strength: float) -> Embeddings:
    """The vectors `[L, d]` of sounds of which all have a label, ids `material [L]`, drawn in (`blend_labels`)."""
    return blend_labels(vectors, [MATERIALS[id_].name for id_ in material], heads, strength)
