"""The scores of the recipe on each group of sources, from heads that never saw that group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.measures.sources import Fold, FoldScores, Least, score_fold
from training.pretraining.held_out import HeldOut, calibrate
from training.pretraining.indexed_sounds import place, with_labels
from training.pretraining.left_out_groups import LEAST_FILES, group_weight, rare_materials
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData

LEAST = Least(LEAST_FILES, LEAST_FILES)


@dataclass(frozen=True)
class NothingScores:
    """K pictures of nothing: their `kind [K]`, which are `drawn [K]`, which are `taken [K]` for a material."""

    kind: npt.NDArray[np.str_]
    drawn: npt.NDArray[np.bool_]
    taken: npt.NDArray[np.bool_]

    def as_dict(self) -> dict[str, float]:
        """Number of pictures, and share taken for a material of all, of the real and of the drawn ones."""
        found = {"pictures": float(len(self.kind))}
        masks = {"taken": self.drawn | True, "taken real": ~self.drawn, "taken drawn": self.drawn}
        return found | {
            name: round(float(self.taken[mask].mean()), 4) for name, mask in masks.items() if mask.any()
        }


def score_left_out(
    data: PretrainingData, held_out: HeldOut, recipe: PretrainingRecipe, least: Least = LEAST
) -> Mapping[str, FoldScores]:
    """The scores of each group by name, with its weight; materials that fewer than two groups have are in no mean.

    Every picture and every sound is embedded by heads fitted without its group; the library is all sounds. The
    probabilities are calibrated on the other groups.
    """
    scores = {}
    pictures, sounds = held_out.pictures.numpy(), held_out.sounds.numpy()
    library = place(sounds)
    rare = [tuple(rare_materials(files.material, files.group).tolist()) for files in (data.pictures, data.sounds)]
    for group in sorted({*data.pictures.group.tolist(), *data.sounds.group.tolist()}):
        seen, heard = data.pictures.group == group, data.sounds.group == group
        heads = calibrate(data, held_out, recipe, without=group)
        labelled = place(with_labels(sounds, data.sounds.material, heads, recipe.label_strength))
        scores[group] = score_fold(
            Fold(
                picture_material=data.pictures.material[seen],
                sound_material=data.sounds.material[heard],
                library_material=data.sounds.material,
                scores=library.scores(pictures[seen]),
                labelled=labelled.scores(pictures[seen]),
                picture_probabilities=heads.pictures(pictures[seen]),
                sound_probabilities=heads.sounds(sounds[heard]),
                recognised=heads.recognised(pictures[seen], 0.0),
                weight=group_weight(group),
                rare_pictures=rare[0],
                rare_sounds=rare[1],
            ),
            least,
        )
    return scores


def score_nothing(data: PretrainingData, held_out: HeldOut, recipe: PretrainingRecipe) -> NothingScores:
    """Which pictures of nothing are taken for a material by heads and bounds without their group."""
    nothing, vectors = data.nothing, held_out.nothing.numpy()
    taken = np.zeros(len(nothing), np.bool_)
    for group in sorted(set(nothing.group.tolist())):
        rows = nothing.group == group
        heads = calibrate(data, held_out, recipe, without=group)
        taken[rows] = heads.recognised(vectors[rows], 0.0)
    return NothingScores(nothing.kind, nothing.drawn, taken)
