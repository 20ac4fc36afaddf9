"""Who made sounds, and under which licence: as text for the credits of a work, and as a table of their records."""

import csv
import io
from collections.abc import Mapping, Sequence

from index.catalogue import SoundRecord
from model.spreadsheet import harmless

_TEXTS: tuple[str, ...] = ("id", "path", "title", "description", "material", "label_from", "action")
_TEXTS += ("author", "licence", "source", "origin")
_NUMBERS = ("hit", "peak", "loudness", "brightness", "sample_rate", "channels", "bytes")

COLUMNS = (*_TEXTS, "attribution", "tags", "duration", *_NUMBERS, "format")
"""The columns of `records_table`."""


def attribution_line(record: SoundRecord) -> str:
    """What credits must say of a sound: the words of its maker where there are any, else title, author, origin and
    licence, as Creative Commons recommends.

    One line, also where a text of the record has several.
    """
    if record.attribution:
        return _one_line(record.attribution)
    by = f" by {record.author}" if record.author else ""
    found = " of ".join(text for text in (record.origin, record.source) if text)
    where = f" ({found})" if found else ""
    licence = record.licence or "licence not stated"
    return _one_line(f'"{record.title}"{by}{where}, {licence}')


def attribution_text(names: Mapping[str, str], records: Sequence[SoundRecord]) -> str:
    """The credits of `records`: a paragraph for each, with the file's name out of `names`, by the sound's id."""
    return "\n".join(f"{names[record.id]}\n    {attribution_line(record)}\n" for record in records)


def missing_text(names: Mapping[str, str], records: Sequence[SoundRecord], missing: Mapping[str, str]) -> str:
    """Which of the `records` are not in an archive, and why, by the sound's id in `missing`."""
    lines = [f"NOT IN THIS ARCHIVE, {len(missing)} of {len(records)} sounds:\n"]
    gone = (record.id for record in records if record.id in missing)
    return "\n".join([*lines, *(f"{names[one]}\n    {_one_line(missing[one])}\n" for one in gone)])


def records_table(records: Sequence[SoundRecord]) -> bytes:
    """The records as CSV in UTF-8, a row for each; no text is a formula to a spreadsheet.

    It begins with the byte order mark, without which Excel takes UTF-8 for another encoding.
    """
    out = io.StringIO(newline="")
    table = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(COLUMNS)
    table.writerows(map(_row, records))
    return out.getvalue().encode("utf-8-sig", "backslashreplace")


def _row(record: SoundRecord) -> list[str | int | float]:
    texts = [harmless(getattr(record, name) or "") for name in _TEXTS]
    lists = [harmless(attribution_line(record)), harmless(", ".join(record.tags))]
    numbers = [getattr(record, name) for name in _NUMBERS]
    return [*texts, *lists, record.seconds, *numbers, record.format]


def _one_line(text: str) -> str:
    return " ".join(text.split())
