"""The manifest of a library: what it says of each sound, and which file each of its rows means."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from model.errors import ManifestError
from model.manifest import ManifestRow, ManifestTable, listed_columns, read_manifest_table
from model.pointers import pointer_behind

MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl")
_DVC = ".dvc"

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of one sound. `path` and `columns` stand there as text.

    `material` is one of the 17, None where the row names none of them. Where `decides` is false, the row has
    nothing in its column material.
    """

    path: str
    material: str | None
    decides: bool
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """A manifest's `entries` by absolute path, and `notes` for a person on rows that were changed or left out."""

    file: Path
    entries: dict[str, Entry]
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def check_labels(self) -> None:
        """Raise ManifestError where there is no column of labels."""
        if "material" not in self.columns:
            raise ManifestError(
                f"{self.file} has no column named material {listed_columns(self.columns)}; rename the column of "
                "labels to it, add an empty one if there are none, or go without the table: --no-manifest"
            )


def find_manifest(folder: Path, notes: list[str]) -> Path | None:
    """The manifest that lies in `folder` or, failing that, in its parent; None if there is none.

    Capitals in its name make no difference; where a place cannot be listed, they do, which is added to `notes`.
    Raises ManifestError for a pointer or link in its place whose content is not there, and for two manifests that
    only capitals tell from each other.
    """
    for place in (folder, folder.parent):
        files = _manifests_in(place, notes)
        for name in MANIFEST_NAMES:
            if (file := _file_called(name, place, files)) is None:
                if _file_called(f"{name}{_DVC}", place, files):
                    raise ManifestError(f"{place / name} is not there, only its DVC pointer; run dvc pull")
                continue
            if file.is_file():
                return file
            if reason := pointer_behind(file):
                raise ManifestError(f"{file} is {reason}")
            if file.is_symlink() and not file.exists():
                raise ManifestError(f"{file} is a link to {file.readlink()}, which is not there")
    return None


def is_manifest_name(name: str) -> bool:
    """Whether a manifest may be called so; capitals make no difference."""
    return name.casefold() in MANIFEST_NAMES


def _manifests_in(place: Path, notes: list[str]) -> list[str]:
    """The names in a folder that are those of manifests or of pointers to them, whatever their capitals."""
    try:
        # Of a flat library these are a million names: no object is made of each.
        return [name for name in os.listdir(place) if name.casefold().removesuffix(_DVC) in MANIFEST_NAMES]  # noqa: PTH208
    except OSError as error:
        # A folder that may be entered but not listed: what is called exactly so is found all the same.
        exact = [name for one in MANIFEST_NAMES for name in (one, f"{one}{_DVC}") if os.path.lexists(place / name)]
        if not exact:
            notes.append(
                f"{place} cannot be listed ({error.strerror or error}): a manifest there is found only if it is "
                f"called {' or '.join(MANIFEST_NAMES)}; name it with --manifest"
            )
        return exact


def _file_called(name: str, folder: Path, files: list[str]) -> Path | None:
    """The one of `files` with this name, whatever its capitals. Raises ManifestError where there are several."""
    found = sorted(one for one in files if one.casefold() == name)
    if len(found) > 1:
        raise ManifestError(
            f"{folder} has {' and '.join(found)}, of which one is to be read: name it with --manifest, or remove "
            "the other"
        )
    return folder / found[0] if found else None


def read_manifest(file: Path) -> Manifest:
    """What a manifest says of its sounds; rows with another kind than "sound" are left out.

    A sound with a material that is not one of the 17, or with more than one, is unlabelled. Of several rows for one
    file the first counts. `notes` say how often each happened. Raises as `read_manifest_table` does.
    """
    table = read_manifest_table(file)
    folder = file.parent.resolve()
    entries: dict[str, Entry] = {}
    contradicted = 0
    rows = [row for row in table.rows if row.kind in ("", "sound")]
    for row in rows:
        material = row.materials[0].name if len(row.materials) == 1 and not row.unknown else None
        entry = Entry(row.path, material, bool(row.materials or row.unknown), row.columns)
        # Links are not resolved: that would hide which of two names of a file the row means.
        path = os.path.normpath(f"{folder}/{row.path}" if not row.path.startswith("/") else row.path)
        if entries.setdefault(path, entry).material != entry.material:
            contradicted += 1
    return Manifest(file, entries, table.columns, tuple(_notes(file, table, rows, contradicted)))


def _notes(file: Path, table: ManifestTable, rows: list[ManifestRow], contradicted: int) -> Iterator[str]:
    yield from table.notes
    if table.no_path:
        yield f"rows of {file.name} without a path, left out: {len(table.no_path)} (first: line {table.no_path[0]})"
    strange = Counter(row.unknown[0] for row in rows if row.unknown)
    if strange:
        listed = ", ".join(f"{name[:40]} {count}" for name, count in strange.most_common(_MOST_LISTED))
        listed += ", …" if len(strange) > _MOST_LISTED else ""
        yield f"sounds of a material that is not one of the 17, taken as unlabelled: {strange.total()} ({listed})"
    if mixed := sum(len(row.materials) > 1 for row in rows):
        yield f"sounds of more than one material, taken as unlabelled: {mixed}"
    if contradicted:
        yield f"rows that give a file a second material (the first counts): {contradicted}"


@dataclass
class Matched:
    """The `entries` of a manifest by the POSIX paths of the files that they mean, under a root.

    `missing` are paths under the root that no file has, `ambiguous` those that may mean several files, or that mean
    one file and contradict each other; `outside` is the number of paths that lead out of the root, `respelled` that
    of files that are written in another way than the manifest does.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    outside: int = 0
    respelled: int = 0


def match(manifest: Manifest, root: Path, paths: Collection[str]) -> Matched:
    """Which of the files at `paths` under `root` each row of the manifest means.

    It means the file of exactly its name. Failing that, the one whose name differs only in case, in the form of its
    accents (NFC or NFD), in backslashes for slashes, or in %20 for a space and the like.
    """
    matched, others = Matched(), []
    known = paths if isinstance(paths, set) else set(paths)
    prefix = f"{root}/"
    for path, entry in manifest.entries.items():
        under = path.removeprefix(prefix)
        if under is not path and under in known:
            matched.entries[under] = entry
        else:
            others.append((path, entry))
    if others:
        _match_respelled(matched, others, manifest.file.parent.resolve(), root, known)
    return matched


def _match_respelled(
    matched: Matched, others: list[tuple[str, Entry]], folder: Path, root: Path, known: set[str]
) -> None:
    folded: dict[str, list[str]] = defaultdict(list)
    for path in known:
        folded[_fold(path)].append(path)
    prefix = f"{_fold(str(root))}/"
    claims: dict[str, list[Entry]] = defaultdict(list)
    for path, entry in others:
        spellings = [_fold(os.path.normpath(f"{folder}/{text}")) for text in _spellings(entry.path)]
        under = [text.removeprefix(prefix) for text in spellings if text.startswith(prefix)]
        found = next((folded[text] for text in under if text in folded), [])
        if len(found) == 1 and found[0] not in matched.entries:
            claims[found[0]].append(entry)
        elif len(found) > 1:
            matched.ambiguous.append(_under(path, root))
        elif not found and not under:
            matched.outside += 1
        elif not found:
            matched.missing.append(_under(path, root))
    for path, entries in claims.items():
        if len({entry.material for entry in entries}) == 1:
            matched.entries[path] = entries[0]
            matched.respelled += 1
        else:
            matched.ambiguous.append(path)


def _spellings(path: str) -> Iterator[str]:
    """A path as it is, and as it may be meant by people of other systems."""
    yield path
    slashes = path.replace("\\", "/")
    yield slashes
    yield unquote(slashes, errors="strict") if _is_quoted(slashes) else slashes


def _is_quoted(text: str) -> bool:
    try:
        unquoted = unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
    return "\0" not in unquoted


def _fold(path: str) -> str:
    """What paths have in common that differ only in case or in the form of their accents."""
    return path.casefold() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def _under(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if not path.startswith(f"{root}/") else path.removeprefix(f"{root}/")
