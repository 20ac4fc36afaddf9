"""Tables in text as people and spreadsheets write them: which encoding, which separator, which columns."""

import codecs
import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from model.errors import ManifestError
from model.fields import fields_of

_SEPARATORS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Table:
    """The `columns` of a table, by the fields that they mean, and its `rows`, each with its line.

    A row has a cell for each column. Rows with nothing in them are left out.
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, list[str]]]


def read_text(file: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and notes on what was assumed.

    UTF-8 and UTF-16 are told by their byte order mark or their bytes; what is neither is read as Windows-1252.
    Raises ManifestError for a file that cannot be read or is no text.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ManifestError(f"{file} cannot be read: {error.strerror or error}") from error
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    if b"\0" in content[:2]:  # a letter in UTF-16 without a byte order mark
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        return content.decode(encoding), ()
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ManifestError(f"{file} is no text in {encoding.upper()}") from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{file} is not UTF-8 text, nor Windows-1252; a spreadsheet writes it as CSV UTF-8"
        ) from error
    return text, (f"{file} is not UTF-8 and is read as Windows-1252; save it as CSV UTF-8 if names look wrong",)


def read_table(file: Path, text: str, wanted: str) -> Table:
    """The table that the `text` of a CSV `file` holds.

    It is separated by commas, semicolons, tabs or vertical bars: by what its first line says (`sep=;`, as
    spreadsheets write it), else by what gives a column for the field `wanted`, else by what gives most columns.
    Raises ManifestError, with the line where there is one, for a text that is no table.
    """
    handle = StringIO(text, newline="")
    start, separator = _begin(handle)
    line = text.count("\n", 0, start)
    try:
        separator = separator or _separator(handle, start, wanted)
        handle.seek(start)
        reader = csv.reader(handle, delimiter=separator, strict=True)
        columns = fields_of(tuple(name.strip() for name in next(reader, [])))
        rows = []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue  # spreadsheets write empty rows
            if any(cell.strip() for cell in row[len(columns) :]):
                raise ManifestError(f"{file}, line {line + reader.line_num}: more values than columns")
            rows.append((line + reader.line_num, (row + [""] * (len(columns) - len(row)))[: len(columns)]))
    except csv.Error as error:
        raise ManifestError(f"{file} is not a CSV table: {error}") from error
    return Table(columns, rows)


def _begin(handle: StringIO) -> tuple[int, str | None]:
    """Where the names of the columns begin, after rows of empty cells, and the separator that one names."""
    start, separator = 0, None
    while line := handle.readline():
        head = line.strip("\r\n").strip('"')
        if separator is None and head[:4].lower() == "sep=" and len(head) == 5:
            separator = head[4]
        elif line.strip("".join((*_SEPARATORS, separator or "", ' "\r\n'))):  # else a row of empty cells
            break
        start = handle.tell()
    return start, separator


def _separator(handle: StringIO, start: int, wanted: str) -> str:
    def columns(separator: str) -> tuple[bool, int]:
        handle.seek(start)
        try:
            names = fields_of(tuple(next(csv.reader(handle, delimiter=separator), [])))
        except csv.Error:
            return False, 0
        return wanted in names, len(names)

    return max(_SEPARATORS, key=columns)
