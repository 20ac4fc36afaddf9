"""Whether anything in a computation would make the CPU wait for a GPU, found without one.

Meta tensors have no values: reading one back, or a shape that hangs on one, is an error.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class OnlyOnMeta(TorchFunctionMode):
    """Fails on a tensor made of Python numbers or on another device: its copy would be waited for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, Tensor.new_tensor)
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            assert not isinstance(value, Tensor) or value.device.type == "meta", func
        return result
