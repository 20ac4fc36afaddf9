"""Products of matrices by NumPy, whose kernels can be the same on every maker's processors; PyTorch's cannot."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def product(one: Tensor, other: Tensor) -> Tensor:
    """`one @ other`, float32; without gradients."""
    found = one.detach().numpy() @ other.detach().numpy()
    return torch.from_numpy(found)


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """What gives `right [N, M]` when `matrix [N, N]` is multiplied by it; without gradients."""
    return torch.from_numpy(np.linalg.solve(matrix.detach().numpy(), right.detach().numpy()))


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
