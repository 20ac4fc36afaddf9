"""A bundle whose towers are a few ONNX nodes: real to everything that runs a bundle, made in milliseconds.

The image tower projects the mean colour, the sound tower the clip's envelope and brightness, both to 128
normalised numbers. Nothing is trained: what they recommend means nothing, but it is always the same.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.bundle import IMAGE_TOWER, SOUND_TOWER, Bundle, ClipSpec, PictureSpec, write_bundle
from model.materials import MATERIALS

Constants = dict[str, npt.NDArray[np.generic]]

_SIZE = 128
_PARTS = 16
_PICTURE = PictureSpec(size=64)
_CLIP = ClipSpec(sample_rate=16_000)


def write_tiny_bundle(folder: Path, seed: int = 0) -> Bundle:
    """Write the bundle at `folder`; another `seed` gives other towers and so another id."""
    rng = np.random.default_rng(seed)
    scratch = folder.with_name(folder.name + ".towers")
    scratch.mkdir(parents=True)
    towers = {IMAGE_TOWER: scratch / "image.onnx", SOUND_TOWER: scratch / "sound.onnx"}
    onnx.save_model(_image_tower(rng), str(towers[IMAGE_TOWER]))
    onnx.save_model(_sound_tower(rng), str(towers[SOUND_TOWER]))
    return write_bundle(
        folder,
        towers,
        name="tiny",
        backbones={"image": "mean colour", "sound": "envelope"},
        embedding_size=_SIZE,
        cells=None,
        materials=tuple(material.name for material in MATERIALS),
        picture=_PICTURE,
        clip=_CLIP,
    )


def _image_tower(rng: np.random.Generator) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["pictures"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "pixels"], ["colour"], keepdims=0),
        helper.make_node("Sub", ["colour", "grey"], ["features"]),
        *_projection(),
    ]
    constants: Constants = {
        "pixels": np.array([1, 2], np.int64),
        # Off the middle, so that no grey picture has a vector of length 0.
        "grey": np.array([127.3, 126.1, 128.9], np.float32),
        "weight": rng.standard_normal((3, _SIZE)).astype(np.float32),
    }
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["B", _PICTURE.size, _PICTURE.size, 3])
    return _model(nodes, pictures, constants)


def _sound_tower(rng: np.random.Generator) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["clips", "in_parts"], ["parts"]),
        helper.make_node("Abs", ["parts"], ["levels"]),
        helper.make_node("ReduceMean", ["levels", "last"], ["envelope"], keepdims=0),
        helper.make_node("Slice", ["clips", "one", "end", "one"], ["later"]),
        helper.make_node("Slice", ["clips", "zero", "last", "one"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["slopes"]),
        helper.make_node("Abs", ["slopes"], ["steepness"]),
        helper.make_node("ReduceMean", ["steepness", "one"], ["brightness"], keepdims=1),
        helper.make_node("Concat", ["envelope", "brightness"], ["both"], axis=1),
        helper.make_node("Add", ["both", "floor"], ["features"]),
        *_projection(),
    ]
    constants: Constants = {
        "in_parts": np.array([0, _PARTS, _CLIP.samples // _PARTS], np.int64),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "end": np.array([_CLIP.samples], np.int64),
        "floor": np.full(_PARTS + 1, 1e-4, np.float32),
        "weight": rng.standard_normal((_PARTS + 1, _SIZE)).astype(np.float32),
    }
    # Slice takes its axes fourth and its steps fifth: both slices run along axis 1, in steps of 1.
    clips = helper.make_tensor_value_info("clips", TensorProto.FLOAT, ["B", _CLIP.samples])
    return _model(nodes, clips, constants)


def _projection() -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", ["features", "weight"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["embedding"], axis=-1, p=2),
    ]


def _model(nodes: list[onnx.NodeProto], given: onnx.ValueInfoProto, constants: Constants) -> onnx.ModelProto:
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", _SIZE])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tower", [given], [embedding], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model
