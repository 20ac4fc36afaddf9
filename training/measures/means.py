"""Means over sources, or over groups of sources, of what was measured on each, and intervals of these means."""

from collections.abc import Sequence

import numpy as np

from training.measures.bootstrap import Resamples, interval
from training.measures.sources import Floats, Scored


def mean_over(sources: Sequence[Scored]) -> dict[str, float]:
    """Each number's mean over the sources that have it, by their weights."""
    names = dict.fromkeys(name for one in sources for name in one.numbers)
    weights = np.array([one.weight for one in sources])
    return {
        name: float(_weighted(np.array([[one.numbers.get(name, np.nan) for one in sources]]), weights)[0])
        for name in names
    }


def interval_over(
    sources: Sequence[Scored], name: str, seed: int = 0, times: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals (low, high) of `mean_over`'s `name` and `name macro`, by name.

    The files of each source are resampled, never the sources: the intervals say what other files of the same
    sources might have given, not what another source would. A material that a resample lacks is left out of its
    macro mean. A number that no source has gets no interval.
    """
    drawn: dict[str, list[tuple[Floats, float]]] = {name: [], f"{name} macro": []}
    for place, one in enumerate(sources):
        if name not in one.each or not len(one.material):
            continue
        resamples = Resamples(np.arange(len(one.material)), seed + place, times)
        micro = resamples.sums(one.each[name][:, None])[:, 0] / len(one.material)
        drawn[name].append((micro, one.weight))
        if len(one.counted):
            held = one.material[:, None] == one.counted
            drawn[f"{name} macro"].append((resamples.macro_means(one.each[name], held), one.weight))
    return {
        key: interval(
            _weighted(np.stack([value for value, _ in values], axis=1), np.array([weight for _, weight in values]))
        )
        for key, values in drawn.items()
        if values
    }


def _weighted(values: Floats, weights: Floats) -> Floats:
    """The mean of each row of `values [R, C]` by `weights [C]`, over what is not NaN: `[R]`."""
    known = ~np.isnan(values) * weights
    total = known.sum(axis=1)
    sums = (np.where(known > 0, values, 0) * known).sum(axis=1)
    means: Floats = np.divide(sums, total, out=np.full(len(values), np.nan), where=total > 0)
    return means
