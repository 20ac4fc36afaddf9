"""The heads of a bundle: from embeddings to how likely each material is, calibrated.

`heads.npz` holds the float32 arrays `picture_weights [17, d]`, `picture_bias [17]`, `sound_weights [17, d]` and
`sound_bias [17]`, d being the embedding's size and the rows the materials in the order of their ids. Whatever
calibrates them (a temperature, a bias of each material) is folded in. Arrays of other names are ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file, read_arrays
from model.bundle import HEADS, Bundle
from model.errors import BundleError
from model.materials import MATERIALS, material_named

Weights = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaterialHeads:
    """A linear head for pictures and one for sounds. Raises ValueError for arrays of another type or shape."""

    picture_weights: Weights
    picture_bias: Weights
    sound_weights: Weights
    sound_bias: Weights

    def __post_init__(self) -> None:
        size = self.picture_weights.shape[1] if self.picture_weights.ndim == 2 else "d"
        for name, array in self._arrays().items():
            shape = (len(MATERIALS), size) if name.endswith("weights") else (len(MATERIALS),)
            if array.dtype != np.float32 or array.shape != shape:
                wanted = ", ".join(map(str, shape))
                raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, not float32 [{wanted}]")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has values that are not finite")

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return int(self.picture_weights.shape[1])

    def pictures(self, embeddings: Embeddings) -> Probabilities:
        """Probabilities `[B, 17]` that the materials are in the picture, from L2-normalised `[B, d]`.

        Several materials can be in one picture, so they need not add up to 1.
        """
        logits = embeddings @ self.picture_weights.T + self.picture_bias
        # The sigmoid, written so that no logit overflows.
        probabilities: Probabilities = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * logits))
        return probabilities

    def sounds(self, embeddings: Embeddings) -> Probabilities:
        """Probabilities `[B, 17]`, adding up to 1, of the sound's material, from L2-normalised `[B, d]`."""
        logits = embeddings @ self.sound_weights.T + self.sound_bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Probabilities = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    @classmethod
    def load(cls, bundle: Bundle) -> "MaterialHeads | None":
        """The heads of `bundle`, None where it has none. Raises BundleError where they cannot be used."""
        if HEADS not in bundle.spec.files:
            return None
        path = bundle.file(HEADS)
        try:
            heads = cls(**read_arrays(BytesIO(bundle.read(HEADS)), [field.name for field in fields(cls)]))
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from error
        if bundle.spec.materials != tuple(material.name for material in MATERIALS):
            raise BundleError(f"{path}: the bundle's materials are not the 17 that its heads are about")
        if heads.embedding_size != bundle.spec.embedding_size:
            raise BundleError(
                f"{path} is for embeddings of {heads.embedding_size} numbers; "
                f"those of the bundle have {bundle.spec.embedding_size}"
            )
        return heads

    def save(self, path: Path) -> None:
        """Write the heads to `path`, whole or not at all. The same heads give the same bytes."""
        with atomic_file(path) as aside, aside.open("wb") as out:
            arrays: dict[str, Any] = self._arrays()
            np.savez(out, **arrays)

    def _arrays(self) -> dict[str, Weights]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
