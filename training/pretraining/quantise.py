"""Quantising a tower to INT8, with the ranges of activations measured on real inputs."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Inputs = npt.NDArray[Any]

FIRST_IN_FLOAT = 2
"""The first convolutions stay in float: all later ones would amplify their rounding errors."""
_BATCH = 16


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, inputs: Inputs) -> None:
        self._batches: Iterator[dict[str, Inputs]] = (
            {name: inputs[start : start + _BATCH]} for start in range(0, len(inputs), _BATCH)
        )

    def get_next(self) -> dict[str, Inputs] | None:
        return next(self._batches, None)


def quantise_tower(
    tower: Path,
    target: Path,
    inputs: Inputs,
    *,
    first_in_float: int = FIRST_IN_FLOAT,
    corrected: bool = True,
    any_pair: bool = False,
) -> None:
    """Write the INT8 version of the tower at `tower` to `target`, with activation ranges from `inputs [N, ...]`.

    Only convolutions are computed in 8 bits: what comes before them (pixels to floats, the spectrogram) and after
    (projection, normalisation) costs little. Each ReLU6 is quantised with its convolution, so that its bounds are
    the range of the convolution's output. Otherwise the range would include values that the ReLU6 clips, which
    ruins depthwise convolutions, whose channels differ most, and each ReLU6 would be computed in float.
    `first_in_float`: number of first convolutions that stay in float. `corrected`: with bias correction.
    `any_pair`: allow weights whose sums saturate on some processors, see `weight_ranges`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Merges batch normalisation into the convolutions; otherwise their outputs are quantised twice.
        quant_pre_process(str(tower), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        in_float = _in_float(model.graph, first_in_float)
        if corrected:
            _correct_biases(model, in_float, inputs, any_pair)
        onnx.save(model, str(prepared))
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)
        try:
            quantize_static(
                str(prepared),
                str(target),
                _Batches(model.graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Clip"],
                nodes_to_exclude=in_float,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"TensorQuantOverrides": _overrides(model.graph, in_float, any_pair)},
            )
        finally:
            logging.root.setLevel(level)


def weight_ranges(weight: npt.NDArray[np.float32], *, any_pair: bool = False) -> npt.NDArray[np.float32]:
    """The value of the 8-bit weight 127, in each output channel, `[channels]`.

    `weight` is `[channels, inputs, rows, columns]`.

    On x86 without VNNI, ONNX Runtime multiplies 8-bit inputs (0 to 255) by weights and adds the products of two
    neighbours (in the order rows, columns, inputs) in 16 bits, where sums above 32,767 saturate. So no two
    neighbours may add up to more than 127: if both are rounded up it is 128, and 255 times that still fits.
    Depthwise convolutions have a kernel of their own that adds in 32 bits: there `any_pair` is allowed.
    """
    ranges: npt.NDArray[np.float32] = np.abs(weight).max(axis=(1, 2, 3))
    return ranges if any_pair else np.maximum(ranges, np.abs(_pairs(weight)).max(axis=1))


def largest_pair(tower: Path) -> int:
    """The largest absolute sum of two neighbouring 8-bit weights of the file `tower`; 0 without 8-bit weights.

    Up to 128, no kernel saturates: see `weight_ranges`.
    """
    graph = onnx.load(str(tower)).graph
    stored = {one.name: one for one in graph.initializer}
    eight = {one.output[0]: one.input[0] for one in graph.node if one.op_type == "DequantizeLinear"}
    largest = 0
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in eight:
            weight = numpy_helper.to_array(stored[eight[node.input[1]]]).astype(np.int32)
            if not _is_depthwise(node, weight):
                largest = max(largest, int(np.abs(_pairs(weight)).max()))
    return largest


def _pairs(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums `[channels, pairs]` of two neighbours; those of opposite sign are never larger than one of the two."""
    in_order = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    in_order = np.pad(in_order, ((0, 0), (0, in_order.shape[1] % 2)))
    sums: npt.NDArray[Any] = in_order[:, ::2] + in_order[:, 1::2]
    return sums


def _in_float(graph: Any, first: int) -> list[str]:
    """Names of the first convolutions, their ReLU6, and each Clip that follows no convolution (a spectrogram's)."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    outputs = {name for node in convolutions[first:] for name in node.output}
    clips = [node for node in graph.node if node.op_type == "Clip" and not outputs.intersection(node.input)]
    return [node.name for node in (*convolutions[:first], *clips)]


def _overrides(graph: Any, in_float: list[str], any_pair: bool) -> dict[str, list[dict[str, Any]]]:
    """The ranges of all weights that are quantised, as `quantize_static` takes them."""
    return {
        node.input[1]: [{"axis": 0, "rmin": -most, "rmax": most} for most in _ranges(graph, node, any_pair)]
        for node in graph.node
        if node.op_type == "Conv" and node.name not in in_float
    }


def _ranges(graph: Any, node: Any, any_pair: bool) -> npt.NDArray[np.float32]:
    (weight,) = (numpy_helper.to_array(one) for one in graph.initializer if one.name == node.input[1])
    return weight_ranges(weight, any_pair=any_pair or _is_depthwise(node, weight))


def _is_depthwise(node: Any, weight: npt.NDArray[Any]) -> bool:
    """Whether each input channel has one output channel; then `weight` is `[channels, 1, rows, columns]`."""
    groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
    return groups == [len(weight)] and weight.shape[1] == 1 < len(weight)


def _correct_biases(model: Any, in_float: list[str], inputs: Inputs, any_pair: bool) -> None:
    """Subtract from each bias, in place, what rounding the weights adds to the convolution's output on average.

    Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.2, with
    the mean inputs `[channels]` measured on `inputs` rather than taken from batch normalisation. Padding is
    ignored.
    """
    weights = {initializer.name: initializer for initializer in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and node.name not in in_float]
    means = _channel_means(model, sorted({node.input[0] for node in convolutions}), inputs)
    biases = [node.input[2] for node in model.graph.node if node.op_type == "Conv" and any(node.input[2:])]
    for node in convolutions:
        weight = numpy_helper.to_array(weights[node.input[1]])
        step = np.maximum(_ranges(model.graph, node, any_pair)[:, None, None, None], 1e-12) / 127
        rounded_off = (np.round(weight / step) * step - weight).sum(axis=(2, 3))
        mean = means[node.input[0]]
        added = rounded_off[:, 0] * mean if _is_depthwise(node, weight) else rounded_off @ mean
        bias = weights[node.input[2]] if any(node.input[2:]) else None
        before = numpy_helper.to_array(bias) if bias is not None else np.zeros(len(weight), np.float32)
        if bias is None or biases.count(bias.name) > 1:  # it gets a bias of its own
            del node.input[2:]
            node.input.append(f"{node.output[0]}_bias")
            bias = model.graph.initializer.add()
        after = (before - added).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(after, node.input[2]))


def _channel_means(model: Any, tensors: list[str], inputs: Inputs) -> dict[str, npt.NDArray[np.float64]]:
    """The mean `[channels]` of each of `tensors`, which are `[B, channels, rows, columns]`, over all `inputs`."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    sums = dict.fromkeys(tensors, np.zeros(1))
    for start in range(0, len(inputs), _BATCH):
        batch = inputs[start : start + _BATCH]
        for name, values in zip(tensors, session.run(tensors, {model.graph.input[0].name: batch}), strict=True):
            sums[name] = sums[name] + values.mean(axis=(2, 3), dtype=np.float64).sum(axis=0)
    return {name: total / len(inputs) for name, total in sums.items()}
