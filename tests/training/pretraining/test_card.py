"""The sentences of the model card about precision and weaknesses."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.materials import MATERIALS
from training.measures.sources import Fold, Least, score_fold
from training.pretraining.tower_precision import precision_of
from training.pretraining.weaknesses import LINE, weaknesses

WOOD, METAL, GLASS, PLASTIC = 15, 3, 9, 0


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ("ff", "The tower is computed in float."),
        ("ww", "The tower is computed in float, from weights in 8 bits."),
        ("88", "Of the 2 convolutions of the tower 2 are computed in INT8."),
        ("fd8d8", "Of the 5 convolutions of the tower 2 are computed in INT8; "
                  "in float are the first 2 and 1 depthwise ones."),
        ("8f8d", "Of the 4 convolutions of the tower 2 are computed in INT8; "
                 "in float are 1 depthwise ones and 1 others."),
    ],
)  # fmt: skip
def test_precision_is_read_from_the_graph(tmp_path: Path, layers: str, sentence: str) -> None:
    """`f`, `8`: a convolution in float or INT8; `w`: in float from weights in 8 bits; `d`: depthwise, in float."""
    nodes, weights, last = [], [], "input"
    for number, kind in enumerate(layers):
        weight, output = f"weight {number}", f"output {number}"
        shape = (2, 1, 1, 1) if kind == "d" else (2, 2, 1, 1)
        if kind in "8w":
            weights.append(numpy_helper.from_array(np.ones(shape, np.int8), f"{weight}, 8 bits"))
            weights.append(numpy_helper.from_array(np.array(0.5, np.float32), f"{weight}, scale"))
            nodes.append(helper.make_node("DequantizeLinear", [f"{weight}, 8 bits", f"{weight}, scale"], [weight]))
        else:
            weights.append(numpy_helper.from_array(np.ones(shape, np.float32), weight))
        if kind == "8":
            scale = f"{weight}, scale"
            nodes.append(helper.make_node("QuantizeLinear", [last, scale], [f"{output}, 8 bits"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{output}, 8 bits", scale], [f"{output}, in"]))
            last = f"{output}, in"
        nodes.append(helper.make_node("Conv", [last, weight], [output], group=2 if kind == "d" else 1))
        last = output
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4, 4]) for name in ("input", last)]
    graph = helper.make_graph(nodes, "tower", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(tmp_path / "tower.onnx"))
    assert precision_of(tmp_path / "tower.onnx", "tower") == sentence


def certain(predicted: list[int]) -> npt.NDArray[np.float64]:
    """Probabilities whose likeliest materials are `predicted`."""
    probabilities: npt.NDArray[np.float64] = 0.1 + 0.5 * (np.array(predicted)[:, None] == np.arange(len(MATERIALS)))
    return probabilities


def test_weaknesses_are_counted() -> None:
    library = np.array([WOOD])
    near = Fold(
        picture_material=np.array([WOOD] * 4 + [GLASS] * 4),
        sound_material=np.array([METAL] * 3),
        library_material=library,
        scores=np.ones((8, 1)),
        picture_probabilities=certain([WOOD] * 4 + [PLASTIC] * 2 + [GLASS] * 2),
        sound_probabilities=certain([METAL, WOOD, WOOD]),
    )
    far = Fold(
        picture_material=np.array([GLASS] * 4 + [PLASTIC]),
        sound_material=np.zeros(0, np.int64),
        library_material=library,
        scores=np.ones((5, 1)),
        picture_probabilities=certain([METAL, PLASTIC, PLASTIC, PLASTIC, WOOD]),
    )
    scores = {"near": score_fold(near, Least(4, 3)), "far": score_fold(far, Least(4, 3))}
    text = weaknesses(np.array([WOOD] * 9 + [GLASS] * 2), scores, Least(4, 3))
    assert max(len(line) for line in text.splitlines()) <= LINE
    lines = " ".join(text.split()).split(" - ")
    # Of eight pictures of glass two are predicted right and five as plastic; plastic has too few to count.
    assert lines[0] == "- Pictures told right less than half the time: glass (0.25)."
    assert lines[1] == "Sounds told right less than half the time: metal (0.33)."
    # The library has one sound of wood, which its pictures get; glass has none.
    assert lines[2].endswith("fewer than two fit on average: none.")
    assert lines[3].endswith("commonest material alone fit at least as often: near (1.00 beside 1.00).")
    assert (
        lines[4]
        == "Pictures most often taken for another material: glass for plastic (0.62), glass for metal (0.12)."
    )
    assert lines[5].startswith("Shown fewer than 4 pictures of: plastic (0), drywall (0),")
    assert "glass (2)" in lines[5]
    assert "wood" not in lines[5]
    pictures, sounds = lines[6].split("; ")
    assert "plastic (1)" in pictures
    assert "glass" not in pictures
    assert "metal" not in sounds
    # Macro: near (1 + 0.5) / 2, far 0; sounds 1 / 3.
    assert lines[7].startswith(
        "Of groups of sources that it has never met, 0.38 of the pictures and 0.33 of the sounds"
    )


def test_a_bundle_without_weaknesses_says_none() -> None:
    text = weaknesses(np.repeat(np.arange(len(MATERIALS)), 4), {}, Least(4, 3))
    assert "- Pictures told right less than half the time: none." in text
    assert "- Shown fewer than 4 pictures of: none." in text
    assert "never met" not in text
