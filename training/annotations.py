"""Reading the labels of Greatest Hits: `<id>_times.txt`, `train.txt` and `test.txt`.

A line of `<id>_times.txt` is `time material action reaction`, separated by spaces, without a header; `None` stands
for a label that was not given.
"""

import math
from pathlib import Path
from typing import Literal, NamedTuple

from model.errors import TrainingError
from model.materials import material_named

Action = Literal["hit", "scratch"]

TIMES_SUFFIX = "_times.txt"
_ACTIONS: dict[str, Action | None] = {"hit": "hit", "scratch": "scratch", "None": None}
_ID_PARTS = 6  # year, month, day, hour, minute, second


class Event(NamedTuple):
    """One touch: `time` in seconds, `material` as in model.materials; None for what was not labelled."""

    time: float
    material: str | None
    action: Action | None
    reaction: str | None


def read_events(path: Path) -> list[Event]:
    """Events of one `<id>_times.txt`, in the order of the file. Any spelling of the reaction is taken.

    Raises TrainingError, with file and line, for a line with fewer than four columns, a time that is not a
    number of seconds, a material that is not one of the 17, or another action than hit and scratch.
    """
    return [_event(line, f"{path}, line {number}") for number, line in _lines(path)]


def read_split(path: Path) -> list[str]:
    """Video ids of `train.txt` or `test.txt`, in the order of the file.

    Raises TrainingError for a file that cannot be read and for an id named twice.
    """
    ids: dict[str, int] = {}
    for number, line in _lines(path):
        name = line.strip()
        if name in ids:
            raise TrainingError(f"{path}, line {number}: {name} stands in line {ids[name]} already")
        ids[name] = number
    return list(ids)


def recording_of(video_id: str) -> str:
    """The long recording that a video was cut from: its id without the last `-<n>`; most ids are whole recordings.

    >>> recording_of("2015-03-25-00-29-24-2"), recording_of("2015-03-25-00-29-24")
    ('2015-03-25-00-29-24', '2015-03-25-00-29-24')
    """
    parts = video_id.split("-")
    return "-".join(parts[:-1]) if len(parts) > _ID_PARTS else video_id


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _event(line: str, place: str) -> Event:
    columns = line.split()
    if len(columns) < 4:
        raise TrainingError(
            f"{place}: {len(columns)} columns where time, material, action and reaction are expected: {line!r}"
        )
    try:
        time = float(columns[0])
    except ValueError:
        time = math.nan
    if not (math.isfinite(time) and time >= 0.0):
        raise TrainingError(f"{place}: {columns[0]!r} is not a time in seconds")
    material = None
    if columns[1] != "None":
        known = material_named(columns[1])
        if known is None:
            raise TrainingError(f"{place}: {columns[1]!r} is not one of the 17 materials")
        material = known.name
    if columns[2] not in _ACTIONS:
        raise TrainingError(f"{place}: {columns[2]!r} is not an action (hit, scratch or None)")
    reaction = " ".join(columns[3:])
    return Event(time, material, _ACTIONS[columns[2]], None if reaction == "None" else reaction)
