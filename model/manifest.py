"""The manifest: a CSV or JSONL file that lists pictures and sounds with their materials."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ThudError
from model.materials import Material, material_named

REQUIRED = ("kind", "path", "material")
KINDS = ("image", "sound")


@dataclass(frozen=True)
class ManifestRow:
    """One listed file. `path` is relative to the manifest; `materials` is empty where none is given.

    `columns` holds every column as text: source, origin, licence, open_licence, note, and optionally split
    (train, val, test), group, pair, time (seconds of the hit) and action (hit, scratch).
    """

    line: int
    kind: str
    path: str
    materials: tuple[Material, ...]
    columns: Mapping[str, str]

    def get(self, column: str) -> str:
        """The column's text, "" where the manifest does not have it."""
        return self.columns.get(column, "")


def read_manifest(file: Path) -> list[ManifestRow]:
    """Read a manifest with at least the columns kind, path and material; several materials are split by ';'.

    Raises ThudError, naming file and line, for a missing column, an unknown kind or material, a path that
    leads out of the manifest's folder, or a file that is not UTF-8 CSV or JSONL.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            records = _jsonl(handle, file) if file.suffix.lower() in (".jsonl", ".ndjson") else _csv(handle, file)
            return [_row(columns, line, file) for line, columns in records]
    except FileNotFoundError as error:
        raise ThudError(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ThudError(f"{file} cannot be read: {error}") from error


def _csv(handle: Any, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(handle, strict=True)
    missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
    if missing:
        raise ThudError(f"{file}: the first line must name the columns; missing: {', '.join(missing)}")
    for record in reader:
        if None in record:
            raise ThudError(f"{file}, line {reader.line_num}: more values than columns")
        yield reader.line_num, {name: value or "" for name, value in record.items()}


def _jsonl(handle: Any, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for line, text in enumerate(handle, start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ThudError(f"{file}, line {line}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ThudError(f"{file}, line {line}: not a JSON object")
        yield line, {name: "" if value is None else str(value) for name, value in record.items()}


def _row(columns: dict[str, str], line: int, file: Path) -> ManifestRow:
    where = f"{file}, line {line}"
    missing = [column for column in ("kind", "path") if not columns.get(column, "").strip()]
    if missing:
        raise ThudError(f"{where}: no {' and no '.join(missing)}")
    kind, path = columns["kind"].strip(), columns["path"].strip()
    if kind not in KINDS:
        raise ThudError(f"{where}: kind {kind!r} is not one of {', '.join(KINDS)}")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ThudError(f"{where}: the path {path} leads out of the manifest's folder")
    materials = []
    for name in filter(None, (part.strip() for part in columns.get("material", "").split(";"))):
        material = material_named(name)
        if material is None:
            raise ThudError(f"{where}: {name!r} is not one of the 17 materials")
        materials.append(material)
    return ManifestRow(line, kind, path, tuple(materials), columns)
