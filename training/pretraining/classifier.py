"""A linear classifier on the pooled features of a network, regularised towards a prior."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.pretraining.minimise import minimise
from training.pretraining.products import logits_of, product, solve

ITERATIONS = 80


@dataclass(frozen=True)
class LinearClassifier:
    """Logits of C classes from pooled features `[N, 1280]`: `features @ weight.T + bias`."""

    weight: Tensor  # [C, 1280]
    bias: Tensor  # [C]

    def __call__(self, features: Tensor) -> Tensor:
        """Logits `[N, C]`."""
        return features @ self.weight.T + self.bias


def prior_classifier(features: Tensor, rows: Tensor, knowledge: Tensor, strength: float) -> LinearClassifier:
    """A classifier from the weights `rows [1000, 1280]` of an ImageNet head, combined by `knowledge [C, 1000]`.

    The logit of each class has mean 0 and standard deviation `strength` over `features [N, 1280]`.
    """
    # The mean of all ImageNet classes carries no information.
    weight = product(knowledge, rows - rows.mean(dim=0))
    logits = product(features, weight.T)
    scale = strength / logits.std(dim=0)
    return LinearClassifier(weight * scale[:, None], -logits.mean(dim=0) * scale)


def fit_classifier(
    features: Tensor,
    labels: Tensor,
    share: Tensor,
    classes: int,
    decay: float,
    prior: LinearClassifier | None = None,
    known: int = 0,
) -> LinearClassifier:
    """Multinomial logistic regression by L-BFGS; deterministic.

    `features [N, 1280]`, `labels [N]`, `share [N]` the weights of the rows, of sum 1. The loss has a penalty of
    `decay` times the squared distance from `prior` (from 0 without one), for features scaled to a mean length of
    10. A class without examples keeps its prior, and so do the first `known` classes.
    """
    scale = 10.0 / features.norm(dim=1).mean()
    scaled = features * scale
    start = (
        LinearClassifier(torch.zeros(classes, features.shape[1]), torch.zeros(classes))
        if prior is None
        else LinearClassifier(prior.weight / scale, prior.bias)
    )
    weight = start.weight[known:].clone().requires_grad_()
    bias = start.bias[known:].clone().requires_grad_()
    given = product(scaled, start.weight[:known].T) + start.bias[:known]

    def loss() -> Tensor:
        logits = torch.cat([given, logits_of(scaled, weight) + bias], dim=1)
        wrong = (cross_entropy(logits, labels, reduction="none") * share).sum()
        far: Tensor = (weight - start.weight[known:]).square().sum() + (bias - start.bias[known:]).square().sum()
        return wrong + decay * far

    minimise(loss, [weight, bias], ITERATIONS)
    fitted = [
        torch.cat([one[:known], found.detach()]) for one, found in ((start.weight, weight), (start.bias, bias))
    ]
    return LinearClassifier(fitted[0] * scale, fitted[1])


def fit_ridge(features: Tensor, targets: Tensor, decay: float) -> LinearClassifier:
    """Linear regression of `targets [N, C]`, less their means, on `features [N, F]` (Hoerl & Kennard 1970).

    `decay` is added to the diagonal of the features' second moments. There is no intercept: features of 0, the mean
    of those that they were standardised on, give 0.
    """
    moments = product(features.T, features) / len(features) + decay * torch.eye(features.shape[1])
    weight = solve(moments, product(features.T, targets - targets.mean(dim=0)) / len(features)).T
    return LinearClassifier(weight, torch.zeros(targets.shape[1]))
