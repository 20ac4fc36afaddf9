"""Fitting the classifiers of pictures and of sounds on frozen features, and for each group one without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.materials import MATERIALS
from training.pretraining.classifier import LinearClassifier, fit_classifier, prior_classifier
from training.pretraining.discriminant import fit_discriminant, source_weights
from training.pretraining.imagenet_prior import material_knowledge
from training.pretraining.material_files import NOTHING
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.standardise import Standardise

Labels = npt.NDArray[np.int64]
Sources = npt.NDArray[np.str_]
Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class PictureClassifier:
    """Gives logits of the 17 materials and of nothing, and one logit of showing something to touch."""

    material: LinearClassifier
    touchable: LinearClassifier


def fit_pictures(
    features: Tensor, material: Labels, source: Sources, rows: Tensor, recipe: PretrainingRecipe
) -> PictureClassifier:
    """A classifier of the 17 materials and of nothing, from pictures' features `[N, F]` and the ImageNet prior.

    `material [N]` is 0 to 16, or NOTHING; `rows [1000, F]` are the weights of the ImageNet head. Materials have
    the same weight, and so have the sources `source [N]` within one where `picture_source_power` is 0. Something
    to touch is told from nothing without the prior, which knows less of it than the examples do.
    """
    labels = torch.from_numpy(material)
    share = source_weights(material, source, recipe.picture_source_power)
    prior = prior_classifier(features, rows, material_knowledge(), recipe.knowledge)
    told = fit_classifier(features, labels, _even(share, labels), NOTHING + 1, recipe.picture_decay, prior)
    shown = (labels != NOTHING).long()
    two = fit_classifier(features, shown, _even(share, shown), 2, recipe.touchable_decay)
    return PictureClassifier(told, LinearClassifier(two.weight[1:] - two.weight[:1], two.bias[1:] - two.bias[:1]))


def _even(share: Tensor, labels: Tensor) -> Tensor:
    """The weights `share [N]`, changed so that each of the `labels [N]` has the same sum, and all have 1."""
    even = share / torch.zeros(int(labels.max()) + 1).index_add_(0, labels, share)[labels]
    return even / even.sum()


@dataclass(frozen=True)
class SoundClassifier:
    """Standardises features, then gives logits of the 17 materials."""

    standardise: Standardise
    linear: LinearClassifier

    def __call__(self, features: Tensor) -> Tensor:
        """Logits `[N, 17]` of features `[N, F]`."""
        return self.linear(self.standardise(features))


def fit_sounds(
    features: Tensor, material: Labels, source: Sources, varied: Tensor, recipe: PretrainingRecipe
) -> SoundClassifier:
    """A classifier of the 17 materials, from features of recordings `[N, F]` and of their variants `[N, V, F]`."""
    together = torch.cat([features[:, None], varied], dim=1)
    times = together.shape[1]
    together = together.flatten(0, 1)
    labels = np.repeat(material, times)
    standardise = Standardise(together)
    linear = fit_discriminant(
        standardise(together),
        source_weights(labels, np.repeat(source, times), recipe.source_power),
        torch.from_numpy(labels),
        len(MATERIALS),
        recipe.sound_shrinkage,
        recipe.sound_deviation,
    )
    return SoundClassifier(standardise, linear)


def left_out(
    group: Sources, trained_on: npt.NDArray[np.bool_], fit: Callable[[npt.NDArray[np.bool_]], Fitted]
) -> dict[str, Fitted]:
    """For each group of sources in `group [N]`, a classifier fitted on the rows `trained_on [N]` without it."""
    fitted: dict[str, Fitted] = {}
    whole: Fitted | None = None
    for name in sorted(set(group.tolist())):
        rest = trained_on & (group != name)
        if (rest == trained_on).all():  # none of its rows are trained on: one fit is enough for all such groups
            whole = whole or fit(rest)
            fitted[name] = whole
        else:
            fitted[name] = fit(rest)
    return fitted
