"""Towers in INT8, with ranges of activations found on real inputs."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Inputs = npt.NDArray[Any]

FIRST_IN_FLOAT = 6
"""Convolutions at the beginning that stay in float: what they round off, all that follow make larger."""
_BATCH = 16


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, inputs: Inputs) -> None:
        self._batches: Iterator[dict[str, Inputs]] = (
            {name: inputs[start : start + _BATCH]} for start in range(0, len(inputs), _BATCH)
        )

    def get_next(self) -> dict[str, Inputs] | None:
        return next(self._batches, None)


def quantise_tower(tower: Path, target: Path, inputs: Inputs) -> None:
    """Write the INT8 twin of the tower at `tower` to `target`; activations take their range on `inputs [N, ...]`.

    Convolutions alone are computed in 8 bits: what comes before them (pixels to floats, the spectrogram) and after
    (projection, length 1) costs little. Of them, the first and all depthwise ones stay in float: a depthwise
    convolution's channels have ranges of their own, which one scale for all of them cannot hold.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Folds batch normalisation into the convolutions; without it their outputs are quantised twice.
        quant_pre_process(str(tower), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)
        try:
            quantize_static(
                str(prepared),
                str(target),
                _Batches(graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=_in_float(graph),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            logging.root.setLevel(level)


def _in_float(graph: Any) -> list[str]:
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    depthwise = [node for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    return sorted({node.name for node in (*convolutions[:FIRST_IN_FLOAT], *depthwise)})
