"""The tables of the benchmark of serving, as text and as Markdown."""

import math
from collections.abc import Iterator

from benchmarks.serve.results import SMALL, Cell, Key, Report

Table = tuple[str, str, list[list[str]]]
"""Heading, columns separated by `|`, rows. The first two columns are text, the others numbers."""

_INTRODUCTION = """# Performance

Written by `python -m benchmarks.serve PHOTOGRAPHS --markdown docs/performance.md`, whose `--help` says what the
sides are.
A refusal is an answer 503; `errors` are answers other than 200 and 503. Clients send the next request at once,
also after a refusal. `CPU ms` is the server's CPU time an answer, refusals included."""


def as_text(report: Report) -> str:
    """For a terminal."""
    parts = ["\n".join(report.conditions)]
    for heading, columns, rows in _tables(report):
        lines = [columns.split("|"), *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = (
            "  ".join(
                f"{text:<{width}}" if at < 2 else f"{text:>{width}}"
                for at, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in lines
        )
        parts.append("\n".join([heading, *texts]))
    return "\n\n".join(parts)


def as_markdown(report: Report) -> str:
    """For docs/performance.md."""
    parts = [_INTRODUCTION, "\n".join(f"- {line}" for line in report.conditions)]
    for heading, columns, rows in _tables(report):
        names = columns.split("|")
        lines = [f"| {' | '.join(row)} |" for row in (names, *rows)]
        aligned = "|".join("---" if at < 2 else "---:" for at in range(len(names)))
        parts.append("\n".join([f"## {heading}", "", lines[0], f"|{aligned}|", *lines[1:]]))
    return "\n\n".join(parts) + "\n"


def _tables(report: Report) -> Iterator[Table]:
    yield (
        "Goals",
        "goal|of|wanted|measured|",
        [
            [goal.name, goal.of, goal.wanted, goal.shown, "met" if goal.met else "**not met**"]
            for goal in report.goals()
        ],
    )
    yield (
        "Throughput and latency",
        "pictures|side|concurrency|requests/s|p50 ms|p95 ms|p99 ms|refused/s|errors|memory MB|CPU ms",
        [
            [kind, side, str(connections), *_numbers(cell)]
            for (kind, side, connections), cell in sorted(report.cells.items(), key=_in_order)
        ],
    )
    yield (
        "Ratios at concurrency 8",
        "pictures|ratio|median|least",
        [[kind, name, f"{median:.2f}", f"{least:.2f}"] for (kind, name), (median, least) in report.ratios.items()],
    )
    yield (
        "At 80 % of capacity (shipped bundle)",
        "pictures|arrivals|capacity/s|p50 ms|p99 ms|p99 / p50",
        [
            [kind, arrivals, f"{found.capacity:.1f}", f"{p50:.1f}", f"{p99:.1f}", f"{p99 / p50:.2f}"]
            for kind, found in report.limits.items()
            for arrivals, p50, p99 in (
                ("evenly", found.even_p50, found.even_p99),
                ("at random", found.random_p50, found.random_p99),
            )
        ],
    )
    yield (
        "At four times the capacity (shipped bundle)",
        "pictures||capacity/s|answered/s|of capacity|answer p99 ms|refused/s|refusal p95 ms|failed",
        [
            [
                kind,
                "",
                f"{found.capacity:.1f}",
                f"{found.answered:.1f}",
                f"{found.answered / found.capacity:.2f}",
                _or_dash(found.answer_p99),
                f"{found.refused:.1f}",
                _or_dash(found.refusal_p95),
                str(found.failed),
            ]
            for kind, found in report.limits.items()
        ],
    )
    yield (
        "Start to ready",
        "side||seconds",
        [[side, "", f"{seconds:.2f}"] for side, seconds in report.seconds_to_ready.items()],
    )
    warm = report.soak.memory[1][1]
    yield (
        "Resident memory of a fresh server (shipped bundle, 640x480)",
        "requests||MB|to the first tenth",
        [[f"{requests:,}", "", f"{mb:.0f}", f"{mb / warm:.3f}"] for requests, mb in report.soak.memory],
    )
    yield (
        "Where the CPU time of a request goes, milliseconds",
        "pictures|side|decode|resize|network|search|HTTP and the rest|all",
        [
            [
                kind,
                side,
                *(f"{took:.2f}" for took in found.alone.values()),
                f"{found.served - sum(found.alone.values()):.2f}",
                f"{found.served:.2f}",
            ]
            for (kind, side), found in report.stages.items()
        ],
    )


def _in_order(item: tuple[Key, Cell]) -> tuple[bool, str, int]:
    (kind, side, connections), _ = item
    return kind != SMALL, side, connections


def _numbers(cell: Cell) -> list[str]:
    return [
        f"{cell.rate:.1f}",
        *map(_or_dash, (cell.p50, cell.p95, cell.p99)),
        f"{cell.refused:.0f}",
        str(int(cell.errors)),
        "-" if math.isnan(cell.resident_mb) else f"{cell.resident_mb:.0f}",
        _or_dash(cell.cpu_ms),
    ]


def _or_dash(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.1f}"
