"""Fitting all weights of the picture network further, from ImageNet's and a classifier of materials on them.

Pictures are cropped at many scales, mirrored, blurred and changed in colour. Batch normalisation is kept as it is,
the probabilities of ImageNet's classes are kept by distillation (Hinton et al. 2015), so that little is forgotten,
and the weights are averaged over the steps (Polyak & Juditsky 1992).
"""

import copy
import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, linear, log_softmax, one_hot

from model.progress import progress
from training.pretraining.classifier import LinearClassifier
from training.pretraining.features import PictureFeatures
from training.systems.augment_pictures import PICTURE_DRAWS, PictureAugment, augment_pictures


class TuningRecipe(BaseModel):
    """How the network is fitted further.

    `size`: pixels of a training picture; `steps` of `batch` pictures each. `rate` of AdamW (Loshchilov & Hutter
    2019), reached after `warm_up` steps, then falling along a cosine to 0; `decay` of its weights. `smoothing` of
    the labels: so much of the probability is that of all materials. `kept`: the weight of the loss by which
    ImageNet's probabilities stay. `average`: how much of the mean of the weights stays with each step. `augment`:
    how pictures are varied; `jpeg`: the share that is also compressed, with qualities from 20 to 90. `believed`: so
    much of the label is what the network and the classifier at the start see in the crop, as a photograph of a wall
    also shows the floor. `seeds` of draws and of variations: a run for each, whose mean weights are the result
    (Wortsman et al. 2022).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(128, ge=32)
    batch: int = Field(64, ge=1)
    steps: int = Field(110, ge=1)
    rate: float = Field(2e-4, gt=0)
    warm_up: int = Field(20, ge=1)
    decay: float = Field(0.01, ge=0)
    smoothing: float = Field(0.1, ge=0, lt=1)
    kept: float = Field(0.3, ge=0)
    average: float = Field(0.97, ge=0, lt=1)
    augment: PictureAugment = PictureAugment(crop=0.15, jitter=0.3, blur=0.2)
    jpeg: float = Field(0.0, ge=0, le=1)
    believed: float = Field(0.0, ge=0, le=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)


Tuned = tuple[PictureFeatures, LinearClassifier]
"""A network, and a classifier of the 17 materials on its features."""


def mean_weights(runs: Sequence[Tuned]) -> Tuned:
    """The network and the classifier whose weights are the means of those of `runs`."""
    network, (_, classifier) = copy.deepcopy(runs[0][0]), runs[0]
    with torch.no_grad():
        for number, (other, last) in enumerate(runs[1:], start=2):
            for mean, weight in zip(network.parameters(), other.parameters(), strict=True):
                mean.lerp_(weight, 1.0 / number)
            classifier = LinearClassifier(
                classifier.weight.lerp(last.weight, 1.0 / number), classifier.bias.lerp(last.bias, 1.0 / number)
            )
    return network, classifier


def tune(
    start: PictureFeatures,
    classifier: LinearClassifier,
    imagenet: LinearClassifier,
    pictures: npt.NDArray[np.uint8],
    material: Tensor,
    chance: Tensor,
    recipe: TuningRecipe,
    seed: int,
    what: str,
) -> Tuned:
    """`start` and `classifier` of its features, fitted on `pictures [N, S, S, 3]` and their `material [N]`.

    A picture is drawn with its `chance [N]`. `imagenet` gives the logits of ImageNet's classes from features.
    """
    random = torch.Generator().manual_seed(seed)
    student, average = copy.deepcopy(start).eval(), copy.deepcopy(start).eval()
    teacher = copy.deepcopy(start).eval().to(memory_format=torch.channels_last)  # takes two thirds of the time
    last = [classifier.weight.clone().requires_grad_(), classifier.bias.clone().requires_grad_()]
    last_average = [one.detach().clone() for one in last]
    fitted = [*student.parameters(), *last]
    averaged = [*average.parameters(), *last_average]
    optimizer = torch.optim.AdamW(fitted, lr=recipe.rate, weight_decay=recipe.decay)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    with progress(what, recipe.steps, "step") as bar:
        for _ in range(recipe.steps):
            rows = torch.multinomial(chance, recipe.batch, replacement=True, generator=random)
            draws = torch.rand(recipe.batch, PICTURE_DRAWS, generator=random)
            varied = augment_pictures(torch.from_numpy(pictures[rows.numpy()]), draws, recipe.augment)
            if recipe.jpeg:
                varied = as_jpeg(varied, torch.rand(recipe.batch, 2, generator=random), recipe.jpeg)
            with torch.no_grad():
                before = teacher(varied)
                known = log_softmax(imagenet(before), dim=1)
                target = one_hot(material[rows], len(classifier.bias)).float()
                target.lerp_(torch.softmax(classifier(before), dim=1), recipe.believed)
            features = student(varied)
            loss = cross_entropy(linear(features, *last), target, label_smoothing=recipe.smoothing)
            classes = log_softmax(imagenet(features), dim=1)
            loss = loss + recipe.kept * kl_div(classes, known, log_target=True, reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
            with torch.no_grad():
                for kept, now in zip(averaged, fitted, strict=True):
                    kept.lerp_(now, 1.0 - recipe.average)
            bar.update()
    return average, LinearClassifier(*last_average)


def as_jpeg(pictures: Tensor, draws: Tensor, chance: float) -> Tensor:
    """Pictures `[B, S, S, 3]`; those whose first number in `draws [B, 2]` is below `chance` are compressed."""
    compressed = pictures.clone()
    for row, (chosen, quality) in enumerate(draws.tolist()):
        if chosen < chance:
            file = BytesIO()
            Image.fromarray(pictures[row].round().byte().numpy()).save(file, "JPEG", quality=20 + int(70 * quality))
            with Image.open(file) as picture:
                compressed[row] = torch.from_numpy(np.array(picture)).float()
    return compressed


def _rate(step: int, recipe: TuningRecipe) -> float:
    return min(1.0, (step + 1) / recipe.warm_up) * 0.5 * (1.0 + math.cos(math.pi * step / recipe.steps))
