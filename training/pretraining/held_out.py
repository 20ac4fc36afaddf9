"""Held-out embeddings: each picture and sound embedded by heads that never saw its group of sources.

Calibration and all measures are made on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from model.heads import MaterialHeads
from model.torch_towers.networks import EMBEDDING_SIZE
from training.pretraining.calibrate import balanced_weights, calibrate_heads
from training.pretraining.fit_heads import (
    Fitted,
    PictureClassifier,
    Recordings,
    SoundClassifier,
    fit_pictures,
    fit_sounds,
    left_out,
)
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.material_files import NOTHING
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, PretrainingData
from training.pretraining.recognition import fit_recognition, group_shares
from training.pretraining.space import picture_projection
from training.pretraining.towers import sound_projection

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """Held-out embeddings of pictures `[N, 128]`, sounds `[M, 128]` and pictures of nothing `[K, 128]`."""

    pictures: Tensor
    sounds: Tensor
    nothing: Tensor


def fit_whole_pictures(data: PictureData, recipe: PretrainingRecipe, rows: Mask) -> PictureClassifier:
    """The classifier of pictures, fitted on those in the mask `rows [N + K]`: of materials, then of nothing."""
    features = torch.cat([data.picture_features, data.nothing.features])[torch.from_numpy(rows)]
    material = np.concatenate([data.pictures.material, np.full(len(data.nothing), NOTHING)])[rows]
    source = np.concatenate([data.pictures.source, data.nothing.kind])[rows]
    return fit_pictures(features, material, source, data.imagenet_rows, recipe, data.tuned_classifier)


def fitted_pictures(data: PictureData) -> Mask:
    """Which pictures of materials, then of nothing, may be fitted on: `[N + K]`."""
    return np.concatenate([data.pictures.fitted, data.nothing.fitted])


def fit_whole_sounds(data: PretrainingData, recipe: PretrainingRecipe, rows: Mask) -> SoundClassifier:
    """The classifier of sounds, fitted on those in the mask `rows [M]` and on their variants.

    Of those that are not fitted on, only what the classifier's teacher says is learnt.
    """
    which, files = torch.from_numpy(rows), data.sounds.only(rows)
    features = torch.cat([data.sound_features[which][:, None], data.varied_features[which]], dim=1)
    recordings = Recordings(
        features, data.sound_teacher[which], files.material, files.source, files.group, files.fitted
    )
    return fit_sounds(recordings, recipe)


def hold_out(data: PretrainingData, recipe: PretrainingRecipe) -> HeldOut:
    """Embed each group of sources by networks and heads fitted without it, on the files that may be fitted on."""
    pictures, nothing = hold_out_pictures(data, recipe)
    return HeldOut(pictures, hold_out_sounds(data, recipe), nothing)


def hold_out_pictures(data: PictureData, recipe: PretrainingRecipe) -> tuple[Tensor, Tensor]:
    """Held-out embeddings of pictures `[N, 128]`, and of pictures of nothing `[K, 128]`.

    A source of these and a kind of drawing is left out in its turn as a group of photographs is.
    """
    group = np.concatenate([data.pictures.group, data.nothing.group])
    head = ImagenetHead(data.imagenet_rows, data.imagenet_bias, recipe)

    def fit(rows: Mask, without: str) -> tuple[PictureClassifier, Tensor]:
        seen = data.by_network_without(without)
        features = torch.cat([seen.picture_features, seen.nothing.features])
        return fit_whole_pictures(seen, recipe, rows), features

    def embed(fitted: tuple[PictureClassifier, Tensor], rows: Tensor) -> Tensor:
        classifier, features = fitted[0], fitted[1][rows]
        return normalize(picture_projection(classifier)(features) + head(features)[1], dim=1)

    vectors = _embed(group, left_out(group, fitted_pictures(data), fit), embed)
    return vectors[: len(data.pictures)], vectors[len(data.pictures) :]


def hold_out_sounds(data: PretrainingData, recipe: PretrainingRecipe) -> Tensor:
    """Held-out embeddings of sounds `[M, 128]`."""
    files = data.sounds
    fitted = left_out(files.group, data.taught, lambda rows, _: fit_whole_sounds(data, recipe, rows))
    return _embed(
        files.group,
        fitted,
        lambda classifier, rows: sound_projection(data, classifier)(data.sound_features[rows]),
    )


def calibrate(
    data: PretrainingData, held_out: HeldOut, recipe: PretrainingRecipe, without: str = ""
) -> MaterialHeads:
    """The heads, with the scores from which a picture counts as recognised, from all groups except `without`.

    The queries have no part in it. Pictures of nothing together have the weight of one group.
    """
    seen, heard = (data.pictures.group != without) & ~data.queries, data.sounds.group != without
    empty = data.nothing.group != without
    material = np.concatenate([data.pictures.material[seen], np.full(int(empty.sum()), NOTHING)])
    group = np.concatenate([data.pictures.group[seen], np.full(int(empty.sum()), "nothing to touch")])
    pictures = torch.cat([held_out.pictures[torch.from_numpy(seen)], held_out.nothing[torch.from_numpy(empty)]])
    heads = calibrate_heads(
        pictures,
        material,
        balanced_weights(material, group),
        held_out.sounds[torch.from_numpy(heard)],
        data.sounds.material[heard],
        balanced_weights(data.sounds.material[heard], data.sounds.group[heard]),
        recipe.bias_decay,
    )
    vectors, photographs = pictures.numpy(), material != NOTHING
    found = fit_recognition(vectors[photographs], group_shares(group[photographs]), vectors[~photographs])
    return replace(heads, recognition_weights=found.weights(EMBEDDING_SIZE))


def _embed(
    group: npt.NDArray[np.str_], fitted: dict[str, Fitted], embed: Callable[[Fitted, Tensor], Tensor]
) -> Tensor:
    """Embeddings `[N, 128]`: of each group `embed` gives those of its rows, by what was `fitted` without it."""
    vectors = torch.zeros(len(group), EMBEDDING_SIZE)
    with torch.no_grad():
        for name, classifier in fitted.items():
            rows = torch.from_numpy(group == name)
            vectors[rows] = embed(classifier, rows)
    return vectors
