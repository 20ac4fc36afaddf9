"""What the benchmark of serving measures, as values, and what Thud is to reach."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.http.load import Measured
from benchmarks.soak import MOST_GROWTH, Soak

USUAL, SAME, SHIPPED = "usual way", "Thud, same ResNet-18", "Thud, shipped bundle"
BEFORE = "Thud before, shipped bundle"
CEILINGS = {SAME: "ceiling, same ResNet-18", SHIPPED: "ceiling, shipped bundle"}
SMALL, LARGE = "640x480", "12 megapixels"
OF_BEST = {8: 0.95, 64: 0.95, 256: 0.85}
"""Clients that ask again at once, and what they are to get of the most that was answered."""
LONGEST_WAIT_MS = 1200
"""A second for which a request may wait, and its computing."""

Key = tuple[str, str, int]
"""Kind of picture, side, concurrency."""


@dataclass(frozen=True)
class Cell:
    """One side in one round: answers and refusals (503) a second, latencies in milliseconds.

    `cpu_ms` is the server's CPU time for an answer; refusals count as answers.
    """

    rate: float
    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan
    refused: float = 0
    errors: float = 0
    resident_mb: float = math.nan
    cpu_ms: float = math.nan

    @classmethod
    def median(cls, rounds: Sequence[Self]) -> Self:
        """The median of each number over rounds; `errors` is the sum."""
        names = ("rate", "p50", "p95", "p99", "refused", "resident_mb", "cpu_ms")
        medians = {name: float(np.median([getattr(cell, name) for cell in rounds])) for name in names}
        return cls(errors=sum(cell.errors for cell in rounds), **medians)


@dataclass(frozen=True)
class Limits:
    """At 80 % of `capacity` (requests a second at concurrency 8), and at four times the capacity. Milliseconds.

    `random` requests arrive at random, `even` ones evenly. `answer_p99` is of what was answered at four times the
    capacity. `failed` are answers that are neither 200 nor 503.
    """

    capacity: float
    random_p50: float
    random_p99: float
    even_p50: float
    even_p99: float
    answered: float
    answer_p99: float
    refused: float
    refusal_p95: float
    failed: int

    @classmethod
    def of(cls, capacity: float, random: Measured, even: Measured, flood: Measured) -> Self:
        """From what was measured."""
        (random_p50, random_p99), (even_p50, even_p99) = (
            np.quantile(found.milliseconds.get("200", [math.nan]), (0.5, 0.99)).tolist() for found in (random, even)
        )
        failed = [
            len(took)
            for found in (random, even, flood)
            for status, took in found.milliseconds.items()
            if status not in ("200", "503")
        ]
        return cls(
            capacity=capacity,
            random_p50=random_p50,
            random_p99=random_p99,
            even_p50=even_p50,
            even_p99=even_p99,
            answered=flood.rate(200),
            answer_p99=float(np.quantile(flood.milliseconds.get("200", [math.nan]), 0.99)),
            refused=flood.rate(503),
            refusal_p95=float(np.quantile(flood.milliseconds.get("503", [math.nan]), 0.95)),
            failed=sum(failed),
        )


@dataclass(frozen=True)
class Stages:
    """CPU milliseconds of a request: of each stage alone on one thread, and of the server at concurrency 8."""

    alone: dict[str, float]
    served: float


@dataclass(frozen=True)
class Report:
    """All that was measured; `ratios` has the median and the least over rounds, by kind of picture and name."""

    conditions: list[str]
    sounds: int
    cells: dict[Key, Cell]
    ratios: dict[tuple[str, str], tuple[float, float]]
    seconds_to_ready: dict[str, float]
    limits: dict[str, Limits]
    soak: Soak
    stages: dict[tuple[str, str], Stages]

    def goals(self) -> Iterator["Goal"]:
        """All goals, with what was measured."""
        for kind in (SMALL, LARGE):
            for side, base in CEILINGS.items():
                measured = self._ratio(kind, side, base)
                yield Goal("to the ceiling at concurrency 8", f"{side}, {kind}", measured, 0.88, True, digits=3)
        for side, kind, bound in ((SAME, SMALL, 4), (SAME, LARGE, 4), (SHIPPED, SMALL, 6)):
            measured = self._ratio(kind, side, USUAL)
            yield Goal("to the usual way at concurrency 8", f"{side}, {kind}", measured, bound, True)
        for kind in (SMALL, LARGE):
            rates = {
                concurrency: cell.rate
                for (of, side, concurrency), cell in self.cells.items()
                if (of, side) == (kind, SHIPPED)
            }
            for concurrency, least in OF_BEST.items():
                if concurrency in rates:
                    measured = rates[concurrency] / max(rates.values())
                    yield Goal(
                        f"requests/s at {concurrency} clients, of the best",
                        f"{SHIPPED}, {kind}",
                        measured,
                        least,
                        True,
                    )
        for kind, found in self.limits.items():
            of = f"{SHIPPED}, {kind}"
            yield Goal("p99 / p50 at 80 % of capacity, evenly", of, found.even_p99 / found.even_p50, 3)
            yield Goal("p99 / p50 at 80 % of capacity, at random", of, found.random_p99 / found.random_p50, 3)
            answered = found.answered / found.capacity
            yield Goal("answered of capacity at four times of it", of, answered, 0.85, True)
            yield Goal("answers at four times, p99", of, found.answer_p99, LONGEST_WAIT_MS, digits=0, unit=" ms")
            yield Goal("refusals at four times, p95", of, found.refusal_p95, 50, digits=1, unit=" ms")
            yield Goal("failed requests at these", of, found.failed, 0, digits=0)
        for side in (SAME, SHIPPED):
            yield Goal("start to ready", side, self.seconds_to_ready[side], 2, unit=" s")
        for side in (SAME, SHIPPED):
            most = max(cell.resident_mb for (_, name, _), cell in self.cells.items() if name == side)
            yield Goal(f"most memory with {self.sounds:,} sounds", side, most, 400, digits=0, unit=" MB")
        soaked = f"{SHIPPED}, {self.soak.memory[-1][0]:,} requests"
        yield Goal("most memory to that after the first tenth", soaked, self.soak.growth, MOST_GROWTH, digits=3)
        yield Goal("failed requests of the soak", soaked, self.soak.failed, 0, digits=0)

    def _ratio(self, kind: str, side: str, base: str) -> float:
        return self.ratios[kind, ratio_name(side, base)][0]


@dataclass(frozen=True)
class Goal:
    """A measured figure that is to be at least, or else at most, a bound; `of` names what it is of.

    NaN does not meet the goal.
    """

    name: str
    of: str
    measured: float
    bound: float
    at_least: bool = False
    digits: int = 2
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure keeps to the bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    @property
    def wanted(self) -> str:
        """The bound, for a table."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The figure, for a table."""
        return f"{self.measured:.{self.digits}f}{self.unit}"


def ratio_name(side: str, base: str) -> str:
    """The name of the ratio of one side to another."""
    return f"{side} / {base}"
