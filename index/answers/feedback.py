"""What a person says of a picture and of the sounds that were recommended for it, as a move of the query.

The materials that the picture shows: its embedding is moved towards them as the vector of a labelled sound is
towards its label (`model.heads.blend_labels`). Sounds of which more, or less, is wanted: Rocchio's query (1971).
The query stays one vector, so that one inner product still searches the whole library, labelled sounds and others.
The weights were chosen by benchmarks/feedback.py: see docs/decisions/answers.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.nearest.vectors import Vectors
from model.errors import FilterError
from model.heads import MaterialHeads
from model.materials import MATERIALS, material_named

TOLD = 0.6
"""How far a picture's embedding is moved towards the materials that a person says it shows, 0 to 1."""
MORE_WEIGHT = 0.75
LESS_WEIGHT = 0.15
MOST_JUDGED = 20
"""Sounds that one question may name as wanted, and as unwanted."""


@dataclass(frozen=True)
class Feedback:
    """Ids of sounds of which `more` is wanted, and of which `less`; sorted, each once.

    The query is moved by both (`rocchio`): of a sound with several hits by the one that is nearest to it, which is
    most likely the one that was played. Those of `less` are not among the answers. Raises FilterError where one is
    in both, or where there are too many.
    """

    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("more", "less"):
            ids = tuple(sorted(set(getattr(self, name))))
            if len(ids) > MOST_JUDGED:
                raise FilterError(f"{name} names {len(ids)} sounds; at most {MOST_JUDGED} can be named", name)
            object.__setattr__(self, name, ids)
        if both := sorted({*self.more} & {*self.less}):
            raise FilterError(f"the sound {both[0]!r} is named by more and by less", "less")

    @classmethod
    def of(cls, more: Iterable[str], less: Iterable[str]) -> "Feedback":
        """From what a caller names: ids, or one alone as a text."""
        return cls(_names(more), _names(less))

    def __bool__(self) -> bool:
        """Whether any sound is named."""
        return bool(self.more or self.less)


NO_FEEDBACK = Feedback()


def rocchio(
    query: Vectors,
    more: Vectors,
    less: Vectors,
    more_weight: float = MORE_WEIGHT,
    less_weight: float = LESS_WEIGHT,
) -> Vectors:
    """The unit vector `query [d]`, to the mean of `more [m, d]` and a little away from that of `less [l, d]`."""
    moved = query.astype(np.float64)
    for vectors, weight in ((more, more_weight), (less, -less_weight)):
        if len(vectors):
            moved = moved + weight * vectors.mean(axis=0, dtype=np.float64)
    return _unit(moved, query)


def told_materials(names: Iterable[str]) -> tuple[int, ...]:
    """The ids of the materials that a person names, rising, each once; a text alone is one name.

    Raises FilterError for a name of none.
    """
    ids = set()
    for name in _names(names):
        material = material_named(name)
        if material is None:
            raise FilterError(f"there is no material {name!r}", "shows")
        ids.add(material.id)
    return tuple(sorted(ids))


def told_probabilities(materials: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The probabilities `[17]` of the materials in a picture of which a person says that it shows `materials`."""
    found = np.zeros(len(MATERIALS))
    found[list(materials)] = 1.0
    return found


def towards_materials(
    embedding: Vectors, materials: tuple[int, ...], heads: MaterialHeads, strength: float = TOLD
) -> Vectors:
    """The unit vector `embedding [d]` of a picture, moved towards what the head for sounds looks for in
    `materials`, which are at least one.

    Of several, it is as near to each: else the one that is seen best in the picture would have all sounds.
    """
    directions = heads.sound_weights[list(materials)].astype(np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions /= np.where(lengths > 0, lengths, 1)
    seen = directions @ embedding
    level = embedding - np.linalg.pinv(directions) @ (seen - seen.mean())
    return _unit((1 - strength) * level + strength * directions.mean(axis=0), embedding)


def _names(given: Iterable[str]) -> tuple[str, ...]:
    """The names; a text alone is one, not its letters, which no type checker tells from it."""
    return (given,) if isinstance(given, str) else tuple(given)


def _unit(vector: npt.NDArray[np.float64], otherwise: Vectors) -> Vectors:
    """The vector at length 1; `otherwise` for one that has no length."""
    length = np.linalg.norm(vector)
    return (vector / length).astype(np.float32) if length > 0 else otherwise
