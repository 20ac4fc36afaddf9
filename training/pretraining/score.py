"""The scores of the recipe on each source, from heads that never saw that source."""

from collections.abc import Mapping

from training.measures.sources import Fold, FoldScores, Least, score_fold
from training.pretraining.held_out import HeldOut, calibrate
from training.pretraining.indexed_sounds import place, with_labels
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData

LEAST = Least()


def score_left_out(
    data: PretrainingData, held_out: HeldOut, recipe: PretrainingRecipe, least: Least = LEAST
) -> Mapping[str, FoldScores]:
    """The scores of each source by name.

    Every picture and every sound is embedded by heads fitted without its source; the library is all sounds. The
    probabilities are calibrated on the other sources.
    """
    scores = {}
    pictures, sounds = held_out.pictures.numpy(), held_out.sounds.numpy()
    library = place(sounds)
    for source in sorted({*data.pictures.source.tolist(), *data.sounds.source.tolist()}):
        seen, heard = data.pictures.source == source, data.sounds.source == source
        heads, recognised = calibrate(data, held_out, recipe, without=source)
        labelled = place(with_labels(sounds, data.sounds.material, heads, recipe.label_strength))
        scores[source] = score_fold(
            Fold(
                picture_material=data.pictures.material[seen],
                sound_material=data.sounds.material[heard],
                library_material=data.sounds.material,
                scores=library.scores(pictures[seen]),
                labelled=labelled.scores(pictures[seen]),
                picture_probabilities=heads.pictures(pictures[seen]),
                sound_probabilities=heads.sounds(sounds[heard]),
                recognised=recognised,
            ),
            least,
        )
    return scores
