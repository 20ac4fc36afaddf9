"""From the sounds that were found to the answer: what each is worth, and what was asked with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.answers.matches import Match, Matches
from index.answers.recommendation import (
    Because,
    MaterialName,
    PictureMaterial,
    PictureObject,
    Recommendation,
    Result,
    sound_url,
)
from index.answers.search import SoundIndex
from model.heads import MaterialHeads, Probabilities
from model.hubness import SCORE_DECIMALS
from model.materials import MATERIALS, material_named

Shown = npt.NDArray[np.float64]
"""Probabilities of the 17 materials, rounded as they are shown."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What an answer says of the picture or the sound that was asked with; None where the bundle does not tell.

    `k` sounds were asked for; `materials [17]` are the probabilities that it shows each, or is of it. `by_sound`:
    a sound was asked with, not a picture.
    """

    k: int
    materials: Shown | None
    recognised: bool | None = None
    objects: list[PictureObject] | None = None
    by_sound: bool = False


def rounded(probabilities: Probabilities) -> Shown:
    """The probabilities of the materials as they are shown."""
    found: Shown = probabilities.astype(np.float64).round(SCORE_DECIMALS)
    return found


def recommendation(
    model: str, index: SoundIndex, heads: MaterialHeads | None, asked: Asked, matches: Matches
) -> Recommendation:
    """The answer of the bundle whose id is `model`, for which `matches` were found."""
    materials = None
    of_sounds: Sequence[float | None] = [None] * len(matches)
    if heads is not None and asked.materials is not None:
        shown = asked.materials
        materials = [PictureMaterial(one.id, one.name, float(shown[one.id])) for one in MATERIALS]
        materials.sort(key=lambda one: -one.probability)
        of_sounds = [_match(found, shown, heads) for found in matches]
    results = [
        _result(rank, found, match, None if asked.by_sound else _because(found))
        for rank, (found, match) in enumerate(zip(matches, of_sounds, strict=True), start=matches.before + 1)
    ]
    return Recommendation(
        model=model,
        index=index.id,
        k=asked.k,
        returned=len(results),
        library=len(index),
        recognised=asked.recognised,
        materials=materials,
        objects=asked.objects,
        results=results,
        next=matches.next,
    )


def _result(rank: int, found: Match, match: float | None, because: Because | None) -> Result:
    record = found.record
    return Result(
        rank=rank,
        id=record.id,
        url=sound_url(record.id),
        similarity=found.similarity,
        score=found.score,
        match=match,
        material=MaterialName.of(record.material),
        duration=record.seconds,
        hit=found.hit,
        span=found.span,
        loudness=record.loudness,
        title=record.title,
        author=record.author,
        licence=record.licence,
        because=because,
        object=found.object,
        path=record.path,
    )


def _because(found: Match) -> Because:
    if found.object is None:
        return "material"
    return "both" if found.nearest else "object"


def _match(found: Match, shown: Shown, heads: MaterialHeads) -> float:
    """The probability that what was asked with shows, or is of, the sound's material.

    The material of an unlabelled sound is a guess of the heads, so that its match is the mean over the materials it
    may be of.
    """
    if found.record.material is not None:
        material = material_named(found.record.material)
        assert material is not None, "the catalogue has no other materials"
        return float(shown[material.id])
    assert found.embedding is not None, "a search gives the embeddings of unlabelled sounds"
    of_sound = heads.sounds(found.embedding[None])[0].astype(np.float64)
    return min(1.0, round(float(of_sound @ shown), SCORE_DECIMALS))
