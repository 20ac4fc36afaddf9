"""Linear discriminant analysis with shrinkage and weighted sources: the classifier of sounds."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.pretraining.classifier import LinearClassifier
from training.pretraining.products import product, solve


def fit_discriminant(
    features: Tensor, weight: Tensor, labels: Tensor, classes: int, shrinkage: float, deviation: float
) -> LinearClassifier:
    """Linear discriminant analysis (Fisher 1936) with shrinkage of the covariance.

    `shrinkage`, 0 to 1, mixes the covariance with a multiple of the identity.
    `features [N, F]`, `labels [N]`, `weight [N]` of each row. Classes with examples have equal prior probability. A
    class without examples gets weights 0 and the lowest bias, so that it is never the likeliest. The logits are
    centred in each row and scaled to the standard deviation `deviation`.
    """
    share = weight / weight.sum()
    present = sorted(set(labels.tolist()))
    means = torch.zeros(classes, features.shape[1])
    for label in present:
        rows = labels == label
        means[label] = (share[rows, None] * features[rows]).sum(dim=0) / share[rows].sum()
    away = features - means[labels]
    covariance = product((away * share[:, None]).T, away)
    identity = torch.eye(len(covariance)) * covariance.diagonal().mean()
    known = means[present]
    directions = solve((1.0 - shrinkage) * covariance + shrinkage * identity, known.T).T
    offsets = -0.5 * (known * directions).sum(dim=1)
    directions, offsets = directions - directions.mean(dim=0), offsets - offsets.mean()
    logits = product(features, directions.T) + offsets
    scale = deviation / logits.std()
    found = torch.zeros(classes, features.shape[1])
    bias = torch.full((classes,), float(scale * logits.min()))
    found[present], bias[present] = directions * scale, offsets * scale
    return LinearClassifier(found, bias)


def source_weights(labels: npt.NDArray[np.int64], source: npt.NDArray[np.str_], power: float) -> Tensor:
    """Weights `[N]` of rows: the same for all materials; within one, a source of n rows has n to the `power`.

    With power 1 all rows of a material have the same weight, with 0 all its sources.
    """
    pairs = np.array([f"{label}/{name}" for label, name in zip(labels, source, strict=True)])
    _, which, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    weight = counts[which].astype(np.float64) ** (power - 1.0)
    for label in np.unique(labels):
        weight[labels == label] /= weight[labels == label].sum()
    return torch.from_numpy(weight).float()
