"""Exporting both towers of a trained TT_AGG to ONNX, with their preprocessing inside, as a bundle."""

import copy
import io
import logging
import tempfile
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from model.bundle import (
    IMAGE_TOWER,
    SOUND_TOWER,
    Bundle,
    ClipSpec,
    ObjectSpec,
    PictureSpec,
    check_target,
    load_bundle,
    write_bundle,
)
from model.errors import TrainingError
from model.materials import MATERIALS
from model.runtime import TowerRuntime
from model.torch_towers.networks import EMBEDDING_SIZE, PooledNetwork
from model.torch_towers.two_tower import ImageTower, TwoTower

OPSET = 18
PARITY = 0.99999
"""Least cosine between the exported and the trained tower's embedding of one input."""


class _ImageTowerWithCells(nn.Module):
    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return self.tower.with_objects(pictures) if self.tower.has_objects else self.tower.with_cells(pictures)


def export_bundle(
    towers: TwoTower,
    target: Path,
    *,
    name: str,
    backbones: dict[str, str],
    picture: PictureSpec,
    clip: ClipSpec,
    training: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    objects: ObjectSpec | None = None,
) -> tuple[Bundle, float]:
    """Write the bundle of `towers` at `target`; returns it and the least cosine seen between it and them.

    The bundle is compared with the trained towers on 64 random inputs before it is published; TrainingError
    if one of them differs by more than cosine 0.99999, or if an embedding is not 0 in a column that is always 0 by
    the image tower's last layer. `objects` is about the image tower's output of that name, where it has one.
    """
    check_target(target)
    # A copy, because export must not move or change towers that may train on.
    towers = copy.deepcopy(towers).cpu().eval()
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (64, picture.size, picture.size, 3), dtype=np.uint8)
    clips = random.standard_normal((64, clip.samples)).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        image_file, sound_file = Path(scratch) / IMAGE_TOWER, Path(scratch) / SOUND_TOWER
        cells = None
        if towers.image.has_cells:
            outputs = ["embedding", "cells", *(["objects"] if towers.image.has_objects else [])]
            export_module(_ImageTowerWithCells(towers.image), pictures, "pictures", outputs, image_file)
            with torch.inference_mode():
                shape = towers.image.with_cells(torch.from_numpy(pictures[:1]))[1].shape
            cells = (int(shape[1]), int(shape[2]))
        else:
            export_module(towers.image, pictures, "pictures", ["embedding"], image_file)
        export_module(towers.sound, clips, "clips", ["embedding"], sound_file)
        fields = {
            "name": name,
            "backbones": backbones,
            "embedding_size": EMBEDDING_SIZE,
            "cells": cells,
            "materials": tuple(material.name for material in MATERIALS),
            "picture": picture,
            "clip": clip,
            "training": training or {},
            "picture_columns": _columns(towers.image),
            "objects": objects,
        }
        files = {IMAGE_TOWER: image_file, SOUND_TOWER: sound_file}
        trial = write_bundle(Path(scratch) / "trial", files, **fields)
        parity = _parity(towers, trial, pictures, clips)
        if parity < PARITY:
            raise TrainingError(
                f"the exported towers differ from the trained ones: cosine {parity:.6f}, wanted {PARITY}"
            )
        fields["metrics"] = {**(metrics or {}), "export_parity": round(parity, 5)}
        write_bundle(target, files, **fields)
    return load_bundle(target), parity


def export_module(module: nn.Module, example: np.ndarray, name: str, outputs: list[str], target: Path) -> None:
    """Write `module` to the ONNX file `target`, with its one input `name` and its `outputs`, for any batch size.

    `example`: at least two inputs.
    """
    batch = torch.export.Dim("batch", min=1)
    # The exporter prints its progress and warns of its own deprecations; neither is the user's business.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                (torch.from_numpy(example[:2]),),
                str(target),
                input_names=[name],
                output_names=outputs,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: batch},),
                external_data=False,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    _forget_origin(target)


def _forget_origin(file: Path) -> None:
    """Take out where in this machine's source each node came from: the same towers are the same bytes anywhere."""
    model = onnx.load_model(str(file))
    graphs = [model.graph, *model.functions]
    for part in (model, *graphs, *(node for graph in graphs for node in graph.node)):
        del part.metadata_props[:]
        part.doc_string = ""
    for values in (model.graph.input, model.graph.output, model.graph.value_info, model.graph.initializer):
        for value in values:
            del value.metadata_props[:]
    onnx.save_model(model, str(file))


def _columns(tower: ImageTower) -> tuple[int, ...] | None:
    """The columns of the embedding that the last layer can make other than 0; None: all, or not known."""
    if not isinstance(tower.network, PooledNetwork):
        return None
    last = tower.network.projection
    used = (last.weight != 0).any(dim=1) | (last.bias != 0)
    return None if used.all() else tuple(used.nonzero()[:, 0].tolist())


def _parity(towers: TwoTower, bundle: Bundle, pictures: np.ndarray, clips: np.ndarray) -> float:
    """Least cosine over all inputs between the trained towers' embeddings and the bundle's."""
    runtime = TowerRuntime(bundle, threads=torch.get_num_threads())
    with torch.inference_mode():
        wanted_images = towers.image(torch.from_numpy(pictures)).numpy()
        wanted_sounds = towers.sound(torch.from_numpy(clips)).numpy()
    found = runtime.embed_pictures(pictures).embedding
    columns = bundle.spec.picture_columns
    if columns is not None and np.delete(found, columns, axis=1).any():
        raise TrainingError(f"pictures use other columns of the embedding than {list(columns)}")
    images = (wanted_images * found).sum(1)
    sounds = (wanted_sounds * runtime.embed_clips(clips)).sum(1)
    return float(min(images.min(), sounds.min()))
