"""A tower in INT8: which nodes are, no mean error in its outputs, and the same results on every processor."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.bundle import IMAGE_TOWER
from model.runtime import session_options
from training.pretraining.quantise import largest_pair, quantise_tower, weight_ranges

SHIPPED = Path(__file__).parents[3] / "model" / "pretrained" / IMAGE_TOWER

CONVOLUTIONS = 4
SIZE = 12


def write_tower(path: Path, *, biases: str) -> None:
    """Four convolutions, the third depthwise, each with its ReLU6, after a Clip that belongs to none."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Clip", ["pixels", "zero", "one"], ["x0"], name="input_clip")]
    initializers = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("zero", 0.0), ("one", 1.0), ("six", 6.0))
    ]
    channels = [3, 8, 8, 8, 5]
    for number in range(CONVOLUTIONS):
        group = channels[number] if number == 2 else 1
        shape = (channels[number + 1], channels[number] // group, 3, 3)
        # Weights of very different sizes in one channel, so that small ones are rounded off.
        weight = (rng.normal(0, 0.3, shape) * rng.choice([0.02, 1.0], shape)).astype(np.float32)
        initializers.append(numpy_helper.from_array(weight, f"w{number}"))
        inputs = [f"x{number}", f"w{number}"]
        if biases == "own":
            inputs.append(f"b{number}")
            initializers.append(
                numpy_helper.from_array(rng.normal(0.5, 0.1, shape[0]).astype(np.float32), inputs[2])
            )
        elif biases == "shared" and shape[0] == 8:
            inputs.append("b")
        nodes += [
            helper.make_node("Conv", inputs, [f"c{number}"], name=f"conv{number}", group=group),
            helper.make_node("Clip", [f"c{number}", "zero", "six"], [f"x{number + 1}"], name=f"clip{number}"),
        ]
    if biases == "shared":
        initializers.append(numpy_helper.from_array(np.full(8, 0.5, np.float32), "b"))
    nodes.append(helper.make_node("ReduceMean", [f"x{CONVOLUTIONS}"], ["embedding"], axes=[2, 3], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 5])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def embedded(tower: Path, inputs: npt.NDArray[Any], *, exact: bool = False) -> npt.NDArray[np.float32]:
    options = session_options(1, exact=exact)
    session = onnxruntime.InferenceSession(str(tower), options, providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    return found


@pytest.fixture
def inputs() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).uniform(-0.2, 1.2, (64, 3, SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize("biases", ["own", "shared", "none"])
def test_correction_removes_the_mean_error(tmp_path: Path, inputs: npt.NDArray[np.float32], biases: str) -> None:
    tower = tmp_path / "tower.onnx"
    write_tower(tower, biases=biases)
    whole, errors = embedded(tower, inputs), []
    for corrected in (False, True):
        target = tmp_path / f"int8-{corrected}.onnx"
        quantise_tower(tower, target, inputs, first_in_float=0, corrected=corrected)
        errors.append(np.abs((embedded(target, inputs) - whole).mean(axis=0)).mean())
    assert errors[1] < 0.7 * errors[0]
    assert errors[1] < 0.02 * whole.std()


def test_which_nodes_are_computed_in_8_bits(tmp_path: Path, inputs: npt.NDArray[np.float32]) -> None:
    tower, target = tmp_path / "tower.onnx", tmp_path / "int8.onnx"
    write_tower(tower, biases="own")
    quantise_tower(tower, target, inputs, first_in_float=2)
    graph = onnx.load(str(target)).graph
    dequantised = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convolutions = {node.name: node for node in graph.node if node.op_type == "Conv"}
    assert [name for name, node in convolutions.items() if node.input[1] in dequantised] == ["conv2", "conv3"]
    kept = {node.name for node in graph.node if node.op_type == "Clip" and node.input[0] not in dequantised}
    assert {"input_clip", "clip0", "clip1"} <= kept
    # The weights of those are 8-bit numbers in the file.
    stored = {one.name: one.data_type for one in graph.initializer}
    assert stored["w2_quantized"] == stored["w3_quantized"] == TensorProto.INT8
    again = tmp_path / "again.onnx"
    quantise_tower(tower, again, inputs, first_in_float=2)
    assert again.read_bytes() == target.read_bytes()


def test_no_two_neighbours_of_a_tower_can_overflow(tmp_path: Path, inputs: npt.NDArray[np.float32]) -> None:
    tower, target = tmp_path / "tower.onnx", tmp_path / "int8.onnx"
    write_tower(tower, biases="own")
    quantise_tower(tower, target, inputs, first_in_float=0)
    assert 120 <= largest_pair(target) <= 128
    assert largest_pair(tower) == 0
    np.testing.assert_array_equal(embedded(target, inputs), embedded(target, inputs, exact=True))


def test_the_shipped_tower_gives_the_same_on_every_processor() -> None:
    assert 120 <= largest_pair(SHIPPED) <= 128
    pictures = np.random.default_rng(0).integers(0, 256, (2, 192, 192, 3), dtype=np.uint8)
    pictures[1] //= 16
    np.testing.assert_array_equal(embedded(SHIPPED, pictures), embedded(SHIPPED, pictures, exact=True))


def test_ranges_keep_neighbours_of_one_sign_within_127_steps() -> None:
    weight = np.zeros((4, 3, 1, 3), np.float32)
    # In the order of the kernel: rows, columns, inputs. The ninth of nine has no neighbour.
    weight[0, 0, 0, 0] = weight[0, 1, 0, 0] = 0.5
    weight[1, 0, 0, 0], weight[1, 1, 0, 0] = 0.5, -0.5
    weight[2, 2, 0, 0], weight[2, 0, 0, 1] = -0.5, -0.25
    weight[3, 1, 0, 0] = weight[3, 2, 0, 0] = weight[3, 2, 0, 2] = 0.5
    np.testing.assert_allclose(weight_ranges(weight), [1.0, 0.5, 0.75, 0.5])
    np.testing.assert_allclose(weight_ranges(weight, any_pair=True), [0.5, 0.5, 0.5, 0.5])
