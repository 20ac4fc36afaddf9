"""Every picture and sound as towers embed it that never saw its source: what calibration and figures rest on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from model.heads import MaterialHeads
from model.networks import EMBEDDING_SIZE
from training.pretraining.calibrate import balanced_weights, fit_heads, recognition_threshold
from training.pretraining.classifier import LinearClassifier
from training.pretraining.data import PretrainingData
from training.pretraining.fit import fit_pictures, fit_sounds, left_out
from training.pretraining.knowledge import NOTHING
from training.pretraining.recipe import PretrainingRecipe
from training.pretraining.space import picture_projection
from training.pretraining.towers import sound_projection

Mask = npt.NDArray[np.bool_]
_Embed = Callable[[LinearClassifier, Tensor], Tensor]


@dataclass(frozen=True)
class HeldOut:
    """Vectors of pictures `[N, 128]`, sounds `[M, 128]` and pictures of nothing, none seen by what gave them."""

    pictures: Tensor
    sounds: Tensor
    nothing: Tensor


def fit_whole_pictures(data: PretrainingData, recipe: PretrainingRecipe, rows: Mask) -> LinearClassifier:
    """The pictures' classifier, fitted on `rows [N]` of them."""
    features, material = data.picture_features[torch.from_numpy(rows)], data.pictures.material[rows]
    return fit_pictures(features, material, data.nothing, data.imagenet_rows, recipe)


def fit_whole_sounds(data: PretrainingData, recipe: PretrainingRecipe, rows: Mask) -> LinearClassifier:
    """The sounds' classifier, fitted on `rows [M]` and the synthetic ones of materials that have few recordings."""
    features, material = data.sound_features[torch.from_numpy(rows)], data.sounds.material[rows]
    counts = np.bincount(data.sounds.material[data.sounds.open_licence], minlength=NOTHING)
    few = np.isin(data.synthetic_material, np.flatnonzero(counts < recipe.few_recordings))
    synthetic = data.synthetic[torch.from_numpy(few)]
    return fit_sounds(features, material, synthetic, data.synthetic_material[few], recipe)


def hold_out(data: PretrainingData, recipe: PretrainingRecipe) -> HeldOut:
    """Embed each source by heads fitted without it, on files with an open licence alone."""
    return HeldOut(
        pictures=_embed(
            data.picture_features,
            data.pictures.source,
            left_out(
                data.pictures.source,
                data.pictures.open_licence,
                lambda rows: fit_whole_pictures(data, recipe, rows),
            ),
            lambda classifier, features: normalize(picture_projection(classifier)(features), dim=1),
        ),
        sounds=_embed(
            data.sound_features,
            data.sounds.source,
            left_out(
                data.sounds.source,
                data.sounds.open_licence,
                lambda rows: fit_whole_sounds(data, recipe, rows),
            ),
            lambda classifier, features: normalize(sound_projection(data, classifier)(features), dim=1),
        ),
        nothing=_embed_nothing(data, recipe),
    )


def calibrate(data: PretrainingData, held_out: HeldOut, without: str = "") -> tuple[MaterialHeads, float]:
    """The heads, and from what probability on a picture counts as recognised, from all sources but `without`.

    Pictures of nothing together weigh as much as a source.
    """
    seen, heard = data.pictures.source != without, data.sounds.source != without
    material = np.concatenate([data.pictures.material[seen], np.full(len(held_out.nothing), NOTHING)])
    source = np.concatenate([data.pictures.source[seen], np.full(len(held_out.nothing), "nothing drawn")])
    pictures = torch.cat([held_out.pictures[torch.from_numpy(seen)], held_out.nothing])
    heads = fit_heads(
        pictures,
        material,
        balanced_weights(material, source),
        held_out.sounds[torch.from_numpy(heard)],
        data.sounds.material[heard],
        balanced_weights(data.sounds.material[heard], data.sounds.source[heard]),
    )
    likeliest = heads.pictures(pictures.numpy()).max(axis=1).astype(np.float64)
    return heads, recognition_threshold(likeliest[material != NOTHING], likeliest[material == NOTHING])


def _embed_nothing(data: PretrainingData, recipe: PretrainingRecipe) -> Tensor:
    """Other drawings of nothing than were fitted on, seen by the pictures' whole classifier."""
    whole = fit_whole_pictures(data, recipe, data.pictures.open_licence)
    with torch.no_grad():
        return normalize(picture_projection(whole)(data.nothing_held_out), dim=1)


def _embed(
    features: Tensor, source: npt.NDArray[np.str_], fitted: dict[str, LinearClassifier], embed: _Embed
) -> Tensor:
    vectors = torch.zeros(len(features), EMBEDDING_SIZE)
    with torch.no_grad():
        for name, classifier in fitted.items():
            rows = torch.from_numpy(source == name)
            vectors[rows] = embed(classifier, features[rows])
    return vectors
