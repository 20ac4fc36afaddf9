"""Means, means over classes, and their 95 % bootstrap intervals over groups.

The pictures and sounds of one video are alike, so the groups (videos) are resampled and not the entries: a cluster
bootstrap with percentile intervals (Davison & Hinkley, Bootstrap Methods and their Application, 1997).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import TrainingError

Floats = npt.NDArray[np.float64]

QUANTILES = (0.025, 0.975)
PART = 2**20  # numbers held at a time by what needs a weight for every entry


class Resamples:
    """`times` draws of as many groups as there are, with replacement; the same seed gives the same draws.

    `groups [N]`, strings or integers, names the group of each entry; the entries' order does not matter. With a
    single group every interval is the value itself. Raises TrainingError if there is no entry.
    """

    def __init__(self, groups: npt.ArrayLike, seed: int = 0, times: int = 1000) -> None:
        names, self._group = np.unique(np.asarray(groups), return_inverse=True)
        if not len(names):
            raise TrainingError("there is nothing to measure: no entry to resample")
        random = np.random.default_rng(seed)
        self._drawn = np.empty((times, len(names)))
        for row in self._drawn:
            row[:] = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))

    def sums(self, values: npt.NDArray[Any]) -> Floats:
        """Sum of `values [N, C]` in each resample, `[times, C]`; an entry drawn twice counts twice."""
        columns = [np.bincount(self._group, column, self._drawn.shape[1]) for column in values.T]
        sums: Floats = self._drawn @ np.stack(columns, axis=1)
        return sums

    def weights(self) -> Iterator[Floats]:
        """How often each entry is drawn, `[n, N]` for a few resamples at a time, all `times` of them in the end."""
        step = max(1, PART // len(self._group))
        for start in range(0, len(self._drawn), step):
            yield self._drawn[start : start + step, self._group]

    def mean_bounds(self, values: npt.NDArray[Any]) -> Floats:
        """Low and high end of the intervals of the means of `values [N, C]`: `[2, C]`."""
        return bounds(self.sums(values) / self.sums(np.ones((len(values), 1))))

    def mean_interval(self, values: npt.NDArray[Any]) -> tuple[float, float]:
        """The interval (low, high) of the mean of `values [N]`.

        A value that is NaN is none: the mean is over the others, and a resample without one is left out.
        """
        there = ~np.isnan(values)
        return interval(_ratio(self.sums(np.where(there, values, 0)[:, None]), self.sums(there[:, None]))[:, 0])

    def macro_interval(self, values: npt.NDArray[Any], held: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """The interval (low, high) of `macro_mean(values, held)`; a resample without any class is left out."""
        return interval(self.macro_means(values, held))

    def macro_means(self, values: npt.NDArray[Any], held: npt.NDArray[np.bool_]) -> Floats:
        """`macro_mean(values, held)` of each resample, `[times]`.

        A class that does not occur in a resample is left out of that resample's mean; without any it is NaN.
        """
        return mean_of_known(_ratio(self.sums(values[:, None] * held), self.sums(held)))


def class_means(values: npt.NDArray[Any], held: npt.NDArray[np.bool_]) -> Floats:
    """Mean of `values [N]` over the entries that hold each class, `held [N, C]`: `[C]`, NaN where none holds it."""
    return _ratio((values[:, None] * held).sum(axis=0), held.sum(axis=0))


def macro_mean(values: npt.NDArray[Any], held: npt.NDArray[np.bool_]) -> float:
    """Mean, over the classes that occur, of the means of `values [N]` over the entries that hold the class."""
    return float(np.nanmean(class_means(values, held)))


def mean_of_known(values: Floats) -> Floats:
    """Mean of each row of `values [R, C]` over what is not NaN: `[R]`, NaN where the whole row is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=1), known.sum(axis=1))


def bounds(drawn: Floats) -> Floats:
    """Low and high ends of the 95 % intervals of resampled values `[times, C]`, NaN left out: `[2, C]`."""
    ends: Floats = np.nanquantile(drawn, QUANTILES, axis=0)
    return ends


def interval(drawn: Floats) -> tuple[float, float]:
    """The interval (low, high) of one resampled value `[times]`, NaN left out."""
    low, high = bounds(drawn)
    return float(low), float(high)


def _ratio(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Floats:
    ratio: Floats = np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
    return ratio
