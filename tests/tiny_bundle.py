"""A bundle whose towers are a few ONNX nodes: real to everything that runs a bundle, made in milliseconds.

The image tower projects the mean colour, the sound tower the clip's envelope and brightness, both to 128
normalised numbers. Nothing is trained: what they recommend means nothing, but it is always the same.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from model.bundle import (
    BANK,
    HEADS,
    IMAGE_TOWER,
    SOUND_TOWER,
    Bundle,
    Calibration,
    ClipSpec,
    Hubness,
    ObjectSpec,
    PictureSpec,
    write_bundle,
)
from model.heads import MaterialHeads
from model.materials import MATERIALS
from model.unit_vectors import save_unit_vectors

Constants = dict[str, npt.NDArray[np.generic]]

_SIZE = 128
_PARTS = 16
_WOOD, _CARPET = 15, 16
OBJECTS = ("bottle", "door")
_PICTURE = PictureSpec(size=64)
_CLIP = ClipSpec(sample_rate=16_000)


def write_shade(file: Path, level: int) -> None:
    """A picture in two halves around this grey, 3 to 252: with the contrast without which nothing is recognised."""
    picture = np.full((60, 80, 3), level - 3, np.uint8)
    picture[:, 40:] = level + 3
    Image.fromarray(picture).save(file)


def write_tiny_bundle(
    folder: Path,
    seed: int = 0,
    others: Mapping[str, Path] = MappingProxyType({}),
    *,
    with_objects: bool = False,
    **fields: Any,
) -> Bundle:
    """Write the bundle at `folder`; another `seed` gives other towers and so another id.

    `others` are more files of it by their names, `fields` more fields of its `BundleSpec`. `with_objects`: its
    image tower sees a bottle in red pictures, a door in blue ones and neither in green ones.
    """
    rng = np.random.default_rng(seed)
    scratch = folder.with_name(folder.name + ".towers")
    scratch.mkdir(parents=True)
    towers = {IMAGE_TOWER: scratch / "image.onnx", SOUND_TOWER: scratch / "sound.onnx"}
    onnx.save_model(_image_tower(rng, with_objects), str(towers[IMAGE_TOWER]))
    onnx.save_model(_sound_tower(rng), str(towers[SOUND_TOWER]))
    if with_objects:
        fields = {"objects": ObjectSpec(names=OBJECTS, shown=0.1)} | fields
    return write_bundle(
        folder,
        {**towers, **others},
        name="tiny",
        backbones={"image": "mean colour", "sound": "envelope"},
        embedding_size=_SIZE,
        cells=None,
        materials=tuple(material.name for material in MATERIALS),
        picture=_PICTURE,
        clip=_CLIP,
        **fields,
    )


def write_tiny_bundle_with_heads(folder: Path, recognised: float | None = 0.5) -> Bundle:
    """Write the bundle with `tiny_heads`; `recognised` is its calibration's, None leaves that out."""
    heads = folder.with_name(folder.name + ".heads.npz")
    tiny_heads().save(heads)
    calibration = Calibration(recognised=recognised) if recognised is not None else None
    return write_tiny_bundle(folder, others={HEADS: heads}, calibration=calibration)


def tiny_heads() -> MaterialHeads:
    """Heads that see wood, and less surely carpet, in bright pictures and hardly anything in dark ones."""
    bright = _colour_weight(np.random.default_rng(0)).sum(axis=0)
    picture_weights = np.zeros((len(MATERIALS), _SIZE), np.float32)
    picture_weights[[_WOOD, _CARPET]] = bright / np.linalg.norm(bright) * [[5.0], [3.0]]
    picture_bias = np.linspace(-5.0, -4.0, len(MATERIALS), dtype=np.float32)
    picture_bias[[_WOOD, _CARPET]] = -3.0, -4.0
    rng = np.random.default_rng(1)
    return MaterialHeads(
        picture_weights=picture_weights,
        picture_bias=picture_bias,
        sound_weights=rng.standard_normal((len(MATERIALS), _SIZE)).astype(np.float32),
        sound_bias=rng.standard_normal(len(MATERIALS)).astype(np.float32),
    )


def _colour_weight(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.standard_normal((3, _SIZE)).astype(np.float32)


def _image_tower(rng: np.random.Generator, with_objects: bool) -> onnx.ModelProto:
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
        "weight": _colour_weight(rng),
    }
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["B", _PICTURE.size, _PICTURE.size, 3])
    if not with_objects:
        return _model(nodes, pictures, constants)
    nodes += [
        helper.make_node("MatMul", ["features", "redness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["chances"], axis=-1),
        helper.make_node("Slice", ["chances", "first", "count", "last"], ["objects"]),
    ]
    constants |= {
        # Of red, green and blue; the third class is no object.
        "redness": np.array([[0.03, 0, 0], [0, 0, 0.06], [0, 0.03, 0]], np.float32),
        "first": np.array([0], np.int64),
        "count": np.array([len(OBJECTS)], np.int64),
        "last": np.array([1], np.int64),
    }
    return _model(nodes, pictures, constants, objects=len(OBJECTS))


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


def _model(
    nodes: list[onnx.NodeProto], given: onnx.ValueInfoProto, constants: Constants, objects: int = 0
) -> onnx.ModelProto:
    sizes = {"embedding": _SIZE} | ({"objects": objects} if objects else {})
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size]) for name, size in sizes.items()]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tower", [given], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def write_tiny_bundle_with_bank(folder: Path, bank: npt.NDArray[np.float32], hubness: Hubness) -> Bundle:
    """Write the bundle with `bank [N, 128]` as the pictures against which hubs are told."""
    file = folder.with_name(folder.name + ".bank.npy")
    save_unit_vectors(file, bank)
    return write_tiny_bundle(folder, others={BANK: file}, hubness=hubness)
