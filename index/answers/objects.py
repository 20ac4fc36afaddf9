"""The everyday objects that a picture shows, and what a sound that names one of them gains."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.answers.recommendation import PictureObject
from index.nearest.vectors import Vectors
from model.bundle import ObjectSpec
from model.heads import MaterialHeads
from model.hubness import SCORE_DECIMALS

MOST_SHOWN = 5


def shown_objects(probabilities: Vectors | None, spec: ObjectSpec | None) -> list[PictureObject] | None:
    """The likeliest objects, at most 5, of `probabilities [1, O]` that count as shown, likeliest first.

    None where the bundle tells none.
    """
    if probabilities is None or spec is None:
        return None
    rounded = np.round(probabilities[0].astype(np.float64), SCORE_DECIMALS)
    likeliest = np.argsort(-rounded, kind="stable")[:MOST_SHOWN].tolist()
    found = [PictureObject(spec.names[column], float(rounded[column])) for column in likeliest]
    return [one for one in found if one.probability >= spec.shown]


def shares(objects: Iterable[PictureObject], weight: float) -> dict[str, float]:
    """What is added to the score of a sound that names each of `objects`; nothing where `weight` is 0."""
    return {one.name: weight * one.probability for one in objects if weight > 0}


@dataclass(frozen=True, eq=False)
class MaterialFit:
    """How well the materials of sounds fit a picture, by the probabilities `in_picture [17]` that it shows each.

    1 is a sound of its likeliest material. So a cup of the picture's material comes before one of another, and
    naming the object does not bring sounds of materials that are not there.
    """

    heads: MaterialHeads
    in_picture: npt.NDArray[np.float64]

    def __call__(self, materials: npt.NDArray[np.int64], unlabelled: Vectors) -> npt.NDArray[np.float64]:
        """The squared ratio `[n]` of a sound's match to the best, from `materials [n]`.

        Ids of materials; where one is -1, `unlabelled [u, d]` has the sound's embedding next.
        """
        best = self.in_picture.max()
        if best <= 0:
            return np.ones(len(materials))
        match: npt.NDArray[np.float64] = self.in_picture[materials]
        match[materials < 0] = self.heads.sounds(unlabelled).astype(np.float64) @ self.in_picture
        ratio: npt.NDArray[np.float64] = np.minimum(1.0, match / best)
        return ratio**2
