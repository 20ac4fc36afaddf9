"""Fitting the classifiers of pictures and of sounds on features, and for each group one without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.materials import MATERIALS
from training.pretraining.classifier import LinearClassifier, fit_classifier, fit_ridge, prior_classifier
from training.pretraining.discriminant import fit_discriminant, source_weights
from training.pretraining.imagenet_prior import material_knowledge
from training.pretraining.material_files import NOTHING
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.products import square_root
from training.pretraining.standardise import Standardise

Labels = npt.NDArray[np.int64]
Sources = npt.NDArray[np.str_]
Fitted = TypeVar("Fitted")

_LEAST_GROUP = 20
"""The fewest recordings of a group of sources without which a head is fitted."""


@dataclass(frozen=True)
class PictureClassifier:
    """Gives logits of the 17 materials and of nothing, and one logit of showing something to touch."""

    material: LinearClassifier
    touchable: LinearClassifier


def fit_pictures(
    features: Tensor,
    material: Labels,
    source: Sources,
    rows: Tensor,
    recipe: PretrainingRecipe,
    tuned: LinearClassifier | None = None,
) -> PictureClassifier:
    """A classifier of the 17 materials and of nothing, from pictures' features `[N, F]` and the ImageNet prior.

    `material [N]` is 0 to 16, or NOTHING; `rows [1000, F]` are the weights of the ImageNet head. Materials have
    the same weight, and so have the sources `source [N]` within one where `picture_source_power` is 0. `tuned`
    tells the 17 materials where it was fitted together with the network: another fit, to features of pictures that
    the network has learnt, would trust them too much. Something
    to touch is told from nothing without the prior, which knows less of it than the examples do.
    """
    labels = torch.from_numpy(material)
    share = source_weights(material, source, recipe.picture_source_power)
    prior = prior_classifier(features, rows, material_knowledge(), recipe.knowledge)
    if tuned is not None:
        prior = LinearClassifier(
            torch.cat([tuned.weight, prior.weight[NOTHING:]]), torch.cat([tuned.bias, prior.bias[NOTHING:]])
        )
    told = fit_classifier(
        features,
        labels,
        _even(share, labels),
        NOTHING + 1,
        recipe.picture_decay,
        prior,
        known=0 if tuned is None else NOTHING,
    )
    shown = (labels != NOTHING).long()
    two = fit_classifier(features, shown, _even(share, shown), 2, recipe.touchable_decay)
    return PictureClassifier(told, LinearClassifier(two.weight[1:] - two.weight[:1], two.bias[1:] - two.bias[:1]))


def _even(share: Tensor, labels: Tensor) -> Tensor:
    """The weights `share [N]`, changed so that each of the `labels [N]` has the same sum, and all have 1."""
    even = share / torch.zeros(int(labels.max()) + 1).index_add_(0, labels, share)[labels]
    return even / even.sum()


@dataclass(frozen=True, eq=False)
class Recordings:
    """M recordings, each followed by its V variants: `features [M, 1 + V, F]`.

    `teacher [M, 1 + V, 17]`: what the classifier's teacher says of them (`HeardMaterials`). `material`, `source`
    and `group` have one entry a recording. Of those that are not `labelled [M]` only the teacher's words count.
    """

    features: Tensor
    teacher: Tensor
    material: Labels
    source: Sources
    group: Sources
    labelled: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SoundClassifier:
    """Standardises features, then gives logits of the 17 materials, the `lower_bound` of those of H heads.

    `weight [H, 17, F]`, `bias [H, 17]`, `penalty`: see `lower_bound`.
    """

    standardise: Standardise
    weight: Tensor
    bias: Tensor
    penalty: float

    def __call__(self, features: Tensor) -> Tensor:
        """Logits `[N, 17]` of features `[N, F]`."""
        each = self.standardise(features) @ self.weight.flatten(0, 1).T + self.bias.flatten()
        return lower_bound(each, len(self.weight), self.penalty)


def lower_bound(logits: Tensor, heads: int, penalty: float) -> Tensor:
    """Logits `[N, C]`: the mean over heads of `logits [N, heads * C]`, less `penalty` standard deviations.

    What the heads do not agree on rests on some of the groups of sources. With more groups each head differs by
    less: the strength is that for about five.
    """
    # Not by len(logits): the exported tower would take that many sounds and no others.
    logits = logits.reshape(-1, heads, logits.shape[1] // heads)
    mean = logits.mean(dim=1)
    return mean - penalty * square_root((logits - mean[:, None]).square().mean(dim=1))


def fit_sounds(recordings: Recordings, recipe: PretrainingRecipe) -> SoundClassifier:
    """A classifier of the 17 materials: a head fitted on all recordings, and one without each group of sources.

    To each is added, weighted by `recipe.teacher`, what ridge regression finds of the teacher's words in the
    features. The teacher has heard far more sounds than there are labelled recordings, with other microphones in
    other rooms.
    """
    labelled, times = recordings.labelled, recordings.features.shape[1]
    of_labelled = recordings.features[torch.from_numpy(labelled)].flatten(0, 1)
    standardise = Standardise(of_labelled)
    standard = standardise(of_labelled)
    material: Labels = recordings.material[labelled]
    source, group = recordings.source[labelled], recordings.group[labelled]

    def head(rows: npt.NDArray[np.bool_]) -> LinearClassifier:
        # A material of which nothing would be left keeps its recordings: of these, nothing is taken off.
        rows = rows | ~np.isin(material, material[rows])
        labels = np.repeat(material[rows], times)
        return fit_discriminant(
            standard[torch.from_numpy(np.repeat(rows, times))],
            source_weights(labels, np.repeat(source[rows], times), recipe.source_power),
            torch.from_numpy(labels),
            len(MATERIALS),
            recipe.sound_shrinkage,
            recipe.sound_deviation,
        )

    names, counts = np.unique(group, return_counts=True)
    heads = [head(np.ones(len(group), np.bool_))]
    if recipe.penalty:
        heads += [head(group != name) for name in names[counts >= _LEAST_GROUP] if (group != name).any()]
    learnt = fit_ridge(
        standardise(recordings.features.flatten(0, 1)), recordings.teacher.flatten(0, 1), recipe.teacher_decay
    )
    return SoundClassifier(
        standardise,
        torch.stack([one.weight + recipe.teacher * learnt.weight for one in heads]),
        torch.stack([one.bias + recipe.teacher * learnt.bias for one in heads]),
        recipe.penalty,
    )


def left_out(
    group: Sources, trained_on: npt.NDArray[np.bool_], fit: Callable[[npt.NDArray[np.bool_], str], Fitted]
) -> dict[str, Fitted]:
    """For each group of sources in `group [N]`, a classifier fitted on the rows `trained_on [N]` without it.

    `fit` is given the rows and the group that is not among them.
    """
    fitted: dict[str, Fitted] = {}
    whole: Fitted | None = None
    for name in sorted(set(group.tolist())):
        rest = trained_on & (group != name)
        if (rest == trained_on).all():  # none of its rows are trained on: one fit is enough for all such groups
            whole = whole or fit(rest, name)
            fitted[name] = whole
        else:
            fitted[name] = fit(rest, name)
    return fitted
