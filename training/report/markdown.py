"""Pieces of Markdown: tables, code, lists, and the runs that a table or figure rests on."""

import re
from collections.abc import Iterable, Sequence

from training.report.groups import Group

RESTS_ON = "The runs behind this:"


def text(value: object) -> str:
    """Any text as plain Markdown text on one line."""
    return re.sub(r"([\\`*_\[\]<>#&~!])", r"\\\1", _line(value))


def code(value: object) -> str:
    """Any text as it is, on one line, in the font of code."""
    content = _line(value)
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not content else ""
    return f"{fence}{pad}{content}{pad}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table; its first `words` columns are words, the others figures, which stand to the right."""
    rule = ["---" if column < words else "---:" for column in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def rests_on(groups: Iterable[Group]) -> list[str]:
    """The runs behind a table or figure, each with recipe, seed and command; nothing if there are none."""
    lines = {
        number: f"run {number}: {code(run.name)}, {group.kind}, seed {run.seed}: {code(run.command)}"
        for group in groups
        for number, run in zip(group.numbers, group.runs, strict=True)
    }
    return [RESTS_ON, bullets(lines[number] for number in sorted(lines))] if lines else []


def _line(value: object) -> str:
    return " ".join(str(value).split())
