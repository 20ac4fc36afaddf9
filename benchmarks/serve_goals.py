"""What Thud is to reach, and whether benchmarks/serve.py found that it does."""

from collections.abc import Iterator
from dataclasses import dataclass

from serve_results import CEILINGS, LARGE, SAME, SHIPPED, SMALL, USUAL, Report
from soak import MOST_GROWTH


@dataclass(frozen=True)
class Goal:
    """A figure that is to be at least, or else at most, a bound; `of` says of what it is. NaN does not meet it."""

    name: str
    of: str
    measured: float
    bound: float
    at_least: bool = False
    digits: int = 2
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    @property
    def wanted(self) -> str:
        """The bound, for a table."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The figure, for a table."""
        return f"{self.measured:.{self.digits}f}{self.unit}"


def goals(report: Report) -> list[Goal]:
    """All goals, with what was measured."""
    return [*_rates(report), *_limits(report), *_process(report)]


def _rates(report: Report) -> Iterator[Goal]:
    for kind in (SMALL, LARGE):
        for side, base in CEILINGS.items():
            measured = report.ratio(kind, side, base)
            yield Goal("to the ceiling at concurrency 8", f"{side}, {kind}", measured, 0.85, True, digits=3)
    for side, kind, bound in ((SAME, SMALL, 4), (SAME, LARGE, 4), (SHIPPED, SMALL, 6)):
        measured = report.ratio(kind, side, USUAL)
        yield Goal("to the usual way at concurrency 8", f"{side}, {kind}", measured, bound, True)


def _limits(report: Report) -> Iterator[Goal]:
    for kind, found in report.limits.items():
        of = f"{SHIPPED}, {kind}"
        yield Goal("p99 / p50 at 80 % of capacity, evenly", of, found.even_p99 / found.even_p50, 3)
        yield Goal("p99 / p50 at 80 % of capacity, at random", of, found.calm_p99 / found.calm_p50, 3)
        answered = found.answered / found.capacity
        yield Goal("answered of capacity at four times of it", of, answered, 0.9, True)
        yield Goal("refusals at four times, p95", of, found.refusal_p95, 50, digits=1, unit=" ms")
        yield Goal("failed requests at these", of, found.failed, 0, digits=0)


def _process(report: Report) -> Iterator[Goal]:
    for side in (SAME, SHIPPED):
        yield Goal("start to ready", side, report.seconds_to_ready[side], 2, unit=" s")
    for side in (SAME, SHIPPED):
        most = max(cell.resident_mb for (_, name, _), cell in report.cells.items() if name == side)
        yield Goal(f"most memory with {report.sounds:,} sounds", side, most, 400, digits=0, unit=" MB")
    soaked = f"{SHIPPED}, {report.soak.memory[-1][0]:,} requests"
    yield Goal("most memory to that after the first tenth", soaked, report.soak.growth, MOST_GROWTH, digits=3)
    yield Goal("failed requests of the soak", soaked, report.soak.failed, 0, digits=0)
