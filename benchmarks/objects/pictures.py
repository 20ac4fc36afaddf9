"""Labelled pictures of one known object each, by what their source says in their names and notes."""

import re
from dataclasses import dataclass
from pathlib import Path

from model.manifest import read_rows
from model.materials import Material
from model.objects import imagenet_classes

_GARMENTS = {
    "trousers": ("Pants", "Shorts"),
    "coat": ("Blazer", "Outwear"),
    "dress": ("Dress", "Skirt"),
    "shirt": ("Shirt", "T-Shirt", "Longsleeve", "Polo", "Hoodie", "Undershirt", "Top", "Blouse"),
}
# By source: a pattern in the file's path or note, and the object that such a picture shows.
_SHOWN = {
    "ecocup": [("", "cup")],
    "carrybags": [("", "plastic bag")],
    "curtains": [("", "curtain")],
    "facades": [("", "window")],
    "houses": [("houses__bed_", "bed"), ("houses__bath_", "sink")],
    "clothing": [(rf"garment \({kind}\)", name) for name, kinds in _GARMENTS.items() for kind in kinds],
}
_OF_IMAGENET = {f"_{one.replace(' ', '_')}.jpg": name for name, of in imagenet_classes().items() for one in of}

CHOSEN_ON = ("imagenet1k", "clothing", "curtains")
"""Sources that the weight and the temperature were chosen on; the others are reported."""


@dataclass(frozen=True)
class Picture:
    """A picture of `material`, in which `object` can be seen."""

    path: Path
    source: str
    material: Material
    object: str


def known_pictures(manifest: Path) -> list[Picture]:
    """The pictures of `manifest` whose source says which object they show."""
    found = []
    for row in read_rows(manifest):
        name = _object(row.path, row.get("source"), row.get("note"))
        if row.kind == "image" and name is not None and len(row.materials) == 1:
            found.append(Picture(manifest.parent / row.path, row.get("source"), row.materials[0], name))
    return found


def _object(path: str, source: str, note: str) -> str | None:
    if source == "imagenet1k":
        # imagenet1k__n02808440_bathtub.jpg
        return _OF_IMAGENET.get(re.sub(r"^.*__n\d+", "", path))
    for pattern, name in _SHOWN.get(source, ()):
        if re.search(pattern, f"{path} {note}"):
            return name
    return None
