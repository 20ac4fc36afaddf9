"""The weights of aiSFX, read from the installed package `aisfx`, whose own code is not run."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.errors import TrainingError
from model.torch_towers.aisfx import AisfxNetwork
from training.pretraining.stored_weights import rounded_weights

AISFX = "aisfx"
_PACKAGE, _FILE = "aisfx", "checkpoint.pth"
_DIGEST = "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"
_INSTALL = "install it without what it depends on: pip install --no-deps aisfx==0.1.2"

ORIGIN = (
    "those of aiSFX, Copyright (c) 2022 A. B. Ma and A. Lerch (https://github.com/alisonbma/aisfx, PyPI package "
    "`aisfx` 0.1.2), under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), without warranty; changed: "
    "batch normalisation is part of the convolutions, the layers after the last map are left out, weights are "
    "rounded to 8 bits"
)
"""Where the weights come from and what was changed, for the model card."""


def aisfx_network() -> AisfxNetwork:
    """The network with the published weights, rounded to 8 bits, in evaluation mode.

    Each batch normalisation is part of its convolution. The weights lie on the grid that `store_in_8_bits` writes:
    what is fitted on the network's features meets the same features in the bundle. Raises TrainingError where the
    package is not installed or its file is not the expected one.
    """
    state, network = _published(), AisfxNetwork()
    for number, convolution in enumerate(network.convolutions()):
        block, place = number // 2 + 1, number % 2 + 1
        name = f"embedding_net.conv_block{block}"
        weight = state[f"{name}.conv{place}.weight"].double()
        scale, shift, mean, variance = (
            state[f"{name}.bn{place}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale * (variance + 1e-5).rsqrt()
        folded = (weight * factor[:, None, None, None]).float().numpy()
        with torch.no_grad():
            assert convolution.bias is not None
            convolution.weight.copy_(torch.from_numpy(rounded_weights(folded)))
            convolution.bias.copy_((shift - mean * factor).float())
    return network.eval()


def _published() -> dict[str, Tensor]:
    # Found, not imported: importing would run its code.
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise TrainingError(f"the weights of the sound network are in the package aisfx; {_INSTALL}")
    file = Path(found.origin).parent / "models" / _FILE
    if not file.is_file():
        raise TrainingError(f"the installed package {_PACKAGE} has no {_FILE}; {_INSTALL}")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != _DIGEST:
        raise TrainingError(f"{file} is damaged: its SHA-256 is {digest}, not {_DIGEST}; {_INSTALL}")
    # Beside the tensors it has a table with NumPy's integers, which torch does not read by itself.
    scalar = np.int64().__reduce__()[0]
    numbers: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with torch.serialization.safe_globals(numbers):
        tensors: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)[0]
    return tensors
