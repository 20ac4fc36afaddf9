"""The manifest: a CSV or JSONL table that lists pictures and sounds with their materials.

CSV may be separated by commas, semicolons, tabs or vertical bars, as spreadsheets write it in different countries.

Columns: kind (image or sound), path (relative to the manifest), material (in one of five languages; several are
separated by ';'), title, description, tags, action, author, licence, attribution, source, origin, open_licence,
note, and for training split, group, pair and time. Only `path` is required here; each reader says what else it
needs. Other names that people have for these fields are understood (model/fields.py). Unknown columns are kept.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from model.errors import ManifestError, NotAManifestError
from model.fields import FIELDS, fields_of
from model.materials import Material, material_called
from model.pointers import pointer_behind, pointer_in
from model.spreadsheet import as_meant
from model.table import read_table, read_text

_MOST_LISTED = 20
_NOT_KNOWN = frozenset(
    [
        "-",
        "--",
        "---",
        "–",
        "—",
        "?",
        "??",
        "???",
        ".",
        "n/a",
        "n.a.",
        "na",
        "nan",
        "none",
        "null",
        "nil",
        "unknown",
        "undefined",
        "unspecified",
        "unlabelled",
        "unlabeled",
        "tbd",
        "tba",
        "todo",
        "k.a.",
        "k.a",
        "unbekannt",
        "inconnu",
        "inconnue",
        "desconocido",
        "sconosciuto",
    ]
)
"""What people write into a cell for a material that they do not know."""


@dataclass(frozen=True)
class ManifestRow:
    """One row. `materials` are those of the 17, `unknown` the other names; `columns` holds every column as text.

    What stands for "not known", such as `n/a`, is no name of a material: the cell counts as empty.
    """

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


@dataclass(frozen=True)
class ManifestTable:
    """The `rows` of a manifest that have a path, the lines of those that have `no_path`, and its `columns`.

    `notes` say what was assumed in reading it.
    """

    rows: list[ManifestRow]
    no_path: tuple[int, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def read_rows(file: Path) -> list[ManifestRow]:
    """All rows of a manifest. Raises as `read_manifest_table`, and ManifestError for a row without a path."""
    table = read_manifest_table(file)
    if table.no_path:
        raise ManifestError(f"{file}, line {table.no_path[0]}: the path is empty or no path")
    return table.rows


def read_manifest_table(file: Path) -> ManifestTable:
    """The table in a manifest file.

    Raises NotAManifestError for a table without a column `path` (some other program's file), ManifestError for a
    file that is missing, no table, or a pointer in place of one, and ManifestError with the line for a row that
    cannot be understood.
    """
    if not file.exists() and (reason := pointer_behind(file)):
        raise ManifestError(f"{file} is {reason}")
    text, notes = read_text(file)
    if reason := pointer_in(text[:100].encode(errors="replace")):
        raise ManifestError(f"{file} is {reason}")
    if file.suffix.lower() in (".jsonl", ".ndjson"):
        records = list(_json_records(text, file))
        columns = tuple(dict.fromkeys(name for _, record in records for name in record))
    else:
        table = read_table(file, text, "path")
        columns = _checked(table.columns, file)
        if "path" not in columns:
            raise NotAManifestError(f"{file} has no column named path {listed_columns(columns)}")
        records = [(line, _meant(dict(zip(columns, row, strict=True)))) for line, row in table.rows]
    rows, no_path = [], []
    for line, record in records:
        row = _row(record, line)
        if row is None:
            no_path.append(line)
        else:
            rows.append(row)
    return ManifestTable(rows, tuple(no_path), columns, notes)


def listed_columns(columns: tuple[str, ...]) -> str:
    """Which columns were found, for a person."""
    shown = ", ".join(name[:40] for name in columns[:_MOST_LISTED] if name)
    return f"(columns found: {shown or 'none'}{', …' if len(columns) > _MOST_LISTED else ''})"


def _meant(cells: dict[str, str]) -> dict[str, str]:
    # A path is written so that it is no formula, and a file's name may begin with an apostrophe.
    return {name: cell if name == "path" else as_meant(cell) for name, cell in cells.items()}


def _checked(names: tuple[str, ...], file: Path) -> tuple[str, ...]:
    twice = next((name for name in names if name in FIELDS and names.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"{file} has two columns named {twice}")
    return names


def _json_records(text: str, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    first = True
    for line, content in enumerate(StringIO(text), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{file}, line {line}: not JSON: {error}") from error
        if isinstance(record, dict):
            record = dict(zip(_checked(fields_of(tuple(record)), file), record.values(), strict=True))
        if first and not (isinstance(record, dict) and "path" in record):
            found = listed_columns(tuple(record)) if isinstance(record, dict) else ""
            raise NotAManifestError(f"{file} has no field named path {found}".rstrip())
        first = False
        if not isinstance(record, dict):
            raise ManifestError(f"{file}, line {line}: not a JSON object")
        for name in ("path", "kind", "material"):
            if not isinstance(record.get(name), str | None):
                raise ManifestError(f"{file}, line {line}: {name} is not text")
        yield line, {name: text_of(value) for name, value in record.items()}
    if first:
        raise NotAManifestError(f"{file} has no field named path (it is empty)")


def text_of(value: Any) -> str:
    """A value of JSON as text: a list as its values with semicolons between, nothing as ""."""
    if isinstance(value, list):
        return "; ".join(text_of(one) for one in value if isinstance(one, str | int | float))
    return "" if value is None else str(value)


def _row(columns: dict[str, str], line: int) -> ManifestRow | None:
    path = columns.get("path", "").strip()
    if not path or "\0" in path:
        return None
    parts = (part.strip() for part in columns.get("material", "").split(";"))
    names = [name for name in parts if name and name.casefold() not in _NOT_KNOWN]
    found = [(name, material_called(name)) for name in names]
    materials = tuple(dict.fromkeys(material for _, material in found if material is not None))
    unknown = tuple(name for name, material in found if material is None)
    return ManifestRow(line, columns.get("kind", "").strip().lower(), path, materials, unknown, columns)
