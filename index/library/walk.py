"""Which files of a folder are sounds, and why each of the others is none."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from index.library.manifests import is_manifest_name
from model.errors import LibraryError
from model.pointers import pointer_at, pointer_behind
from model.sound_format.formats import EXTENSIONS

# Folders in which NAS, desktops and archivers keep what was deleted, earlier versions or previews. In lower case.
_NO_LIBRARIES = frozenset({
    *("#recycle", "@recycle", "$recycle.bin", "recycler", ".trash", ".trashes", "network trash folder"),
    *("#snapshot", "@snapshot", ".snapshot", ".snapshots", "~snapshot", ".zfs", "@recently-snapshot"),
    *("@eadir", ".@__thumb", "@__thumb", ".appledouble", "__macosx", ".fseventsd", "system volume information"),
    *("lost+found", "temporary items", ".temporaryitems"),
})  # fmt: skip
_BEGINNINGS = (".trash-", "@gmt-")
SIDECAR = "what is known of the sound beside it"
USED_MANIFEST = "the manifest, read for what it says of sounds"
READ = frozenset((SIDECAR, USED_MANIFEST))
"""Reasons of files that are no sounds and are used all the same."""
_INDEX_FILES = frozenset(("current", "skipped.tsv"))
_AN_INDEX = "an index of Thud, not entered"


@dataclass
class Walked:
    """The POSIX `paths` of the sounds under a root, in order, and of all other files.

    `links` are those of the paths that are links. `sidecars` has the path of the JSON file beside a sound, by the
    sound's path. `skipped` has, by path, the reason why a file is no sound or a folder was not entered. `notes`
    count, for a person, what was skipped for reasons that are common.
    """

    paths: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    sidecars: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def is_no_library(name: str) -> bool:
    """Whether a folder of this name has what was deleted, earlier versions or previews."""
    low = name.lower()
    return low in _NO_LIBRARIES or low.startswith(_BEGINNINGS)


def walk(root: Path) -> Walked:
    """Walk through the folder `root`, an absolute path without links, and following no link to a folder.

    Hidden folders, recycle bins, snapshots and indexes of Thud are not entered: the folder stands in `skipped` for
    all of it. Raises LibraryError where `root` cannot be read.
    """
    walker = _Walker(root)
    waiting = [""]
    while waiting:
        waiting += walker.enter(waiting.pop())
    walked = walker.walked
    walked.paths.sort()
    walked.notes += walker.notes()
    return walked


def walk_names(sizes: Mapping[str, int]) -> Walked:
    """The same of objects in a store, by their names and their sizes: what lies between slashes is a folder."""
    walker = _Walker(Path())
    folders: dict[str, set[str]] = {"": set()}
    for name in filter(None, sizes):  # what marks the root as a folder has no name there
        parts = name.split("/")
        for depth in range(len(parts)):
            folders.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    waiting = [""]
    while waiting:
        waiting += walker.enter_names(waiting.pop(), folders)
    walked = walker.walked
    walked.paths.sort()
    walked.notes += walker.notes()
    return walked


class _Walker:
    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.walked = Walked()
        self._hidden = self._bins = self._linked = 0
        self._others: Counter[str] = Counter()

    def enter(self, folder: str) -> list[str]:
        """Take the files of a folder, by its path under the root with a slash at its end; the folders in it."""
        try:
            with os.scandir(f"{self._root}/{folder}") as found:
                entries = list(found)
        except OSError as error:
            if not folder:
                raise LibraryError(f"{self._root} cannot be read: {error.strerror}") from error
            self._skip(folder[:-1], f"the folder cannot be read: {error.strerror}")
            return []
        names = {entry.name for entry in entries}
        if folder and names >= _INDEX_FILES:
            self._skip(folder[:-1], _AN_INDEX)
            return []
        beside = _sidecars(names)
        by_sound = {sound: sidecar for sidecar, sounds in beside.items() for sound in sounds}
        inner = []
        for entry in entries:
            path = folder + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if self._enters(entry.name, path):
                        inner.append(f"{path}/")
                elif entry.name in beside:
                    self._skip(path, SIDECAR)
                elif reason := self._reason(entry, path, names):
                    self._skip(path, reason)
                else:
                    self._take(entry, path)
                    if sidecar := by_sound.get(entry.name):
                        self.walked.sidecars[path] = folder + sidecar
            except OSError as error:
                self._skip(path, f"cannot be read: {error.strerror}")
        return inner

    def enter_names(self, folder: str, folders: Mapping[str, set[str]]) -> list[str]:
        """Take the names in a folder, which `folders` has by its path without a slash at its end; those in it."""
        names = folders[folder]
        if folder and names >= _INDEX_FILES:
            self._skip(folder, _AN_INDEX)
            return []
        beside = _sidecars(names)
        by_sound = {sound: sidecar for sidecar, sounds in beside.items() for sound in sounds}
        inner = []
        for name in sorted(names):
            path = f"{folder}/{name}" if folder else name
            if path in folders:  # a store may have an object of this name as well, which marks the folder
                if self._enters(name, path):
                    inner.append(path)
            elif name in beside:
                self._skip(path, SIDECAR)
            elif reason := self._by_name(name, path, names):
                self._skip(path, reason)
            else:
                self.walked.paths.append(path)
                if sidecar := by_sound.get(name):
                    self.walked.sidecars[path] = f"{folder}/{sidecar}" if folder else sidecar
        return inner

    def notes(self) -> list[str]:
        """What was skipped for reasons that are common."""
        notes = []
        if self._hidden:
            notes.append(f"hidden files and folders left out: {self._hidden}")
        if self._bins:
            notes.append(f"recycle bins, snapshots and the like, not entered: {self._bins}")
        if self._others:
            kinds = ", ".join(f"{suffix} {count}" for suffix, count in self._others.most_common(5))
            more = ", ..." if len(self._others) > 5 else ""
            notes.append(f"files left out as no sounds by their extension: {self._others.total()} ({kinds}{more})")
        if self._linked:
            notes.append(f"links to folders inside the folder, not followed: {self._linked}")
        return notes

    def _enters(self, name: str, path: str) -> bool:
        if is_no_library(name):
            self._bins += 1
            self._skip(path, "a recycle bin, snapshot or the like, not entered")
            return False
        if name.startswith("."):
            self._hidden += 1
            self._skip(path, "a hidden folder, not entered")
            return False
        return True

    def _take(self, entry: "os.DirEntry[str]", path: str) -> None:
        self.walked.paths.append(path)
        if entry.is_symlink():
            self.walked.links.add(path)

    def _reason(self, entry: "os.DirEntry[str]", path: str, names: set[str]) -> str | None:
        """Why this file, or link to a folder, is no sound; None where it is one."""
        hidden = entry.name.startswith(".")
        if not hidden and entry.is_symlink() and (reason := self._behind(entry, _split(entry.name)[1])):
            return reason
        if reason := self._by_name(entry.name, path, names):
            return reason
        return pointer_at(entry.path, entry.stat().st_size) if entry.is_file() else "not a regular file"

    def _by_name(self, name: str, path: str, names: set[str]) -> str | None:
        """Why a file of this name, beside those with these `names`, is no sound; None where it may be one."""
        stem, suffix = _split(name)
        if name.startswith("."):
            self._hidden += 1
            return "metadata of macOS (AppleDouble)" if name.startswith("._") else "a hidden file"
        if suffix not in EXTENSIONS:
            return self._no_sound(name, stem, suffix, names)
        return None if is_text(path) else "its name is not valid UTF-8; rename it"

    def _no_sound(self, name: str, stem: str, suffix: str, names: set[str]) -> str:
        if is_manifest_name(name):
            return "a manifest, no sound"
        if suffix == ".dvc" and stem not in names:
            return "a DVC pointer to a file that is not here; run dvc pull"
        self._others[suffix or "no extension"] += 1
        return "no sound by its extension" if suffix else "no sound, it has no extension"

    def _behind(self, link: "os.DirEntry[str]", suffix: str) -> str | None:
        """Why a link is not followed; None for one to a file inside the root."""
        target = Path(os.path.realpath(link.path))
        inside = target.is_relative_to(self._root)
        if link.is_dir():
            # A folder inside the root is found at its own place.
            self._linked += inside
            return "a link to a folder inside, not followed" if inside else "a link that leads outside the folder"
        if suffix not in EXTENSIONS:
            return None
        if not target.exists() and (reason := pointer_behind(link.path)):
            return reason
        if not inside:
            return "a link that leads outside the folder"
        return None if target.exists() else "a link to a file that is not there"

    def _skip(self, path: str, reason: str) -> None:
        self.walked.skipped[path] = reason


def _sidecars(names: set[str]) -> dict[str, list[str]]:
    """The JSON files that lie beside sounds, `x.wav.json` or `x.json` beside `x.wav`, each with its sounds."""
    beside: dict[str, list[str]] = {}
    if not any(name.endswith(".json") for name in names):
        return beside
    for name in sorted(names):
        stem, suffix = _split(name)
        if suffix in EXTENSIONS and not name.startswith("."):
            sidecar = next((one for one in (f"{name}.json", f"{stem}.json") if one in names), None)
            if sidecar is not None:
                beside.setdefault(sidecar, []).append(name)
    return beside


def _split(name: str) -> tuple[str, str]:
    """A file's name without its extension, and the extension in lower case with its dot."""
    stem, _, extension = name.rpartition(".")
    return (stem, f".{extension}".lower()) if stem else (name, "")


def is_text(name: str) -> bool:
    """Whether a path is Unicode: bytes of a file name that are not UTF-8 come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
