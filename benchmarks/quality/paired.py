"""The interval of the difference of two recipes' top-1 macro on the same files of groups that were left out."""

import numpy as np
import numpy.typing as npt

from model.materials import MATERIALS
from training.pretraining.left_out_groups import LEAST_FILES, Ids, Names, group_weight, rare_materials

RESAMPLES = 2000

Right = npt.NDArray[np.bool_]


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
