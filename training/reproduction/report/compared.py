"""Our recipe against the paper's on the same data, split and seeds, and against itself with one change."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from model.materials import MATERIALS
from training.measures.bootstrap import Floats, Resamples, interval
from training.measures.records import PictureMeasures, Truth
from training.reproduction.report.cells import (
    FIRM,
    between,
    by_seed,
    cell,
    difference,
    mean_average_precision,
    ndcg,
    precision_at,
    share,
    values,
)
from training.reproduction.report.groups import NOT_RUN, Group, flat, of_paper
from training.reproduction.report.page import code, table
from training.reproduction.report.tables import TITLES, Shown

_ABLATED = {
    "P@10 macro": precision_at("own_clips", "10", "macro"),
    "P@10 micro": precision_at("own_clips", "10", "micro"),
    "nDCG@10 macro": ndcg("own_clips", "macro"),
    "mAP macro": mean_average_precision("own_clips", "macro"),
}


@dataclass(frozen=True)
class Apart:
    """How far two recipes lie apart, as intervals in words: of the ratio of errors and of the differences."""

    ratio: str
    ndcg: str
    map: str


@dataclass(frozen=True)
class Verdict:
    """Two recipes compared by one truth, over the `seeds` that both have; nothing but that where there are none."""

    truth: Truth
    seeds: Sequence[int]
    table: str = ""
    halved: int = 0
    higher_ndcg: int = 0
    higher_map: int = 0
    apart: Apart | None = None


@dataclass(frozen=True)
class Pair:
    """A recipe of ours beside one of the paper's; `verdicts` has one for each truth."""

    theirs: Group
    ours: Group
    verdicts: Sequence[Verdict] = ()


@dataclass(frozen=True)
class Compared:
    """All such pairs, and those that were trained for unequal times, which are not compared."""

    pairs: Sequence[Pair]
    unequal: Sequence[Pair]


@dataclass(frozen=True)
class Ablation(Shown):
    """The changes to one full recipe, None where that was not run on the same data."""

    full: Group | None
    kind: str


def against_the_paper(groups: Sequence[Group]) -> Compared:
    """Each recipe of ours for TT_AGG beside each of the paper's with the same data and a seed in common."""
    pairs = [
        Pair(theirs, ours)
        for ours in _our_recipes(groups)
        for theirs in of_paper(groups, "tt_agg")
        if ours.same_data(theirs) and set(ours.seeds) & set(theirs.seeds)
    ]
    unequal = [pair for pair in pairs if pair.theirs.recipe.get("epochs") != pair.ours.recipe.get("epochs")]
    compared = [
        Pair(pair.theirs, pair.ours, [_verdict(pair.theirs, pair.ours, truth) for truth in TITLES])
        for pair in pairs
        if pair not in unequal
    ]
    return Compared(compared, unequal)


def _our_recipes(groups: Sequence[Group]) -> list[Group]:
    """TT_AGG by a recipe of our own, whole."""
    return [group for group in groups if group.system == "tt_agg" and group.role == "ours"]


def _verdict(theirs: Group, ours: Group, truth: Truth) -> Verdict:
    reads = (
        precision_at(truth, "10", "macro"),
        ndcg(truth, "macro"),
        mean_average_precision(truth, "macro"),
    )
    columns = [values(by_seed(group, "test", read)) for read in reads for group in (theirs, ours)]
    seeds = sorted(set.intersection(*(set(column) for column in columns)))
    if not seeds:
        return Verdict(truth, seeds)
    lines = {str(seed): [column[seed] for column in columns] for seed in seeds}
    lines |= {"mean": [fmean(column[seed] for seed in seeds) for column in columns]} if len(seeds) > 1 else {}
    rows = []
    for name, (their_p, our_p, *rest) in lines.items():
        error, our_error = 1 - their_p, 1 - our_p
        rows.append([name, share(error), share(our_error), _ratio(error, our_error), *map(share, rest)])
    header = ["Seed", "Error, paper", "Error, ours", "Paper/ours"]
    header += [f"{name}, {who}" for name in ("nDCG@10", "mAP") for who in ("paper", "ours")]
    their_p10, our_p10, their_ndcg, our_ndcg, their_map, our_map = columns
    return Verdict(
        truth,
        seeds,
        table(header, rows),
        halved=sum(1 - our_p10[seed] <= (1 - their_p10[seed]) / 2 for seed in seeds),
        higher_ndcg=sum(our_ndcg[seed] > their_ndcg[seed] for seed in seeds),
        higher_map=sum(our_map[seed] > their_map[seed] for seed in seeds),
        apart=_how_far_apart(theirs, ours, truth, seeds),
    )


def _how_far_apart(theirs: Group, ours: Group, truth: Truth, seeds: Sequence[int]) -> Apart | None:
    """The intervals over videos, both recipes on the same resampled ones; None where the runs do not allow it."""
    paper, own = (_by_picture(group, truth, seeds) for group in (theirs, ours))
    if not paper or not own or paper[0].group != own[0].group:
        return None
    held = np.zeros((len(paper[0].group), len(MATERIALS)), bool)
    for row, materials in zip(held, paper[0].materials, strict=True):
        row[materials] = True
    resamples = Resamples(paper[0].group)

    def drawn(runs: Sequence[Sequence[float]]) -> Floats:
        """The macro mean of each resample, each picture with its mean over the runs."""
        return resamples.macro_means(np.mean(runs, axis=0), held)

    theirs_wrong, ours_wrong = (1 - drawn([run.p_at_10 or [] for run in runs]) for runs in (paper, own))
    # The other way round, because ours may be 0 in some resamples, and a quantile of infinities is none.
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = interval(ours_wrong / theirs_wrong)
    low, high = (f"{1 / end:.2f}" if end > 0 else "unbounded" for end in (most, least))
    gain = drawn([run.ndcg_at_10 for run in own]) - drawn([run.ndcg_at_10 for run in paper])
    precision = drawn([run.map for run in own]) - drawn([run.map for run in paper])
    return Apart(f"[{low},{FIRM}{high}]", between(*interval(gain)), between(*interval(precision)))


def _by_picture(group: Group, truth: Truth, seeds: Sequence[int]) -> list[PictureMeasures]:
    """What each of the runs gave by picture; nothing where not all of them say it."""
    found = [run.test.recommended for run in group.runs if run.seed in seeds]
    each = [one.by(truth).by_picture for one in found if one is not None]
    known = [one for one in each if one is not None and one.p_at_10 is not None]
    return known if len(known) == len(found) else []


def _ratio(error: float, our_error: float) -> str:
    if our_error <= 0:
        return "both 0" if error <= 0 else "ours 0"
    return f"{error / our_error:.2f}"


def ablation(groups: Sequence[Group]) -> list[Ablation]:
    """A table for each full recipe and way of validating: a row a change, measured on validation data."""
    changed = [group for group in groups if group.system == "tt_agg" and group.role == "ablation"]
    together: dict[tuple[int, ...], tuple[Group | None, list[Group]]] = {}
    for group in changed:
        full = _full_recipe(group, _our_recipes(groups))
        # Those without a full recipe to compare with share a table if they saw the same data.
        key = full.numbers if full else next(g.numbers for g in changed if g.same_data(group))
        together.setdefault(key, (full, []))[1].append(group)
    return [
        Ablation(_changes_table(full, rows), [*([full] if full else []), *rows], full, rows[0].kind)
        for full, rows in together.values()
    ]


def _full_recipe(group: Group, candidates: Sequence[Group]) -> Group | None:
    """The recipe of ours that differs in the fewest settings, of those on the same data."""
    fitting = [candidate for candidate in candidates if candidate.same_data(group)]
    return min(fitting, key=lambda full: len(_changes(group.recipe, full.recipe)), default=None)


def _changes(recipe: dict[str, Any], full: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which a recipe differs from the full one, each as (full, changed); None where unset."""
    ours, theirs = flat(full), flat(recipe)
    keys = sorted((ours.keys() | theirs.keys()) - {"name"})
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def _changes_table(full: Group | None, rows: Sequence[Group]) -> str:
    header = ["Recipe", "Change", "Seeds"]
    for name in _ABLATED:
        header += [name, f"Δ {name}"]
    lines = [_row(full, full, "full recipe" if full else NOT_RUN)]
    for group in rows:
        differing = _changes(group.recipe, full.recipe) if full else {}
        change = ", ".join(f"{code(key)} {_value(old)} → {_value(new)}" for key, (old, new) in differing.items())
        lines.append(_row(group, full, change or ("none" if full else "no full recipe to compare with")))
    return table(header, lines, words=3)


def _row(group: Group | None, full: Group | None, change: str) -> list[str]:
    if group is None:
        return [NOT_RUN, change, NOT_RUN, *[NOT_RUN] * (2 * len(_ABLATED))]
    line = [code(group.name), change, ", ".join(map(str, group.seeds))]
    for read in _ABLATED.values():
        line.append(cell(group, "val", read))
        if full is None:
            line.append(NOT_RUN)
        elif full is group:
            line.append("")
        else:
            line.append(difference(*(values(by_seed(one, "val", read)) for one in (group, full))))
    return line


def _value(value: Any) -> str:
    return "unset" if value is None else code(value)
