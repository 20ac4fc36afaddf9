"""Pictures and sounds that a manifest lists as a source: paired, or unpaired and related by material alone."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from model.bundle import ClipSpec, PictureSpec
from model.errors import ManifestError, PictureError, SoundError, ThudError, TrainingError
from model.hit import cut_clip, find_hit
from model.manifest import ManifestRow, read_rows
from model.picture import picture_array
from model.sound import decode_sound
from training.data.dataset import SPLITS
from training.data.items import ClipItem, Item, PictureItem, SourceAwayError, Stamp
from training.data.manifest_files import ManifestFiles

KINDS = ("image", "sound")


@dataclass(frozen=True)
class FileTask:
    """One picture or sound, or one picture with its sounds where the manifest pairs them."""

    id: str
    files: ManifestFiles
    rows: tuple[ManifestRow, ...]
    group: str
    split: str
    stamps: tuple[Stamp, ...]


@dataclass(frozen=True)
class ManifestSource:
    """A manifest and its files; everything from one of `test_sources` is test data, `exclude_sources` is left out.

    Rows that share a value in the column `pair` belong together: one picture and its sounds. The column
    `group` names what must stay in one split; where it is empty, the file name without its trailing number does
    (the object, where names show it).
    """

    files: ManifestFiles
    test_sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    open_licence_only: bool = False

    @property
    def description(self) -> dict[str, Any]:
        """Provenance: the sources with their counts and licences, and what was held out."""
        sources: dict[str, dict[str, Any]] = defaultdict(lambda: {"files": 0, "licences": set()})
        for row in self._rows:
            sources[row.get("source")]["files"] += 1
            sources[row.get("source")]["licences"].add(row.get("licence"))
        return {
            "kind": "manifest",
            "name": self.files.name,
            "sources": {
                name: {"files": source["files"], "licences": sorted(source["licences"])}
                for name, source in sorted(sources.items())
            },
            "test_sources": list(self.test_sources),
        }

    @cached_property
    def tasks(self) -> list[FileTask]:
        """Unpaired files and pairs in the manifest's order."""
        pairs: dict[str, list[ManifestRow]] = defaultdict(list)
        for row in self._rows:
            pairs[row.get("pair") or f"\0{row.line}"].append(row)
        return [self._task(rows) for rows in pairs.values()]

    @property
    def read(self) -> Callable[[FileTask, PictureSpec, ClipSpec], Item]:
        """Reads one task."""
        return read_files

    @cached_property
    def _rows(self) -> list[ManifestRow]:
        where, rows = self.files.manifest, self._listed()
        for row in rows:
            if row.kind not in KINDS:
                raise TrainingError(f"{where}, line {row.line}: kind {row.kind!r} is not image or sound")
            if not "".join([row.path, *row.columns.values()]).isascii() and (bad := _no_text(row)):
                raise TrainingError(f"{where}, line {row.line}: {bad} has half of a character in it")
            if Path(row.path).is_absolute() or ".." in Path(row.path).parts:
                raise TrainingError(f"{where}, line {row.line}: {row.path} leads out of the manifest's folder")
        known = {row.get("source") for row in rows}
        for name in (*self.test_sources, *self.exclude_sources):
            if name not in known:
                raise TrainingError(f"{where} has no source {name!r}; it has {', '.join(sorted(known))}")
        return [
            row
            for row in rows
            if row.get("source") not in self.exclude_sources and (row.open_licence or not self.open_licence_only)
        ]

    def _listed(self) -> list[ManifestRow]:
        try:
            with self.files.reading(self.files.name) as file:
                try:
                    return read_rows(file)
                except ManifestError as error:
                    raise type(error)(str(error).replace(str(file), self.files.manifest)) from error
        except OSError as error:
            raise ManifestError(f"{self.files.manifest} cannot be read: {error.strerror}") from error

    def _task(self, rows: list[ManifestRow]) -> FileTask:
        first = rows[0]
        where = f"{self.files.manifest}, line {first.line}"
        if len(rows) > 1 and sum(row.kind == "image" for row in rows) != 1:
            raise TrainingError(f"{where}: pair {first.get('pair')!r} must hold exactly one image")
        splits = {"test" if row.get("source") in self.test_sources else row.get("split") for row in rows}
        if len(splits) > 1:
            raise TrainingError(f"{where}: pair {first.get('pair')!r} lies in more than one split")
        (split,) = splits
        if split and split not in SPLITS:
            raise TrainingError(f"{where}: split {split!r} is not one of {', '.join(SPLITS)}")
        group = first.get("group") or f"{first.get('source')}/{_object_of(first.path)}"
        stamps = self.files.stamps([row.path for row in rows])
        return FileTask(first.path, self.files, tuple(rows), group, split, stamps)


def read_files(task: FileTask, picture: PictureSpec, clip: ClipSpec) -> Item:
    """Read the task's files; what cannot be used is skipped with its reason."""
    pictured, clips, skipped = None, [], []
    for row in task.rows:
        try:
            if row.unknown:
                raise TrainingError(f"{row.unknown[0]!r} is not one of the 17 materials")
            if not row.materials:
                raise TrainingError("no material is given")
            ids = tuple(sorted(material.id for material in row.materials))
            if row.kind == "image":
                pictured = PictureItem(row.path, _pixels(task.files, row.path, picture), ids)
            elif len(ids) > 1:
                raise TrainingError("a sound has more than one material")
            else:
                clips.append(ClipItem(row.path, _samples(task.files, row, clip), ids[0], row.get("action")))
        except SourceAwayError:
            raise
        except ThudError as error:
            skipped.append(str(error))
    source = task.rows[0].get("source")
    return Item(task.id, task.group, source, task.split, pictured, tuple(clips), tuple(skipped))


def _pixels(files: ManifestFiles, path: str, spec: PictureSpec) -> Any:
    try:
        with files.reading(path) as file:
            data = file.read_bytes()
    except OSError as error:
        raise PictureError(f"the picture cannot be read: {error.strerror}") from error
    return picture_array(data, spec.size, spec.resize)


def _samples(files: ManifestFiles, row: ManifestRow, spec: ClipSpec) -> Any:
    try:
        with files.reading(row.path) as file:
            sound = decode_sound(file, spec.sample_rate)
    except OSError as error:
        raise SoundError(f"the sound cannot be read: {error.strerror}") from error
    try:
        hit = float(row.get("time")) if row.get("time") else find_hit(sound.samples, spec.sample_rate)
        if not math.isfinite(hit):
            raise ValueError(hit)
    except ValueError as error:
        raise SoundError("its time is not a number of seconds") from error
    samples = cut_clip(sound.samples, spec.sample_rate, hit, spec.before, spec.after)
    if not samples.any():
        raise SoundError("the sound is silent around the event, or ends before it")
    return samples


def _no_text(row: ManifestRow) -> str:
    """The column that cannot be written as text, "" for none: JSON can name halves of a character."""
    for name, value in {**row.columns, "path": row.path}.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            return name
    return ""


def _object_of(path: str) -> str:
    """The file's name without extension and trailing numbers: hits of one object are numbered."""
    stem = Path(path).stem
    return re.sub(r"[\W_]*\d+[a-z]?$", "", stem) or stem
