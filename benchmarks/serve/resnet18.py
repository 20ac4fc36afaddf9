"""A ResNet-18 with random weights as Thud serves it, exported and in INT8: for speed alone."""

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
from model.torch_towers.networks import EMBEDDING_SIZE, build_network
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
    """Write the bundle at `target`; the ranges of activations are measured on `pictures` (JPEGs).

    Only the image tower is a ResNet-18; the sound tower is that of the shipped bundle, and serving never runs it.
    """
    torch.manual_seed(0)
    clip = ClipSpec(sample_rate=8000, before=0.1, after=0.3)
    image = ImageTower(build_network(NAME))
    # A bundle needs a sound tower: the smallest that can be exported.
    mean = torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten(), torch.nn.Linear(3, EMBEDDING_SIZE))
    sound = SoundTower(mean, LogMel(clip.sample_rate, clip.samples, size=32))
    with tempfile.TemporaryDirectory() as scratch:
        floats, _ = export_bundle(
            TwoTower(image, sound),
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
                # Additions and poolings, too: else a residual network converts between INT8 and float all the time.
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
