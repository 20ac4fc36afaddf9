"""The precision in which a tower computes, read from its graph, as a sentence for the model card."""

from pathlib import Path
from typing import Any

import onnx


def precision_of(tower: Path, name: str) -> str:
    """A sentence about the file `tower`, called `name`: how many of its convolutions are in INT8, and which not."""
    graph = onnx.load(str(tower), load_external_data=False).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    dequantised = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    stored = [node.input[1] in dequantised for node in convolutions]
    # With weights in 8 bits alone it computes in float, and with an input in 8 bits alone, after one in INT8, too.
    eight = [in_8 and node.input[0] in dequantised for in_8, node in zip(stored, convolutions, strict=True)]
    if not any(eight):
        weights = ", from weights in 8 bits" if any(stored) else ""
        return f"The {name} is computed in float{weights}."
    first = eight.index(True)
    rest = [node for node, quantised in zip(convolutions[first:], eight[first:], strict=True) if not quantised]
    depthwise = sum(_is_depthwise(node) for node in rest)
    kinds = [
        *([f"the first {first}"] if first else []),
        *([f"{depthwise} depthwise ones"] if depthwise else []),
        *([f"{len(rest) - depthwise} others"] if len(rest) > depthwise else []),
    ]
    others = f"; in float are {' and '.join(kinds)}" if kinds else ""
    return f"Of the {len(convolutions)} convolutions of the {name} {sum(eight)} are computed in INT8{others}."


def _is_depthwise(node: Any) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
