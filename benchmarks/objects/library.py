"""A library of recordings with names: those that they came with, and names that are given to the others."""

import csv
import hashlib
import shutil
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

from model.manifest import read_rows
from model.materials import MATERIALS, material_named
from model.objects import imagenet_classes, objects_named
from training.pretraining.imagenet_prior import class_names, material_knowledge

MOST_OF_AN_OBJECT = 24
GIVEN = 3
"""Recordings of each material of an object that get its name."""
UNNAMED = 30
"""Recordings of each material whose names name nothing."""


def write_library(manifest: Path, folder: Path) -> Counter[str]:
    """Copy recordings of `manifest` to `folder`; returns how many have a name of their own, a given one, and none.

    Few recordings name their object. For each object of the table, some more of the materials that its ImageNet
    classes are of get its name; what is measured needs no more than a plausible material. manifest.csv has the
    materials.
    """
    rows = [row for row in read_rows(manifest) if row.kind == "sound" and len(row.materials) == 1]
    # In an order that says nothing about names or sources.
    rows.sort(key=lambda row: hashlib.sha256(row.path.encode()).digest())
    named: Counter[str] = Counter()
    taken: dict[str, tuple[Path, str]] = {}
    unnamed = defaultdict(list)
    for row in rows:
        own = PurePosixPath(row.path).name.split("__", 1)[-1]  # without the source that the file's name begins with
        objects = objects_named(own)
        file, material = manifest.parent / row.path, row.materials[0].name
        if not objects:
            unnamed[material].append(file)
        elif all(named[one] < MOST_OF_AN_OBJECT for one in objects):
            named.update(objects)
            taken[own] = (file, material)
    counts = Counter({"own": len(taken)})
    for name, materials in materials_of_objects().items():
        for material in materials:
            for number in range(min(GIVEN, len(unnamed[material]))):
                file = unnamed[material].pop(0)
                unnamed[material].append(file)  # there are more names than recordings
                taken[f"{name} {material} hit {number}{file.suffix}"] = (file, material)
                counts["given"] += 1
    for material, files in unnamed.items():
        for number, file in enumerate(files[:UNNAMED]):
            taken[f"{material} hit {number}{file.suffix}"] = (file, material)
            counts["none"] += 1
    _write(folder, taken)
    return counts


def materials_of_objects() -> dict[str, list[str]]:
    """The materials that an object's ImageNet classes are mostly of (imagenet_materials.toml), none for some."""
    knowledge, names = material_knowledge()[: len(MATERIALS)], class_names()
    found = {}
    for name, classes in imagenet_classes().items():
        weights = (knowledge[:, [names.index(one) for one in classes]] > 0).float().sum(dim=1)
        found[name] = [MATERIALS[row].name for row in weights.argsort(descending=True)[:3] if weights[row] > 0]
    return found


def _write(folder: Path, taken: dict[str, tuple[Path, str]]) -> None:
    folder.mkdir(parents=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(("path", "material"))
        for name, (file, material) in sorted(taken.items()):
            assert material_named(material) is not None
            target = folder / name
            shutil.copyfile(file, target)
            # A byte behind the stream, so that a recording under two names is two sounds.
            with target.open("ab") as handle:
                handle.write(name.encode())
            table.writerow((name, material))
