"""Labelled pictures or sounds of a manifest, each of one material, with their sources and licences."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import TrainingError
from model.manifest import ManifestRow, read_rows
from model.materials import MATERIALS
from training.pretraining.left_out_groups import groups_of

MANIFEST, NOTHING_MANIFEST = "manifest.csv", "nothing.csv"
NOTHING = len(MATERIALS)
"""The class after the 17 materials: none of them."""
NOTHING_NAME = "nothing"
_LEAST_GROUPS, _LEAST_FILES = 2, 2
_NON_COMMERCIAL = re.compile(r"\b(non|not for|no)[ -]?commercial|\bby[ -]nc\b", re.IGNORECASE)


@dataclass(frozen=True)
class MaterialFiles:
    """N files of one kind: paths, `material [N]`, `source [N]` and whether the licence is open `[N]`.

    A material is 0 to 16, or NOTHING. `fitted [N]`: whether weights may be fitted on the file. `group [N]` names
    the sources that are left out together. `licences`: the manifest's licences of each source. `skipped`: rows
    without exactly one of the 17 materials.
    """

    paths: tuple[Path, ...]
    material: npt.NDArray[np.int64]
    source: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    open_licence: npt.NDArray[np.bool_]
    fitted: npt.NDArray[np.bool_]
    licences: dict[str, list[str]]
    skipped: int

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, rows: npt.NDArray[np.bool_]) -> "MaterialFiles":
        """The files in the mask `rows [N]`."""
        kept = tuple(path for path, keep in zip(self.paths, rows, strict=True) if keep)
        return replace(
            self,
            paths=kept,
            material=self.material[rows],
            source=self.source[rows],
            group=self.group[rows],
            open_licence=self.open_licence[rows],
            fitted=self.fitted[rows],
        )

    def names(self, data: Path) -> list[str]:
        """The paths relative to the folder of the manifest `data`, where they lie in it."""
        root = data if data.is_dir() else data.parent
        return [(one.relative_to(root) if one.is_relative_to(root) else one).as_posix() for one in self.paths]

    def open_only(self) -> "MaterialFiles":
        """The same files, but only those with an open licence are fitted on."""
        return replace(self, fitted=self.fitted & self.open_licence)


def non_commercial(row: ManifestRow) -> bool:
    """Whether the licence or the note of a row says that the file is not for commercial use."""
    return any(_NON_COMMERCIAL.search(row.get(column)) for column in ("licence", "note"))


def read_material_files(data: Path, kind: str) -> MaterialFiles:
    """The files of `kind` (image or sound) that the manifest `data`, or `data`/manifest.csv, lists.

    Rows without exactly one of the 17 materials are skipped and counted. All others are fitted on but those that
    are `non_commercial`. Raises ManifestError as `read_rows`, and TrainingError where a listed file is missing or
    no file of the kind and of a material is listed.
    """
    file = data / MANIFEST if data.is_dir() else data
    rows = [row for row in read_rows(file) if row.kind == kind]
    if not rows:
        raise TrainingError(f"{file} has no row whose column kind is {kind}")
    usable = [row for row in rows if len(row.materials) == 1]
    if not usable:
        raise TrainingError(f"{file} lists no {kind} of one of the 17 materials")
    return _files(file, kind, usable, [row.materials[0].id for row in usable], len(rows) - len(usable))


def check_groups(files: MaterialFiles, what: str) -> None:
    """Raise TrainingError unless there is a group to fit on while another one is held out for calibration.

    `what`: pictures or sounds, for the error.
    """
    names, counts = np.unique(files.group[files.fitted], return_counts=True)
    if not len(names):
        raise TrainingError(
            f"none of the {len(files):,} {what} may be fitted on: their licences are non-commercial or, with "
            "--open-only, their open_licence is not 1"
        )
    # Without the largest group there must still be enough files for a standard deviation.
    if len(names) < _LEAST_GROUPS or counts.sum() - counts.max() < _LEAST_FILES:
        raise TrainingError(
            f"the {what} that may be fitted on come from fewer than {_LEAST_GROUPS} groups of "
            f"sources, or are fewer than {_LEAST_FILES} without the largest; add another source"
        )


def read_nothing_files(data: Path) -> MaterialFiles:
    """The pictures of nothing to touch that nothing.csv beside the manifest lists, 0 where there is no such file.

    Rows with another material than `nothing` are skipped and counted. Raises as `read_material_files`, but may give
    no file at all.
    """
    file = (data if data.is_dir() else data.parent) / NOTHING_MANIFEST
    rows = [row for row in read_rows(file) if row.kind == "image"] if file.exists() else []
    usable = [row for row in rows if not row.materials and row.unknown == (NOTHING_NAME,)]
    return _files(file, "image", usable, [NOTHING] * len(usable), len(rows) - len(usable))


def _files(file: Path, kind: str, usable: list[ManifestRow], material: list[int], skipped: int) -> MaterialFiles:
    paths = tuple(file.parent / row.path for row in usable)
    for row, path in zip(usable, paths, strict=True):
        if not path.is_file():
            raise TrainingError(f"{file}, line {row.line}: {row.path} is not there")
    source = [row.get("source") or "unnamed" for row in usable]
    return MaterialFiles(
        paths=paths,
        material=np.array(material, np.int64),
        source=np.array(source, np.str_),
        group=groups_of(source, kind),
        open_licence=np.array([row.open_licence for row in usable], np.bool_),
        fitted=np.array([not non_commercial(row) for row in usable], np.bool_),
        licences=_licences(usable),
        skipped=skipped,
    )


def _licences(rows: list[ManifestRow]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.get("source") or "unnamed", set()).add(row.get("licence") or "not stated")
    return {source: sorted(licences) for source, licences in sorted(found.items())}
