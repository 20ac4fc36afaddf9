"""The measures of a group of runs, in words: of one run with its interval, of several seeds as mean ± deviation."""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, stdev
from typing import Literal

from training.measures.records import Measured, RetrievalMeasures, SplitMeasures, Truth, Way
from training.reproduction.report.groups import NOT_RUN, Group

NOT_MEASURED = "not measured"
FIRM = "\u00a0"  # a space at which no line breaks

Split = Literal["val", "test"]
SPLITS: tuple[Split, ...] = ("val", "test")
Read = Callable[[SplitMeasures], Measured | None]
"""Reads one measure of what a split gave; None where it is not there."""


def rate(name: str) -> Read:
    """Reads accuracy or the like by its name."""
    return lambda measures: measures.rates.get(name)


def precision_at(truth: Truth, k: str, way: Way) -> Read:
    """Reads P@K of the sounds recommended, judged by `truth`."""
    return retrieved(truth, lambda found: found.p_at[k].by(way) if k in found.p_at else None)


def coverage_at(truth: Truth, k: str, way: Way) -> Read:
    """Reads the share of the picture's materials among the K nearest."""
    return retrieved(truth, lambda found: found.coverage_at[k].by(way) if k in found.coverage_at else None)


def ndcg(truth: Truth, way: Way) -> Read:
    """Reads nDCG@10."""
    return retrieved(truth, lambda found: found.ndcg_at_10.by(way))


def mean_average_precision(truth: Truth, way: Way) -> Read:
    """Reads mAP."""
    return retrieved(truth, lambda found: found.map.by(way))


def retrieved(truth: Truth, read: Callable[[RetrievalMeasures], Measured | None]) -> Read:
    """Reads another measure of the sounds recommended, judged by `truth`."""

    def found(measures: SplitMeasures) -> Measured | None:
        return None if measures.recommended is None else read(measures.recommended.by(truth))

    return found


def hubness_skew(measures: SplitMeasures) -> Measured | None:
    """Reads the hubness skew of the sounds recommended; it is a `Read` itself."""
    return None if measures.recommended is None else Measured(measures.recommended.hubness_skew)


def by_seed(group: Group, split: Split, read: Read) -> dict[int, Measured]:
    """The measure of each run that has a finite one, by seed."""
    found = {run.seed: read(run.val if split == "val" else run.test) for run in group.runs}
    return {seed: one for seed, one in found.items() if one is not None and math.isfinite(one.value)}


def values(found: dict[int, Measured]) -> dict[int, float]:
    """The measures without their intervals."""
    return {seed: one.value for seed, one in found.items()}


def cell(group: Group | None, split: Split, read: Read) -> str:
    """A measure of a group in words.

    One run: the value and its interval. Several: mean ± standard deviation over the seeds, their number, and the
    mean of their intervals.
    """
    if group is None:
        return NOT_RUN
    found = by_seed(group, split, read)
    ends = [one.interval for one in found.values() if one.interval is not None]
    words = spread(values(found).values())
    return f"{words} {between(*map(fmean, zip(*ends, strict=True)))}" if ends else words


def spread(found: Iterable[float], *, signed: bool = False) -> str:
    """Mean ± standard deviation of several seeds' values, and their number."""
    each = list(found)
    if not each:
        return NOT_MEASURED
    mean = signed_share(fmean(each)) if signed else share(fmean(each))
    return mean if len(each) == 1 else f"{mean} ±{FIRM}{share(stdev(each))}{FIRM}(n={len(each)})"


def difference(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Mean difference over the seeds that both have."""
    common = sorted(ours.keys() & theirs.keys())
    return spread([ours[seed] - theirs[seed] for seed in common], signed=True)


def span(found: Sequence[float]) -> str:
    """From the least to the most."""
    if not found:
        return NOT_MEASURED
    low, high = share(min(found)), share(max(found))
    return low if low == high else f"{low} to {high}"


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
