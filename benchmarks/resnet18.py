"""A ResNet-18 with random weights as Thud serves it: exported, then in INT8. For speed alone; it tells nothing."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from model import PRETRAINED
from model.bundle import (
    IMAGE_TOWER,
    SOUND_TOWER,
    Bundle,
    ClipSpec,
    PictureSpec,
    load_bundle,
    write_bundle,
)
from model.materials import MATERIALS
from model.picture import picture_array
from model.torch_towers.networks import build_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.systems.export import export_bundle

SIZE = 224
NAME = "resnet18"


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: list[bytes]) -> None:
        arrays = (picture_array(data, SIZE, "squash")[None] for data in pictures)
        self._inputs: Iterator[dict[str, Any]] = ({"pictures": array} for array in arrays)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def write_resnet18(target: Path, pictures: list[bytes]) -> Bundle:
    """Write the bundle at `target`; activations take their range on `pictures`.

    The image tower alone is a ResNet-18; the sound tower is the shipped bundle's, which serving never runs.
    """
    torch.manual_seed(0)
    clip = ClipSpec(sample_rate=8000, before=0.1, after=0.3)
    towers = TwoTower(
        ImageTower(build_network(NAME)),
        SoundTower(build_network("shufflenet_v2_x0_5"), LogMel(clip.sample_rate, clip.samples, size=32)),
    )
    with tempfile.TemporaryDirectory() as scratch:
        floats, _ = export_bundle(
            towers,
            Path(scratch) / "floats",
            name=NAME,
            backbones={"image": NAME, "sound": "none"},
            picture=PictureSpec(size=SIZE),
            clip=clip,
        )
        prepared, tower = Path(scratch) / "prepared.onnx", Path(scratch) / "int8.onnx"
        quant_pre_process(str(floats.file(IMAGE_TOWER)), str(prepared), skip_symbolic_shape=True)
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)
        try:
            quantize_static(
                str(prepared),
                str(tower),
                _Pictures(pictures),
                quant_format=QuantFormat.QDQ,
                # Without its additions and poolings in INT8, a residual network goes to and fro between types.
                op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.root.setLevel(level)
        shipped = load_bundle(PRETRAINED)
        return write_bundle(
            target,
            {IMAGE_TOWER: tower, SOUND_TOWER: shipped.file(SOUND_TOWER)},
            name=NAME,
            backbones={"image": NAME, "sound": shipped.spec.backbones["sound"]},
            embedding_size=floats.spec.embedding_size,
            cells=floats.spec.cells,
            materials=tuple(material.name for material in MATERIALS),
            picture=floats.spec.picture,
            clip=shipped.spec.clip,
            precision="int8",
        )


def float_network() -> torch.nn.Module:
    """The same network in eager PyTorch, for the usual way."""
    torch.manual_seed(0)
    return build_network(NAME).eval()
