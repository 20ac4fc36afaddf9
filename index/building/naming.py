"""What a person means who names sounds of an index: a path on the disk, or what `thud index list` shows."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from index.address import SoundsAt
from index.building.options import is_at_or_under
from model.errors import LibraryError
from model.terminal import printable


def named_among(known: Iterable[str], sounds: SoundsAt) -> Callable[[str], str | None]:
    """A function from a name to the path that it means under `sounds`, of one of the files `known` or a folder of
    them; None where it means none.

    A name is a path on the disk, or else one relative to `sounds`, as it is or with control characters escaped. "."
    is the folder of sounds itself, but only where that is meant on the disk. The function raises LibraryError for a
    name that is empty.
    """
    paths = {ancestor for path in known for ancestor in _with_folders(path)}
    shown: dict[str, str] = {}

    def meant(name: str) -> str | None:
        if not name.strip():
            raise LibraryError("a name is empty; name a file or a folder of sounds")
        on_disk = _relative(Path(name), sounds) if isinstance(sounds, Path) else name.removeprefix(f"{sounds}/")
        if on_disk in paths or on_disk == ".":
            return on_disk
        listed = os.path.normpath(name)
        if listed in paths:
            return listed
        if not shown and not all(map(str.isprintable, paths)):
            shown.update((printable(path), path) for path in paths)
        return shown.get(name)

    return meant


def those_at(paths: Iterable[str], wanted: str) -> set[str]:
    """Of the paths, the wanted one and those under it."""
    return {path for path in paths if is_at_or_under(path, wanted)}


def _with_folders(path: str) -> Iterable[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _relative(path: Path, root: Path) -> str | None:
    """A path under the root as the index has it; None if it lies elsewhere. The file itself may be a link."""
    try:
        full = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
        return full.relative_to(root).as_posix()
    except (ValueError, OSError, RuntimeError):
        return None
