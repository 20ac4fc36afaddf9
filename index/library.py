"""Finding the sounds of a folder, and what each is made of."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from model.errors import LibraryError, NotAManifestError
from model.manifest import read_rows
from model.materials import material_named
from model.sound_format.formats import EXTENSIONS

MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl")

_MOST_LISTED = 10


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one sound; None where it says nothing. `columns` is the whole row, as text."""

    material: str | None
    source: str | None
    licence: str | None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A manifest's `entries` by absolute path, and `notes` for a person on rows that were changed or left out."""

    file: Path
    entries: dict[Path, Entry]
    notes: tuple[str, ...]


def find_manifest(folder: Path) -> Path | None:
    """The manifest that lies in `folder` or, failing that, in its parent; None if there is none."""
    for place in (folder, folder.parent):
        for name in MANIFEST_NAMES:
            if (place / name).is_file():
                return place / name
    return None


def read_manifest(file: Path) -> Manifest:
    """What a manifest says of its sounds; rows with another kind than "sound" are left out.

    A sound with a material that is not one of the 17, or with more than one, is unlabelled. Of several rows for one
    file the first counts. `notes` say how often each happened. Raises ManifestError as `read_rows` does.
    """
    folder = file.parent.resolve()
    entries: dict[Path, Entry] = {}
    strange: Counter[str] = Counter()
    mixed = contradicted = 0
    rows = read_rows(file)
    for row in rows:
        if row.kind not in ("", "sound"):
            continue
        strange.update(row.unknown[:1])
        mixed += len(row.materials) > 1
        material = row.materials[0].name if len(row.materials) == 1 and not row.unknown else None
        entry = Entry(material, row.get("source") or None, row.get("licence") or None, row.columns)
        # Links are not resolved: that would hide which of two names of a file the row means.
        path = Path(os.path.normpath(folder / row.path))
        if entries.setdefault(path, entry).material != entry.material:
            contradicted += 1
    notes = []
    if rows and not any("material" in row.columns for row in rows):
        notes.append(f"{file} has no column named material: its sounds are taken as unlabelled")
    if strange:
        listed = ", ".join(f"{name[:40]} {count}" for name, count in strange.most_common(_MOST_LISTED))
        listed += ", …" if len(strange) > _MOST_LISTED else ""
        notes.append(
            f"sounds of a material that is not one of the 17, taken as unlabelled: {strange.total()} ({listed})"
        )
    if mixed:
        notes.append(f"sounds of more than one material, taken as unlabelled: {mixed}")
    if contradicted:
        notes.append(f"rows that give a file a second material (the first counts): {contradicted}")
    return Manifest(file, entries, tuple(notes))


@dataclass(frozen=True)
class LibrarySound:
    """A sound file by its POSIX path under the library root; the rest is None where unknown.

    `columns` is its row of the manifest, empty where it has none.
    """

    path: str
    material: str | None
    source: str | None
    licence: str | None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Library:
    """The sounds under `root` in the order of their paths, the files left out, and `notes` for a person."""

    root: Path
    sounds: tuple[LibrarySound, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def find_library(folder: Path, manifest: Path | None = None) -> Library:
    """Find the sounds under `folder` and their labels.

    Labels come from `manifest`, or from a manifest.csv or manifest.jsonl that lies in the folder or its
    parent, or else from the first sub-folder that is named like a material. A sound without a label is
    found all the same. Hidden files and files that are not sounds by their extension are left out and
    counted; links are followed only to files inside the folder.

    Raises LibraryError if the folder cannot be read, or if `manifest` lists sounds and none of them is in it, and
    ManifestError if the manifest cannot be understood.
    """
    if not folder.is_dir():
        raise LibraryError(f"{folder} is not a folder")
    root = folder.resolve()
    paths, skipped, notes = _Walk(root).result()
    table = _manifest_of(root, manifest, notes)
    if table is None:
        notes.append("labels are taken from the names of sub-folders")
        sounds = [LibrarySound(path, _material_of(path), None, None) for path in paths]
    else:
        known = set(paths) | {one.path for one in skipped}
        if manifest is not None and table.entries and not any(root / path in table.entries for path in known):
            raise LibraryError(
                f"{manifest} lists no sound of {root}; its paths begin at the folder that it lies in"
            )
        missing, outside = _unmatched(root, table, known)
        skipped += missing
        unknown = Entry(None, None, None)
        entries = [table.entries.get(root / path, unknown) for path in paths]
        sounds = [
            LibrarySound(path, entry.material, entry.source, entry.licence, entry.columns)
            for path, entry in zip(paths, entries, strict=True)
        ]
        unlisted = sum(root / path not in table.entries for path in paths)
        if unlisted:
            notes.append(f"sounds not listed in {table.file.name}, taken as unlabelled: {unlisted}")
        if missing:
            notes.append(f"sounds listed in {table.file.name} that were not found: {len(missing)}")
        if outside:
            notes.append(f"sounds listed in {table.file.name} outside {root}, left out: {outside}")
    return Library(root, tuple(sounds), tuple(sorted(skipped, key=lambda one: one.path)), tuple(notes))


class _Walk:
    """Collects the sound files under a root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: list[str] = []
        self._skipped: list[Skipped] = []
        self._hidden = 0
        self._linked_folders = 0
        self._others: Counter[str] = Counter()
        for folder, folders, files in os.walk(root, onerror=self._unreadable):
            for name in list(folders):
                if not self._enters(Path(folder, name)):
                    folders.remove(name)
            for name in files:
                self._take(Path(folder, name))

    def result(self) -> tuple[list[str], list[Skipped], list[str]]:
        """Paths in order, skipped files, notes."""
        notes = []
        if self._hidden:
            notes.append(f"hidden files and folders left out: {self._hidden}")
        if self._others:
            kinds = ", ".join(f"{suffix} {count}" for suffix, count in self._others.most_common(5))
            more = ", ..." if len(self._others) > 5 else ""
            notes.append(f"files left out as no sounds by their extension: {self._others.total()} ({kinds}{more})")
        if self._linked_folders:
            notes.append(f"links to folders inside the folder, not followed: {self._linked_folders}")
        return sorted(self._paths), self._skipped, notes

    def _enters(self, folder: Path) -> bool:
        if folder.name.startswith("."):
            self._hidden += 1
            return False
        if folder.is_symlink():
            # os.walk follows no links; a folder inside the root that a link leads to is found at its own place.
            if self._inside(folder):
                self._linked_folders += 1
            else:
                self._skip(folder, "a link that leads outside the folder")
            return False
        return True

    def _take(self, file: Path) -> None:
        if file.name.startswith("."):
            self._hidden += 1
        elif file.suffix.lower() not in EXTENSIONS:
            if file.name not in MANIFEST_NAMES:
                self._others[file.suffix.lower() or "no extension"] += 1
        elif not is_text(file.name) or not is_text(self._relative(file)):
            self._skip(file, "its name is not valid UTF-8; rename it")
        elif file.is_symlink() and not self._inside(file):
            self._skip(file, "a link that leads outside the folder")
        elif file.is_symlink() and not file.exists():
            self._skip(file, "a link to a file that is not there")
        elif not file.is_file():
            self._skip(file, "not a regular file")
        else:
            self._paths.append(self._relative(file))

    def _inside(self, link: Path) -> bool:
        return Path(os.path.realpath(link)).is_relative_to(self._root)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _skip(self, path: Path, reason: str) -> None:
        self._skipped.append(Skipped(self._relative(path), reason))

    def _unreadable(self, error: OSError) -> None:
        if Path(error.filename) == self._root:
            raise LibraryError(f"{self._root} cannot be read: {error.strerror}") from error
        self._skip(Path(error.filename), f"the folder cannot be read: {error.strerror}")


def _manifest_of(root: Path, given: Path | None, notes: list[str]) -> Manifest | None:
    """The manifest to use, None where there is none; which one it is, or why not, is added to `notes`."""
    file = given or find_manifest(root)
    if file is None:
        return None
    try:
        table = read_manifest(file)
    except NotAManifestError as error:
        if given is not None:
            raise
        notes.append(f"{error} and is not used")
        return None
    if given is None and not any(path.is_relative_to(root) for path in table.entries):
        notes.append(f"{file} lists no sound of this folder and is not used")
        return None
    notes.append(f"labels are taken from {file}")
    notes.extend(table.notes)
    return table


def _unmatched(root: Path, table: Manifest, known: set[str]) -> tuple[list[Skipped], int]:
    """Files under the root that are listed and were not found, and the number listed outside the root."""
    missing, outside = [], 0
    for path in table.entries:
        if not path.is_relative_to(root):
            outside += 1
        elif path.relative_to(root).as_posix() not in known:
            reason = "listed, but hidden, behind a link, or not a sound by its extension"
            if not os.path.lexists(path):
                reason = "listed in the manifest, but not there"
            missing.append(Skipped(path.relative_to(root).as_posix(), reason))
    return missing, outside


def _material_of(path: str) -> str | None:
    """The material that the first sub-folder with a material's name stands for."""
    for folder in PurePosixPath(path).parts[:-1]:
        if material := material_named(folder):
            return material.name
    return None


def is_text(name: str) -> bool:
    """Whether a path is Unicode: bytes of a file name that are not UTF-8 come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
