"""What a network must compute, and what a core can: the least time that arithmetic alone would take."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference

from model.runtime import session_options

_SIDE = 768


@dataclass(frozen=True)
class Arithmetic:
    """Multiplications with additions of one picture, in 8 bits and in float, and how many a core does a second."""

    macs_int8: float
    macs_float: float
    rate_int8: float
    rate_float: float

    @property
    def milliseconds(self) -> float:
        """The least time of a picture on one core."""
        return 1000 * (self.macs_int8 / self.rate_int8 + self.macs_float / self.rate_float)


def arithmetic(tower: Path) -> Arithmetic:
    """Count those of the tower, and measure those of a core by multiplying large matrices in ONNX Runtime."""
    return Arithmetic(*_macs(tower), _rate(_int8_product()), _rate(_float_product()))


def _macs(tower: Path) -> tuple[float, float]:
    """Those in 8 bits and those in float. A convolution is in 8 bits where its weights are."""
    model = onnx.load(str(tower))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.output, *graph.input):
        shapes[value.name] = [one.dim_value or 1 for one in value.type.tensor_type.shape.dim]
    dequantised = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    int8 = floats = 0.0
    for node in graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        weights = shapes[dequantised.get(node.input[1], node.input[1])]
        # Of a convolution [outputs, inputs / groups, ...], each output number takes all but the first.
        each = np.prod(weights[1:]) if node.op_type == "Conv" else weights[0]
        count = float(each * np.prod(shapes[node.output[0]]))
        if node.input[1] in dequantised:
            int8 += count
        else:
            floats += count
    return int8, floats


def _rate(product: tuple[onnx.ModelProto, dict[str, Any]]) -> float:
    model, inputs = product
    options = session_options(1)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return _SIDE**3 / _least(lambda: session.run(None, inputs))


def _least(call: Callable[[], object]) -> float:
    """CPU seconds of the quickest of some calls."""
    took = []
    for _ in range(20):
        began = time.thread_time()
        call()
        took.append(time.thread_time() - began)
    return min(took)


def _float_product() -> tuple[onnx.ModelProto, dict[str, Any]]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((_SIDE, _SIDE), np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return _model(node, TensorProto.FLOAT, TensorProto.FLOAT, {"w": weights}), {"x": weights}


def _int8_product() -> tuple[onnx.ModelProto, dict[str, Any]]:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (_SIDE, _SIDE), np.int8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    pixels = rng.integers(0, 256, (_SIDE, _SIDE), np.uint8)
    return _model(node, TensorProto.UINT8, TensorProto.INT32, {"w": weights}), {"x": pixels}


def _model(node: Any, given: int, made: int, constants: dict[str, Any]) -> onnx.ModelProto:
    sides = [_SIDE, _SIDE]
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", given, sides)],
        [helper.make_tensor_value_info("y", made, sides)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
