"""Recipes beside the one that ships: a line for each, and the interval of the difference in top-1 macro."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file
from model.materials import MATERIALS
from training.pretraining.left_out_groups import LEAST_FILES, Ids, Names, group_weight, rare_materials

NEW = "shipped"
RESAMPLES = 2000

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """A recipe's means over groups, and the difference of the shipped recipe's top-1 macro to it, with interval."""

    name: str
    top1_macro: float
    top3_macro: float
    top1: float
    by_group: Mapping[str, float]
    shipped_minus_this: float
    interval: tuple[float, float]

    @property
    def better(self) -> str:
        """By how much the shipped recipe is better, for a table; nothing for itself."""
        low, high = self.interval
        return "" if self.name == NEW else f"{self.shipped_minus_this:+.3f} [{low:+.3f}, {high:+.3f}]"


def write_lines(file: Path, lines: Sequence[Line]) -> None:
    """Write the lines as JSON, whole or not at all."""
    with atomic_file(file) as aside:
        aside.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")


def paired_interval(
    new: Right, other: Right, material: Ids, source: Names, group: Names, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of the top-1 macro of `new [N]` less that of `other [N]`: which files each gets right.

    A bootstrap in two stages: groups are drawn, and within each its sources, 2,000 times (Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 3.8). With five groups it is wide. NaN where no material
    counts.
    """
    # Per source and material: how many files, and how many each recipe gets right.
    counts = {
        one: np.stack(
            [
                np.bincount(material[rows], weights, len(MATERIALS))
                for weights in (np.ones(rows.sum()), new[rows] * 1.0, other[rows] * 1.0)
            ]
        )
        for one in set(source.tolist())
        for rows in (source == one,)
    }
    groups = sorted(set(group.tolist()))
    sources = {one: sorted(set(source[group == one].tolist())) for one in groups}
    kept = np.ones(len(MATERIALS), np.bool_)
    kept[rare_materials(material, group)] = False
    random, found = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        total = weights = 0.0
        for one in random.choice(groups, len(groups)):
            drawn = random.choice(sources[one], len(sources[one]))
            number, right, others = np.sum([counts[name] for name in drawn], axis=0)
            enough = kept & (number >= LEAST_FILES)
            if enough.any():
                total += group_weight(one) * float(((right - others)[enough] / number[enough]).mean())
                weights += group_weight(one)
        if weights:
            found.append(total / weights)
    if not found:
        return np.nan, np.nan
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
