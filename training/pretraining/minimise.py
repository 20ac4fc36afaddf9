"""Minimising a loss without PyTorch's L-BFGS, whose square roots are MKL's."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

_LEAST_DECREASE, _LEAST_SLOPE = 1e-9, 1e-6
"""Where to stop: where the loss falls by less than this share of it, or no slope is steeper."""


def minimise(loss: Callable[[], Tensor], parameters: Sequence[Tensor], iterations: int) -> None:
    """Change `parameters`, in place, to where `loss` is lowest, by at most `iterations` of L-BFGS-B.

    Byrd et al. 1995, as SciPy has it: PyTorch's L-BFGS takes square roots of MKL, whose last bit depends on the
    processor. Deterministic.
    """
    ends = np.cumsum([one.numel() for one in parameters])[:-1]

    def change(values: npt.NDArray[np.float64]) -> None:
        with torch.no_grad():
            for one, part in zip(parameters, np.split(values, ends), strict=True):
                one.copy_(torch.from_numpy(part.astype(np.float32)).reshape(one.shape))

    def at(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        change(values)
        value = loss()
        slopes = torch.autograd.grad(value, parameters)
        return value.item(), np.concatenate([one.numpy().ravel() for one in slopes]).astype(np.float64)

    start = np.concatenate([one.detach().numpy().ravel() for one in parameters]).astype(np.float64)
    found = minimize(
        at,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": _LEAST_DECREASE, "gtol": _LEAST_SLOPE},
    )
    change(found.x)
