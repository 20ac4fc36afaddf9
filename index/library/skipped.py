"""The files that are not in an index: all of them as a table, and a few lines about them for a person."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from index.library.finding import Skipped
from model.atomic import atomic_file

SKIPPED_FILE = "skipped.tsv"
_MOST_LINES = 20


def write_skipped(index_folder: Path, skipped: Iterable[Skipped]) -> None:
    """Write INDEX/skipped.tsv, of files and reasons. It has no rows where nothing was left out."""
    with (
        atomic_file(index_folder / SKIPPED_FILE) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out,
    ):
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["path", "reason"])
        table.writerows((one.path, one.reason) for one in skipped)


def lines_about(skipped: Sequence[Skipped], duplicates: Sequence[Skipped]) -> list[str]:
    """At most 20 lines: one for each file or, where they are more, one for each reason, the rarest first."""
    lines = [f"skipped {one.path}: {one.reason}" for one in skipped]
    lines += [f"left out {one.path}: {one.reason}" for one in duplicates]
    if len(lines) <= _MOST_LINES:
        return lines
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in skipped:
        by_reason[one.reason].append(one.path)
    lines = []
    for reason, paths in sorted(by_reason.items(), key=lambda item: len(item[1])):
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        lines.append(f"skipped {paths[0]}{more}: {reason}")
    if duplicates:
        more = f" and {len(duplicates) - 1:,} more" if len(duplicates) > 1 else ""
        lines.append(f"left out {duplicates[0].path}{more}: {duplicates[0].reason}")
    if len(lines) <= _MOST_LINES:
        return lines
    shown = lines[: _MOST_LINES - 1]
    return [*shown, f"and {len(lines) - len(shown):,} more reasons; all files are in {SKIPPED_FILE} in the index"]
