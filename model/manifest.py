"""The manifest: a CSV or JSONL table that lists pictures and sounds with their materials.

CSV may be separated by commas, semicolons or tabs, as spreadsheets write it in different countries.

Columns: kind (image or sound), path (relative to the manifest), material (several are separated by ';'), source,
origin, licence, open_licence, note, and optionally split, group, pair, time and action. Only `path` is required
here; each reader says what else it needs. Capitals and outer spaces in these names do not matter. Unknown columns
are kept.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from model.errors import ManifestError, NotAManifestError
from model.materials import Material, material_named

_SEPARATORS = (",", ";", "\t")
_COLUMNS = frozenset(
    "kind,path,material,source,origin,licence,open_licence,note,split,group,pair,time,action".split(",")  # noqa: SIM905
)


@dataclass(frozen=True)
class ManifestRow:
    """One row. `materials` are those of the 17, `unknown` the other names; `columns` holds every column as text."""

    line: int
    kind: str
    path: str
    materials: tuple[Material, ...]
    unknown: tuple[str, ...]
    columns: Mapping[str, str]

    def get(self, column: str) -> str:
        """The column's text, "" where the manifest does not have it."""
        return self.columns.get(column, "")

    @property
    def open_licence(self) -> bool:
        """Whether the column `open_licence` is `1`, `true` or `yes`: the file may be used freely."""
        return self.get("open_licence").lower() in ("1", "true", "yes")


def read_rows(file: Path) -> list[ManifestRow]:
    """All rows of a manifest.

    Raises NotAManifestError for a table without a column `path` (some other program's file), ManifestError for a
    file that is missing or no table, and ManifestError with the line for a row that cannot be understood.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            jsonl = file.suffix.lower() in (".jsonl", ".ndjson")
            records = _json_records(handle, file) if jsonl else _csv_records(handle, file)
            return [_row(columns, line, file) for line, columns in records]
    except OSError as error:
        raise ManifestError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} is not UTF-8 text; a spreadsheet writes it as CSV UTF-8") from error
    except csv.Error as error:
        raise ManifestError(f"{file} is not a CSV table: {error}") from error


def _csv_records(handle: Any, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    head = handle.readline()
    separator = next(
        (one for one in _SEPARATORS if "path" in _known(next(csv.reader([head], delimiter=one), []))), None
    )
    if separator is None:
        raise NotAManifestError(f"{file} has no column named path in its first line")
    lines = chain([head], handle)
    header = csv.reader(lines, delimiter=separator, strict=True)
    names = _named(next(header), file)
    table = csv.DictReader(lines, names, delimiter=separator, strict=True)
    for record in table:
        if not any(record.values()):
            continue  # spreadsheets write empty rows
        if None in record:
            raise ManifestError(f"{file}, line {header.line_num + table.line_num}: more values than columns")
        yield header.line_num + table.line_num, {name: value or "" for name, value in record.items()}


def _known(names: Iterable[str]) -> list[str]:
    """The names of columns as this module spells them; unknown ones stay as they are."""
    return [known if (known := name.strip().lower()) in _COLUMNS else name for name in names]


def _named(names: Iterable[str], file: Path) -> list[str]:
    found = _known(names)
    twice = next((name for name in found if name in _COLUMNS and found.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"{file} has two columns named {twice}")
    return found


def _json_records(handle: Any, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    first = True
    for line, text in enumerate(handle, start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ManifestError(f"{file}, line {line}: not JSON: {error}") from error
        if isinstance(record, dict):
            record = dict(zip(_named(record, file), record.values(), strict=True))
        if first and not (isinstance(record, dict) and "path" in record):
            raise NotAManifestError(f"{file} has no field named path")
        first = False
        if not isinstance(record, dict):
            raise ManifestError(f"{file}, line {line}: not a JSON object")
        for name in ("path", "kind", "material"):
            if not isinstance(record.get(name), str | None):
                raise ManifestError(f"{file}, line {line}: {name} is not text")
        yield line, {name: "" if value is None else str(value) for name, value in record.items()}


def _row(columns: dict[str, str], line: int, file: Path) -> ManifestRow:
    path = columns.get("path", "").strip()
    if not path or "\0" in path:
        raise ManifestError(f"{file}, line {line}: the path is empty or no path")
    names = [name for part in columns.get("material", "").split(";") if (name := part.strip())]
    found = [(name, material_named(name)) for name in names]
    materials = tuple(material for _, material in found if material is not None)
    unknown = tuple(name for name, material in found if material is None)
    return ManifestRow(line, columns.get("kind", "").strip().lower(), path, materials, unknown, columns)
