"""What a bundle tells of a picture, or of each of several parts of one: what sounds are searched with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.answers.answer import Shown, rounded
from index.answers.objects import MaterialFit, shown_objects
from index.answers.recommendation import PictureObject
from index.nearest.vectors import Vectors
from model.bundle import BundleSpec
from model.heads import MaterialHeads
from model.picture import has_contrast
from model.runtime import TowerRuntime


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture's L2-normalised `embedding [128]`, and what it shows; None where the bundle does not tell.

    `materials [17]`: the probabilities that it shows each. `recognised`: whether something to touch is in it.
    """

    embedding: Vectors
    materials: Shown | None
    recognised: bool | None
    objects: list[PictureObject] | None

    def fit(self, heads: MaterialHeads | None) -> MaterialFit | None:
        """How well sounds fit it by their materials, None where the bundle has no `heads`."""
        return None if heads is None or self.materials is None else MaterialFit(heads, self.materials)


def seen(
    towers: TowerRuntime, heads: MaterialHeads | None, pictures: Sequence[npt.NDArray[np.uint8]]
) -> list[Seen]:
    """What the bundle tells of each of `pictures`, uint8 `[size, size, 3]`, from one run of the image tower."""
    found = towers.embed_pictures(np.stack(pictures))
    return told(towers.bundle.spec, heads, found.embedding, found.objects, pictures)


def told(
    spec: BundleSpec,
    heads: MaterialHeads | None,
    embeddings: Vectors,
    objects: Vectors | None,
    pictures: Sequence[npt.NDArray[np.uint8]],
) -> list[Seen]:
    """What the bundle tells of each of the `embeddings [n, 128]` of pictures, or parts of some, uint8 `[h, w, 3]`.

    `objects [n, O]`: the probabilities of the objects of `spec`, None where it has none.
    """
    materials: list[Shown | None] = [None] * len(pictures)
    recognised: list[bool | None] = [None] * len(pictures)
    if heads is not None:
        materials = list(rounded(heads.pictures(embeddings)))
        if spec.calibration is not None:
            clear = heads.recognised(embeddings, spec.calibration.recognised)
            # In a picture without contrast nothing is recognised, whatever its embedding.
            recognised = [has_contrast(one) and bool(its) for one, its in zip(pictures, clear, strict=True)]
    shown = [
        shown_objects(None if objects is None else objects[number : number + 1], spec.objects)
        for number in range(len(pictures))
    ]
    return [Seen(*one) for one in zip(embeddings, materials, recognised, shown, strict=True)]
