"""Products of matrices and the like by NumPy, whose kernels can be the same on every maker's processors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

_LEAST = 1e-20


def product(one: Tensor, other: Tensor) -> Tensor:
    """`one @ other`, float32; without gradients."""
    found = one.detach().numpy() @ other.detach().numpy()
    return torch.from_numpy(found)


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """What gives `right [N, M]` when `matrix [N, N]` is multiplied by it; without gradients."""
    return torch.from_numpy(np.linalg.solve(matrix.detach().numpy(), right.detach().numpy()))


def principal_directions(away: Tensor, count: int) -> Tensor:
    """The `count` directions, `[count, F]`, in which the rows `away [N, F]` from their mean differ most."""
    _, vectors = np.linalg.eigh(product(away.T, away).numpy())  # by rising eigenvalue
    return torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1][:, :count].T))


def square_root(values: Tensor) -> Tensor:
    """Square roots, 0 of what is negative. PyTorch's `sqrt` is MKL's, whose last bit differs by processor."""
    return values.clamp_min(0.0) * values.clamp_min(_LEAST).rsqrt()


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor) -> Tensor:
        ctx.features = features
        return product(features, weight.T)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, product(gradients[0].T, ctx.features)


def logits_of(features: Tensor, weight: Tensor) -> Tensor:
    """`features [N, F] @ weight.T [F, C]`, with the gradient of `weight` alone."""
    found: Tensor = _Logits.apply(features, weight)
    return found
