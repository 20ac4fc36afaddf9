"""Finding the sounds of a folder, and what each is made of."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from index.address import SoundsAt
from index.library.manifests import Entry, Manifest, find_manifest, match, read_manifest
from index.library.sidecar import read_sidecar
from index.library.sources import Source, put_beside, source_of
from index.library.walk import USED_MANIFEST, Walked
from model.errors import LibraryError, ManifestError, NotAManifestError, ThudError
from model.materials import material_called

_NOT_ENTERED = "listed in the manifest, but in a folder that is not entered"
_MOST_LISTED = 10

LabelFrom = Literal["manifest", "folder", "tag", "name"]
"""Where a label was read, the most trustworthy place first."""


@dataclass(frozen=True, slots=True)
class LibrarySound:
    """A sound file by its POSIX path under the library root, with what is known of it without opening it.

    `material` is what the manifest says, or else a folder's name, and `label_from` which of them; a material of
    None from the "manifest" is a person's word that it is none of the 17. `columns` is its row of the manifest,
    `sidecar` what the JSON file beside it says; both are empty where there is none. `link`: it is a symbolic link.
    """

    path: str
    material: str | None = None
    label_from: LabelFrom | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    sidecar: Mapping[str, str] = field(default_factory=dict)
    link: bool = False


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, or a folder that was not entered, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Library:
    """The sounds of a `source` in the order of their paths, all other files there, and `notes` for a person."""

    source: Source
    sounds: tuple[LibrarySound, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def root(self) -> SoundsAt:
        """The folder, an absolute path without links, or the address."""
        return self.source.root


def find_library(sounds: SoundsAt | Source, manifest: Path | None = None, *, use_manifest: bool = True) -> Library:
    """Find the sounds of a folder or an address and what is said of them without opening them.

    Labels come from `manifest`, or from a manifest.csv or manifest.jsonl that lies in the folder or its parent (of
    an address, at its root), and, where that says nothing of a sound, from the first sub-folder that is named like
    a material. With `use_manifest` false no manifest is looked for. A sound without a label is found all the same.
    Every file stands in `sounds` or in `skipped`; for a folder that is not entered, the folder does.

    Raises LibraryError if the folder cannot be read, or if `manifest` lists sounds and none of them is in it, and
    ManifestError if a manifest cannot be understood, or has no column of materials.
    """
    source = source_of(sounds) if isinstance(sounds, SoundsAt) else sounds
    walked = source.walk()
    notes = walked.notes
    root = source.texts
    if manifest is not None:
        manifest = put_beside(manifest, source)
    with _named_as(source):
        table = _manifest_of(root, manifest, notes) if use_manifest else None
        rows = _rows(table, root, walked, given=manifest is not None) if table is not None else {}
    if table is not None and (used := _path_under(root, table.file)) in walked.skipped:
        walked.skipped[used] = USED_MANIFEST
    if table is None:
        notes.append("there is no manifest: labels come from folders, tags and names")
    sidecars = _sidecars(root, walked)
    found = []
    for path in walked.paths:
        entry = rows.get(path)
        if entry is not None and entry.decides:
            label: tuple[str | None, LabelFrom | None] = entry.material, "manifest"
        else:
            label = _folder_label(path)
        columns = {} if entry is None else entry.columns
        found.append(LibrarySound(path, *label, columns, sidecars.get(path, {}), path in walked.links))
    skipped = tuple(Skipped(path, reason) for path, reason in sorted(walked.skipped.items()))
    if not isinstance(source.root, Path):
        notes = [note.replace(str(root), str(source.root)) for note in notes]  # where its texts were put
    return Library(source, tuple(found), skipped, tuple(notes))


@contextmanager
def _named_as(source: Source) -> Iterator[None]:
    """Within, errors about texts of a store name them by their address, not by where they were put."""
    try:
        yield
    except ThudError as error:
        if isinstance(source.root, Path):
            raise
        raise type(error)(str(error).replace(str(source.texts), str(source.root))) from error


def _path_under(root: Path, file: Path) -> str:
    """The POSIX path of a file, which may be a link, under the root; an absolute one where it lies elsewhere."""
    full = file.parent.resolve() / file.name
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else full.as_posix()


def _folder_label(path: str) -> tuple[str | None, LabelFrom | None]:
    """The material that the first sub-folder with a material's name stands for."""
    for folder in path.split("/")[:-1]:
        if material := material_called(folder):
            return material.name, "folder"
    return None, None


def _manifest_of(root: Path, given: Path | None, notes: list[str]) -> Manifest | None:
    """The manifest to use, None where there is none; which one it is, or why not, is added to `notes`."""
    file = given or find_manifest(root, notes)
    if file is None:
        return None
    try:
        table = read_manifest(file)
    except NotAManifestError as error:
        # Beside the folder it may be another program's; in it, it was meant.
        if given is not None or file.parent.resolve() == root:
            raise NotAManifestError(
                f"{error}; rename the column of paths to it, or go without the table: --no-manifest"
            ) from error
        notes.append(f"{error} and is not used")
        return None
    if not table.entries:
        table.check_labels()
        notes.append(f"{file} has no row with a path: no labels are taken from it")
        notes.extend(table.notes)
        return None
    if given is None and not any(path.startswith(f"{root}/") for path in table.entries):
        if file.parent.resolve() == root:
            raise ManifestError(_lists_nothing(table, root))
        notes.append(f"{file} lists no sound of this folder and is not used")
        return None
    table.check_labels()
    notes.append(f"labels are taken from {file}")
    notes.extend(table.notes)
    return table


def _lists_nothing(table: Manifest, root: Path) -> str:
    example = next(iter(table.entries))
    return (
        f"{table.file} lists no sound of {root}, but such as {example}; its paths begin at the folder that it "
        "lies in. Mend them, or go without the table: --no-manifest"
    )


def _rows(table: Manifest, root: Path, walked: Walked, *, given: bool) -> dict[str, Entry]:
    """The rows of the manifest by the paths of the files that they mean; what it lists in vain goes to `walked`."""
    known = {*walked.skipped, *walked.paths}
    matched = match(table, root, known)
    if (given or table.file.parent.resolve() == root) and table.entries and not matched.entries and known:
        raise LibraryError(_lists_nothing(table, root))
    name, notes = table.file.name, walked.notes
    missing = len(matched.missing) + sum(path in walked.skipped for path in matched.entries)
    for path in matched.missing:
        there = (root / path).exists()
        walked.skipped[path] = _NOT_ENTERED if there else "listed in the manifest, but not there"
    for path in matched.ambiguous:
        if path not in known:
            walked.skipped[path] = "listed in the manifest, but several files may be meant"
    unlisted = sum(path not in matched.entries for path in walked.paths)
    if unlisted:
        notes.append(f"sounds not listed in {name}: {unlisted}")
    if matched.respelled:
        notes.append(
            f"paths of {name} that files have in other case, accents, slashes, or without %20: {matched.respelled}"
        )
    if matched.ambiguous:
        shown = ", ".join(matched.ambiguous[:_MOST_LISTED])
        notes.append(
            f"paths of {name} that may mean several files, so they label none: {len(matched.ambiguous)} ({shown})"
        )
    if missing:
        notes.append(f"sounds listed in {name} that were not found: {missing}")
    if matched.outside:
        notes.append(f"sounds listed in {name} outside {root}, left out: {matched.outside}")
    return matched.entries


def _sidecars(root: Path, walked: Walked) -> dict[str, dict[str, str]]:
    """What the sidecars say, by the paths of their sounds. Those that cannot be read are told in `walked`."""
    said: dict[str, dict[str, str]] = {}
    by_file: dict[str, dict[str, str] | None] = {}
    broken = 0
    for path, sidecar in walked.sidecars.items():
        if sidecar not in by_file:
            try:
                by_file[sidecar] = read_sidecar(root / sidecar, root)
            except ValueError as error:
                by_file[sidecar] = None
                walked.skipped[sidecar] = f"what is known of the sound beside it cannot be read: {error}"
                broken += 1
        if found := by_file[sidecar]:
            said[path] = found
    if broken:
        walked.notes.append(f"JSON files beside sounds that cannot be read: {broken}")
    return said
