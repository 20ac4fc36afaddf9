"""One sound of an index, and how it is stored as a row of the table `sounds`."""

import json
import re
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from model.errors import DamagedIndexError
from model.materials import MATERIALS


@dataclass(frozen=True)
class SoundRecord:
    """One sound of an index.

    `id` names its content: the first 20 hex digits of the SHA-256 of the file's bytes. `path` is its POSIX path
    under the library root, `copies` are the paths of other files with the same content. From `title` to
    `attribution` it is what people wrote about it, as in `Facts`; `material` is None for an unlabelled sound.
    `hit` is the second of its main hit, `hits` those of all, rising, and `ends` the seconds until which they are to
    be played; `playable` says whether browsers play the file as it is. `bytes` is the size of the file, `peak` the
    largest absolute sample (1.0 is full scale), `loudness` the LUFS of the 0.4 s from the main hit on, `brightness`
    the spectral centroid of its clip in Hz. `objects` are the everyday objects that its name or its tags name
    (model/objects.py).
    """

    id: str
    path: str
    copies: tuple[str, ...]
    title: str
    description: str | None
    tags: tuple[str, ...]
    material: str | None
    label_from: str | None
    action: str | None
    source: str | None
    origin: str | None
    author: str | None
    licence: str | None
    attribution: str | None
    seconds: float
    hit: float
    hits: tuple[float, ...]
    ends: tuple[float, ...]
    sample_rate: int
    channels: int
    format: str
    media_type: str
    playable: bool
    bytes: int
    peak: float
    loudness: float
    brightness: float
    objects: tuple[str, ...] = ()


NAMES = tuple(field.name for field in fields(SoundRecord))
COLUMNS = ", ".join(NAMES)
"""The columns of the table `sounds` that are fields of a record, as SQL."""

_DECLARED: dict[Any, str] = {
    str: "TEXT NOT NULL",
    int: "INTEGER NOT NULL",
    bool: "INTEGER NOT NULL",
    float: "REAL NOT NULL",
    str | None: "TEXT",
    tuple[str, ...]: "TEXT NOT NULL",
    tuple[float, ...]: "TEXT NOT NULL",
}
_PLACES = {"row": "INTEGER PRIMARY KEY", "first": _DECLARED[int]}
"""Where a sound stands, which no record says: its row in the table, and the row of the first of its vectors."""
_KINDS = {field.name: _DECLARED[field.type] for field in fields(SoundRecord)}
_KINDS = {"id": _KINDS["id"]} | _PLACES | _KINDS
TABLE = f"CREATE TABLE sounds ({', '.join(f'{name} {kind}' for name, kind in _KINDS.items())})"
INSERT = f"INSERT INTO sounds (row, first, {COLUMNS}) VALUES ({', '.join('?' * (len(_PLACES) + len(NAMES)))})"  # noqa: S608

# SQLite stores a value of any type in any column, so that types are checked when a catalogue is opened. By
# comparisons, which take a third of the time of typeof: numbers come before all texts, and texts before all blobs.
# The media type and the number of bytes become HTTP headers, and JSON has no infinite numbers.
_A_TEXT = "({0} >= '' AND {0} < x'')"
_POSSIBLE: dict[Any, str] = {
    str: _A_TEXT,
    int: "{0} BETWEEN 0 AND 9e15",
    bool: "{0} IN (0, 1)",
    float: "{0} BETWEEN -1e300 AND 1e300",
    str | None: "({0} < '' OR {0} >= x'') IS NOT TRUE",  # NULL in a comparison is neither true nor false
    tuple[str, ...]: _A_TEXT,
    tuple[float, ...]: _A_TEXT,
}
_MATERIALS = ", ".join(f"'{material.name}'" for material in MATERIALS)
POSSIBLE = " AND ".join(
    [_POSSIBLE[field.type].format(field.name) for field in fields(SoundRecord) if field.name != "material"]
    + [_POSSIBLE[int].format(name) for name in _PLACES]
    + ["media_type NOT GLOB '*[^!-~]*'", f"material NOT IN ({_MATERIALS}) IS NOT TRUE"]
)
"""True of a row as Thud writes it, as SQL."""

_TAKE = re.compile(r"[\s_.()#-]*\d+[a-z]?[\s_.()-]*$", re.IGNORECASE)
_LISTS = [place for place, field in enumerate(fields(SoundRecord)) if "tuple" in str(field.type)]
_PLAYABLE = NAMES.index("playable")
_VALUES = attrgetter(*NAMES)
_json = json.JSONEncoder(ensure_ascii=False).encode


def to_row(row: int, first: int, record: SoundRecord) -> tuple[Any, ...]:
    """The values of `INSERT`; lists are stored as JSON."""
    values = list(_VALUES(record))
    for place in _LISTS:
        values[place] = _json(values[place]) if values[place] else "[]"
    return (row, first, *values)


def from_row(values: tuple[Any, ...]) -> SoundRecord:
    """The record of the values of `COLUMNS`. Raises DamagedIndexError for a list that is none."""
    found = list(values)
    for place in _LISTS:
        found[place] = listed(found[place])
    found[_PLAYABLE] = bool(found[_PLAYABLE])
    return SoundRecord(*found)


def listed(text: str) -> tuple[Any, ...]:
    """A list that `to_row` has stored. Raises DamagedIndexError for what is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise DamagedIndexError("the catalogue has a list that is none; run thud index again")
    return tuple(found)


def recording_of(path: str) -> str:
    """What takes of one object have in common: the path without its ending and without a number at its end.

    A file whose name is a number alone is a recording of its own.
    """
    stem = path.rpartition(".")[0]
    folder, slash, name = stem.rpartition("/")
    taken = _TAKE.sub("", name)
    return folder + slash + taken if taken else stem
