"""The heads of a bundle: from embeddings to calibrated probabilities of the 17 materials.

`heads.npz` holds the float32 arrays `picture_weights [17, d]`, `picture_bias [17]`, `sound_weights [17, d]` and
`sound_bias [17]`: d is the embedding's size, the rows are the materials in the order of their ids. The calibration
(a temperature, a bias of each material) is contained in weights and biases. `recognition_weights [18, d]`, which
may be missing, tell a picture of something to touch from others. Arrays of other names are ignored.

The head for sounds also gives each material a direction among the embeddings: `blend_labels` moves the vectors of
labelled sounds in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file
from model.bundle import HEADS, Bundle
from model.errors import BundleError
from model.files import read_arrays
from model.hubness import SCORE_DECIMALS
from model.materials import MATERIALS, material_named

Weights = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaterialHeads:
    """A linear head for pictures and one for sounds. Raises ValueError for arrays of another type or shape.

    `recognition_weights`: 17 rows that are about one material each, and one about all of them; see `recognised`.
    """

    picture_weights: Weights
    picture_bias: Weights
    sound_weights: Weights
    sound_bias: Weights
    recognition_weights: Weights | None = None

    def __post_init__(self) -> None:
        size = self.picture_weights.shape[1] if self.picture_weights.ndim == 2 else "d"
        for name, array in self._arrays().items():
            rows = len(MATERIALS) + (name == "recognition_weights")
            shape = (rows, size) if name.endswith("weights") else (rows,)
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

    def recognised(self, embeddings: Embeddings, least: float) -> npt.NDArray[np.bool_]:
        """Whether something to touch is in the picture `[B]`, from L2-normalised `[B, d]`.

        By the recognition weights: one of the materials' rows and the last row are not negative. Without such
        weights: the likeliest material, as it is shown, has at least the probability `least`.
        """
        if self.recognition_weights is None:
            shown = np.round(self.pictures(embeddings).astype(np.float64), SCORE_DECIMALS)
            return np.asarray(shown.max(axis=1) >= least)
        scores = embeddings @ self.recognition_weights.T
        return np.asarray((scores[:, :-1].max(axis=1) >= 0) & (scores[:, -1] >= 0))

    @classmethod
    def load(cls, bundle: Bundle) -> "MaterialHeads | None":
        """The heads of `bundle`, None where it has none. Raises BundleError where they cannot be used."""
        if HEADS not in bundle.spec.files:
            return None
        path = bundle.file(HEADS)
        try:
            names = [field.name for field in fields(cls) if field.default is not None]
            heads = cls(**read_arrays(BytesIO(bundle.read(HEADS)), names, ["recognition_weights"]))
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
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in arrays.items() if array is not None}


def blend_labels(
    vectors: Embeddings, materials: Sequence[str | None], heads: MaterialHeads, strength: float
) -> Embeddings:
    """Move L2-normalised sound `vectors [n, d]` towards their labels in `materials [n]` (None: no label).

    A labelled vector becomes `1 - strength` times itself plus `strength` times the unit direction that the head for
    sounds has for its material, L2-normalised. `strength` 0 changes nothing, 1 keeps nothing of the sound itself.
    Vectors without a label, or with one that is none of the 17 materials, stay as they are.
    """
    ids = np.array(
        [-1 if (found := material_named(name or "")) is None else found.id for name in materials],
        dtype=np.int64,
    )
    lengths = np.linalg.norm(heads.sound_weights, axis=1, keepdims=True)
    # There is nothing to move towards where the head's weights of a material are all 0.
    labelled = np.flatnonzero((ids >= 0) & (lengths[ids, 0] > 0))
    directions = heads.sound_weights / np.where(lengths > 0, lengths, 1)
    sums = (1.0 - strength) * vectors[labelled] + strength * directions[ids[labelled]]
    blended = vectors.copy()
    length = np.linalg.norm(sums, axis=1)
    # A vector exactly opposite to its material's direction can add up to 0; it stays as it is.
    reached = length > 0
    blended[labelled[reached]] = sums[reached] / length[reached, None]
    return blended
