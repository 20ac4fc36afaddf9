"""Weights of convolutions stored in 8 bits and computed in float: a quarter of the size on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Weights = npt.NDArray[np.float32]

_LARGEST = 127


def rounded_weights(weight: Weights) -> Weights:
    """The weights `[channels, inputs, rows, columns]` that 8 bits and one step for each output channel can hold."""
    steps, eight = _in_8_bits(weight)
    return eight.astype(np.float32) * steps[:, None, None, None]


def store_in_8_bits(tower: Path, target: Path) -> None:
    """Write the tower at `tower` to `target` with the weights of its convolutions in 8 bits.

    When the tower is opened they become floats again (DequantizeLinear); weights that are `rounded_weights` already
    stay the same within the last bits of a float.
    """
    model = onnx.load(str(tower))
    graph = model.graph
    stored = {one.name: one for one in graph.initializer}
    names = dict.fromkeys(node.input[1] for node in graph.node if node.op_type == "Conv")
    nodes = []
    for name in names:
        steps, eight = _in_8_bits(numpy_helper.to_array(stored[name]))
        graph.initializer.remove(stored[name])
        # Zeros that need not be there, but that ONNX Runtime looks for when it makes weights unsigned.
        parts: dict[str, npt.NDArray[Any]] = {
            f"{name}_8_bits": eight,
            f"{name}_steps": steps,
            f"{name}_zeros": np.zeros(len(eight), np.int8),
        }
        graph.initializer.extend(numpy_helper.from_array(values, part) for part, values in parts.items())
        nodes.append(onnx.helper.make_node("DequantizeLinear", list(parts), [name], axis=0))
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])
    onnx.save(model, str(target))


def _in_8_bits(weight: Weights) -> tuple[Weights, npt.NDArray[np.int8]]:
    """The step of each output channel, `[channels]`, and the weights in steps, -127 to 127."""
    largest = np.abs(weight).max(axis=(1, 2, 3))
    steps = (np.maximum(largest, np.finfo(np.float32).tiny * _LARGEST) / _LARGEST).astype(np.float32)
    return steps, np.round(weight / steps[:, None, None, None]).astype(np.int8)
