"""What people wrote about a sound: in a manifest, in its folders' and its file's name, in the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from index.library import LibrarySound

LabelFrom = Literal["manifest", "folder", "tag", "name"]


@dataclass(frozen=True)
class Facts:
    """None or empty where nothing is known.

    `material` is one of the 17 names, and `label_from` says where it was read. `action` is how the sound was made,
    such as hit or scratch. `source` is the site or dataset that it comes from, `origin` its address or name there.
    """

    title: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    material: str | None = None
    label_from: LabelFrom | None = None
    action: str | None = None
    source: str | None = None
    origin: str | None = None
    author: str | None = None
    licence: str | None = None
    attribution: str | None = None


def facts_of(sound: LibrarySound, tags: Mapping[str, str]) -> Facts:
    """What is known of a sound, with the `tags` of its file as `read_tags` gives them."""
    return Facts(
        title=tags.get("title") or _title(sound.path),
        material=sound.material,
        label_from=None if sound.material is None else "manifest" if sound.columns else "folder",
        source=sound.source,
        licence=sound.licence,
    )


def _title(path: str) -> str:
    stem = PurePosixPath(path).stem
    return " ".join(stem.replace("_", " ").replace("-", " ").split()) or stem
