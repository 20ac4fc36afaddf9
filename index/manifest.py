"""What a manifest says of the sounds of a library."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from model.manifest import read_rows

NAMES = ("manifest.csv", "manifest.jsonl")


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one sound; None where it says nothing."""

    material: str | None
    source: str | None
    licence: str | None


@dataclass(frozen=True)
class Manifest:
    """A manifest's `entries` by absolute path, and `notes` on rows that could not be taken as they stand."""

    file: Path
    entries: dict[Path, Entry]
    notes: tuple[str, ...]


def find_manifest(folder: Path) -> Path | None:
    """The manifest that lies in `folder` or, failing that, in its parent; None if there is none."""
    for place in (folder, folder.parent):
        for name in NAMES:
            if (place / name).is_file():
                return place / name
    return None


def read_manifest(file: Path) -> Manifest:
    """What a manifest says of its sounds; rows whose kind is something else than "sound" are left out.

    A material that is not one of the 17, or more than one, leaves its sound unlabelled, and of several rows
    for one file the first counts; all are said in `notes`. Raises ManifestError as `read_rows` does.
    """
    folder = file.parent.resolve()
    entries: dict[Path, Entry] = {}
    strange: Counter[str] = Counter()
    mixed = contradicted = 0
    for row in read_rows(file):
        if row.kind not in ("", "sound"):
            continue
        strange.update(row.unknown[:1])
        mixed += len(row.materials) > 1
        material = row.materials[0].name if len(row.materials) == 1 and not row.unknown else None
        entry = Entry(material, row.get("source") or None, row.get("licence") or None)
        # By name alone: resolving links here would hide which of two names of a file is meant.
        path = Path(os.path.normpath(folder / row.path))
        if entries.setdefault(path, entry).material != entry.material:
            contradicted += 1
    notes = []
    if strange:
        listed = ", ".join(f"{name} {count}" for name, count in strange.most_common())
        notes.append(
            f"sounds of a material that is not one of the 17, taken as unlabelled: {strange.total()} ({listed})"
        )
    if mixed:
        notes.append(f"sounds of more than one material, taken as unlabelled: {mixed}")
    if contradicted:
        notes.append(f"rows that give a file a second material (the first counts): {contradicted}")
    return Manifest(file, entries, tuple(notes))
