"""Pictures and a library of sounds of which neither was fitted on: one group of sources after the other left out.

Each picture and each sound is embedded by heads that never saw its group of sources
(training/pretraining/left_out_groups.toml).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.nearest.vectors import Vectors
from model.heads import MaterialHeads
from training.pretraining.held_out import calibrate, hold_out
from training.pretraining.indexed_sounds import with_labels
from training.pretraining.left_out_groups import group_weight
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData

LABELS, HALF, NO_LABELS = "labels", "half of them", "no labels"

Numbers = dict[str, float]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """A group that is left out: its pictures and sounds, and all sounds with labels, with half of them, without.

    `heads` never saw the group. Half of the labels are those of every second sound.
    """

    name: str
    pictures: Vectors
    picture_material: Ids
    its_sounds: npt.NDArray[np.bool_]
    libraries: Mapping[str, Vectors]
    heads: MaterialHeads


def folds(data: PretrainingData, recipe: PretrainingRecipe, every: int) -> Iterator[Fold]:
    """A fold for each group; of its pictures one in `every` is asked with."""
    held_out = hold_out(data, recipe)
    sounds = held_out.sounds.numpy()
    for group in sorted({*data.pictures.group.tolist(), *data.sounds.group.tolist()}):
        heads: MaterialHeads = calibrate(data, held_out, recipe, without=group)
        seen = np.flatnonzero(data.pictures.group == group)[::every]
        labelled = with_labels(sounds, data.sounds.material, heads, recipe.label_strength)
        half = np.where(np.arange(len(sounds))[:, None] % 2, sounds, labelled)
        yield Fold(
            name=group,
            pictures=held_out.pictures.numpy()[seen],
            picture_material=data.pictures.material[seen].astype(np.int64),
            its_sounds=data.sounds.group == group,
            libraries={LABELS: labelled, HALF: half, NO_LABELS: sounds},
            heads=heads,
        )


def nearest(query: Vectors, vectors: npt.NDArray[np.floating], most: int) -> tuple[npt.NDArray[np.float64], Ids]:
    """The cosines and the rows of the `most` of `vectors [n, d]` that are nearest to `query [d]`, best first."""
    scores = np.round(np.asarray(vectors, np.float64) @ query.astype(np.float64), 6)
    best = np.lexsort((np.arange(len(vectors)), -scores))[:most]
    return scores[best], best


def mean_over_groups(by_group: Mapping[str, Numbers]) -> Numbers:
    """The weighted mean of groups; one that has no number is left out."""
    known = {group: numbers for group, numbers in by_group.items() if numbers}
    weights = [group_weight(group) for group in known]
    names = next(iter(known.values()))
    return {name: float(np.average([one[name] for one in known.values()], weights=weights)) for name in names}
