"""What benchmarks/serve.py measures, as values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from arithmetic import Arithmetic
from load import Measured
from soak import Soak

USUAL, SAME, SHIPPED = "usual way", "Thud, same ResNet-18", "Thud, shipped bundle"
CEILINGS = {SAME: "ceiling, same ResNet-18", SHIPPED: "ceiling, shipped bundle"}
SMALL, LARGE = "640x480", "12 megapixels"


@dataclass(frozen=True)
class Cell:
    """One side in one round: answers and refusals (503) a second, latencies in milliseconds.

    `cpu_ms` is the server's CPU time an answer, refusals counted among them.
    """

    rate: float
    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan
    refused: float = 0
    errors: float = 0
    resident_mb: float = math.nan
    cpu_ms: float = math.nan


@dataclass(frozen=True)
class Summary(Cell):
    """The medians of a side over its rounds; `errors` are all of them."""

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Self:
        """The median of each number."""
        names = ("rate", "p50", "p95", "p99", "refused", "resident_mb", "cpu_ms")
        medians = {name: float(np.median([getattr(cell, name) for cell in cells])) for name in names}
        return cls(errors=sum(cell.errors for cell in cells), **medians)


@dataclass(frozen=True)
class Limits:
    """At 80 % of `capacity` (requests a second at concurrency 8), and at four times of it. Milliseconds.

    `calm` requests arrive at random, `even` ones evenly. `failed` are answers that are neither 200 nor 503, at all.
    """

    capacity: float
    calm_p50: float
    calm_p99: float
    even_p50: float
    even_p99: float
    answered: float
    refused: float
    refusal_p95: float
    failed: int

    @classmethod
    def of(cls, capacity: float, calm: Measured, even: Measured, flood: Measured) -> Self:
        """From what was measured."""
        calm_ms, even_ms = (found.milliseconds.get("200", [math.nan]) for found in (calm, even))
        refusals = flood.milliseconds.get("503", [])
        failed = [
            len(took)
            for found in (calm, even, flood)
            for status, took in found.milliseconds.items()
            if status not in ("200", "503")
        ]
        return cls(
            capacity=capacity,
            calm_p50=float(np.quantile(calm_ms, 0.5)),
            calm_p99=float(np.quantile(calm_ms, 0.99)),
            even_p50=float(np.quantile(even_ms, 0.5)),
            even_p99=float(np.quantile(even_ms, 0.99)),
            answered=flood.rate(200),
            refused=flood.rate(503),
            refusal_p95=float(np.quantile(refusals, 0.95)) if refusals else math.nan,
            failed=sum(failed),
        )


@dataclass(frozen=True)
class Stages:
    """CPU milliseconds of a request: of each stage alone on one thread, and of the server at concurrency 8."""

    alone: dict[str, float]
    served: float


@dataclass(frozen=True)
class Report:
    """All that was measured, by kind of picture, side and concurrency."""

    conditions: list[str]
    sounds: int
    cells: dict[tuple[str, str, int], Summary]
    ratios: dict[tuple[str, str], tuple[float, float]]
    seconds_to_ready: dict[str, float]
    limits: dict[str, Limits]
    soak: Soak
    stages: dict[tuple[str, str], Stages]
    arithmetic: dict[str, tuple[Arithmetic, float]]

    def ratio(self, kind: str, side: str, base: str) -> float:
        """The median ratio at concurrency 8 of a side to another."""
        return self.ratios[kind, ratio_name(side, base)][0]


def ratio_name(side: str, base: str) -> str:
    """How a ratio is called."""
    return f"{side} / {base}"
