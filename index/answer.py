"""The answer to a picture: the sounds that were found, and how likely the material of each is in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.search import Match
from index.vectors import Vectors
from model.bundle import Calibration
from model.heads import MaterialHeads
from model.hubness import SCORE_DECIMALS
from model.materials import MATERIALS, Material, material_named


@dataclass(frozen=True)
class MaterialProbability:
    """How likely (0 to 1) a material is in the picture."""

    material: Material
    probability: float


@dataclass(frozen=True)
class RecommendedSound:
    """A sound that was found; `match` is the probability (0 to 1) that its material is in the picture.

    It is None where the bundle has no heads.
    """

    found: Match
    match: float | None


@dataclass(frozen=True)
class Answer:
    """The sounds for a picture, best first, and what is in it.

    `materials` are all 17, likeliest first, None where the bundle has no heads. `recognised` says whether the
    likeliest is as probable as the bundle's calibration asks; None where it has no heads or no calibration.
    """

    sounds: tuple[RecommendedSound, ...]
    materials: tuple[MaterialProbability, ...] | None
    recognised: bool | None


def answer_picture(
    embedding: Vectors, matches: Sequence[Match], heads: MaterialHeads | None, calibration: Calibration | None
) -> Answer:
    """The answer to the picture of this L2-normalised `embedding [d]`, for which `matches` were found.

    A labelled sound's match is the probability of its material in the picture. The material of an unlabelled
    one is a guess of the heads, so that its match is the mean over the materials it may be of.
    """
    if heads is None:
        return Answer(tuple(RecommendedSound(found, None) for found in matches), None, None)
    # Rounded here, so that whatever is said about a probability holds for the number that is shown.
    in_picture = np.round(heads.pictures(embedding[None])[0].astype(np.float64), SCORE_DECIMALS)
    materials = sorted(
        (MaterialProbability(material, float(in_picture[material.id])) for material in MATERIALS),
        key=lambda one: -one.probability,
    )
    return Answer(
        sounds=tuple(RecommendedSound(found, _match(found, in_picture, heads)) for found in matches),
        materials=tuple(materials),
        recognised=materials[0].probability >= calibration.recognised if calibration is not None else None,
    )


def _match(found: Match, in_picture: npt.NDArray[np.float64], heads: MaterialHeads) -> float:
    if found.record.material is not None:
        material = material_named(found.record.material)
        assert material is not None, "the catalogue has no other materials"
        return float(in_picture[material.id])
    assert found.embedding is not None, "a search gives the embeddings of unlabelled sounds"
    of_sound = heads.sounds(found.embedding[None])[0].astype(np.float64)
    return min(1.0, round(float(of_sound @ in_picture), SCORE_DECIMALS))
