"""Fitting both heads on frozen features, and answering each source by heads that never saw it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.materials import MATERIALS
from training.pretraining.classifier import LinearClassifier, fit_classifier, prior_classifier
from training.pretraining.knowledge import NOTHING, material_knowledge
from training.pretraining.recipe import PretrainingRecipe

Labels = npt.NDArray[np.int64]
Sources = npt.NDArray[np.str_]
_LEAST_DEVIATION = 1e-3


def fit_pictures(
    features: Tensor, material: Labels, nothing: Tensor, rows: Tensor, recipe: PretrainingRecipe
) -> LinearClassifier:
    """Logits of the 17 materials and of nothing, from pictures' features `[N, F]` and what ImageNet knows.

    `nothing [M, F]` are features of pictures of nothing, `rows [1000, F]` the ImageNet head's weights.
    """
    all_features = torch.cat([features, nothing])
    labels = torch.cat([torch.from_numpy(material), torch.full((len(nothing),), NOTHING)])
    prior = prior_classifier(all_features, rows, material_knowledge(), recipe.knowledge)
    return fit_classifier(all_features, labels, NOTHING + 1, recipe.picture_decay, prior)


def fit_sounds(
    features: Tensor, material: Labels, synthetic: Tensor, synthetic_material: Labels, recipe: PretrainingRecipe
) -> LinearClassifier:
    """Logits of the 17 materials from sounds' features `[N, F]`, the synthetic ones `[M, F]` joined to them.

    Features of spectrograms differ in spread by orders of magnitude: each is brought to deviation 1 first.
    """
    mean = features.mean(dim=0)
    deviation = features.std(dim=0) + _LEAST_DEVIATION
    both = (torch.cat([features, synthetic]) - mean) / deviation
    labels = torch.from_numpy(np.concatenate([material, synthetic_material]))
    fitted = fit_classifier(both, labels, len(MATERIALS), recipe.sound_decay)
    weight = fitted.weight / deviation
    return LinearClassifier(weight, fitted.bias - weight @ mean)


def left_out(
    source: Sources, trained_on: npt.NDArray[np.bool_], fit: Callable[[npt.NDArray[np.bool_]], LinearClassifier]
) -> dict[str, LinearClassifier]:
    """For each source the classifier that was fitted on `trained_on [N]` without it."""
    fitted: dict[str, LinearClassifier] = {}
    whole: LinearClassifier | None = None
    for name in sorted(set(source.tolist())):
        rest = trained_on & (source != name)
        if (rest == trained_on).all():  # never trained on: one fit serves all such sources
            whole = whole or fit(rest)
            fitted[name] = whole
        else:
            fitted[name] = fit(rest)
    return fitted
