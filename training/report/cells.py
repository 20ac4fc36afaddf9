"""What stands in a table's cell: a measured value with its interval, or several seeds' mean and spread."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, Literal

from training.report.groups import Group
from training.results import RunResult

NOT_RUN = "not run"
NOT_MEASURED = "not measured"

Measured = Literal["val", "test"]

FIRM = "\u00a0"  # a space at which no line breaks


def lookup(measures: Any, keys: Sequence[str]) -> Any:
    """What lies at `keys` in nested measures, None if there is nothing."""
    for key in keys:
        if not isinstance(measures, dict) or key not in measures:
            return None
        measures = measures[key]
    return measures


def number(measures: Any, *keys: str) -> float | None:
    """The finite number at `keys` in nested measures, None if there is none."""
    found = lookup(measures, keys)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def bounds(measures: Any, *keys: str) -> tuple[float, float] | None:
    """The interval at `keys` in nested measures, None if there is none."""
    found = lookup(measures, keys)
    if not isinstance(found, list) or len(found) != 2:
        return None
    low, high = (number({"end": end}, "end") for end in found)
    return None if low is None or high is None else (low, high)


def measured(run: RunResult, split: Measured) -> dict[str, Any]:
    """What the run measured on a split."""
    return run.val if split == "val" else run.test


def by_seed(group: Group, split: Measured, *keys: str) -> dict[int, float]:
    """The number at `keys` of each run that has it, by seed."""
    found = {run.seed: number(measured(run, split), *keys) for run in group.runs}
    return {seed: value for seed, value in found.items() if value is not None}


def cell(group: Group | None, split: Measured, *keys: str, interval: str | None = None) -> str:
    """The measure at `keys` of a group, in words.

    One run: the value and its interval, kept beside it as `<last key>_interval` or under the key `interval`.
    Several: mean ± standard deviation over the seeds, their number, and the mean of their intervals.
    """
    if group is None:
        return NOT_RUN
    values = spread(list(by_seed(group, split, *keys).values()))
    where = (*keys[:-1], interval or f"{keys[-1]}_interval")
    ends = [found for run in group.runs if (found := bounds(measured(run, split), *where))]
    return f"{values} {between(*map(fmean, zip(*ends, strict=True)))}" if ends else values


def spread(values: Sequence[float], *, signed: bool = False) -> str:
    """Mean ± standard deviation of several seeds' values, and their number."""
    if not values:
        return NOT_MEASURED
    mean = signed_share(fmean(values)) if signed else share(fmean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ±{FIRM}{share(stdev(values))}{FIRM}(n={len(values)})"


def difference(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Mean difference over the seeds that both have."""
    common = sorted(ours.keys() & theirs.keys())
    return spread([ours[seed] - theirs[seed] for seed in common], signed=True)


def share(value: float) -> str:
    """Three decimals."""
    return f"{_rounded(value):.3f}".replace("-", "−")


def signed_share(value: float) -> str:
    """Three decimals, with its sign."""
    return f"{_rounded(value):+.3f}".replace("-", "−")


def between(low: float, high: float) -> str:
    """An interval."""
    return f"[{share(low)},{FIRM}{share(high)}]"


def _rounded(value: float) -> float:
    return round(value, 3) + 0.0  # no minus sign before a zero
