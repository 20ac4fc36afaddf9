"""Our recipe against the paper's, on the same data, split and seeds."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from model.materials import MATERIALS
from training.measures.bootstrap import Resamples, interval
from training.reproduction.report.groups import (
    FIRM,
    NOT_RUN,
    Group,
    between,
    by_seed,
    cell,
    difference,
    flat,
    lookup,
    of_paper,
    share,
)
from training.reproduction.report.page import code, rests_on, table
from training.reproduction.report.recommended import TRUTHS

_MEASURES = {"P@10": ("p_at", "10", "macro"), "nDCG@10": ("ndcg_at_10", "macro"), "mAP": ("map", "macro")}
_BY_PICTURE = ("p_at_10", "ndcg_at_10", "map")


def our_recipes(groups: Sequence[Group]) -> list[Group]:
    """TT_AGG by a recipe of our own, whole."""
    return [group for group in groups if group.system == "tt_agg" and group.role == "ours"]


def against_the_paper(groups: Sequence[Group]) -> list[str]:
    """The section, as blocks of Markdown."""
    blocks = [
        "Test pictures, macro over materials. The error is 1 − P@10, the share of wrong sounds among the ten "
        "nearest; the ratio is how many times larger the paper's is. The last line has the means over the seeds, "
        "and the ratio of the mean errors. Intervals, for runs that keep what each picture gave, are 95 % "
        "bootstraps over videos, both recipes on the same resampled videos, each picture with its mean over the "
        "seeds."
    ]
    pairs = [
        (theirs, ours)
        for ours in our_recipes(groups)
        for theirs in of_paper(groups, "tt_agg")
        if ours.same_data(theirs) and set(ours.seeds) & set(theirs.seeds)
    ]
    if not pairs:
        return [*blocks, "Not run: no recipe of ours has data, split and a seed in common with the paper's TT_AGG."]
    unequal = [pair for pair in pairs if _epochs(pair[0]) != _epochs(pair[1])]
    if unequal:
        told = (f"{code(o.name)} ({_epochs(o)} epochs) and {code(t.name)} ({_epochs(t)})" for t, o in unequal)
        blocks.append(f"Not compared, because they were trained for unequal times: {'; '.join(told)}.")
    for theirs, ours in (pair for pair in pairs if pair not in unequal):
        blocks.append(f"### {code(ours.name)} against {code(theirs.name)}, {ours.kind}")
        blocks.append(
            f"{code(ours.name)} starts from {_weights(ours)}, {code(theirs.name)} from {_weights(theirs)}."
        )
        for truth, title in TRUTHS.items():
            blocks += [f"{title}:", *_compare(theirs, ours, truth)]
        blocks += rests_on([theirs, ours])
    return blocks


def _compare(theirs: Group, ours: Group, truth: str) -> Iterator[str]:
    columns = [
        by_seed(group, "test", "recommend", truth, *keys) for keys in _MEASURES.values() for group in (theirs, ours)
    ]
    seeds = sorted(set.intersection(*(set(column) for column in columns)))
    if not seeds:
        yield "Not measured."
        return
    lines = {str(seed): [column[seed] for column in columns] for seed in seeds}
    lines |= {"mean": [fmean(column[seed] for seed in seeds) for column in columns]} if len(seeds) > 1 else {}
    rows = []
    for name, (their_p, our_p, *rest) in lines.items():
        error, our_error = 1 - their_p, 1 - our_p
        rows.append([name, share(error), share(our_error), _ratio(error, our_error), *map(share, rest)])
    header = ["Seed", "Error, paper", "Error, ours", "Paper/ours"]
    header += [f"{name}, {who}" for name in list(_MEASURES)[1:] for who in ("paper", "ours")]
    yield table(header, rows)
    halved = sum(1 - columns[1][seed] <= (1 - columns[0][seed]) / 2 for seed in seeds)
    higher = [sum(columns[at + 1][seed] > columns[at][seed] for seed in seeds) for at in (2, 4)]
    yield (
        f"Our error is at most half the paper's at {halved} of {len(seeds)} seeds, our nDCG@10 is higher at "
        f"{higher[0]} and our mAP at {higher[1]}." + _intervals(theirs, ours, truth, seeds)
    )


def _intervals(theirs: Group, ours: Group, truth: str, seeds: Sequence[int]) -> str:
    """The intervals of the ratio and the differences, in words; nothing of runs that do not tell of pictures."""
    paper, own = (_by_picture(group, truth, seeds) for group in (theirs, ours))
    if paper is None or own is None or paper[0]["group"] != own[0]["group"]:
        return ""
    (first, their_values), (_, our_values) = paper, own
    held = np.zeros((len(first["group"]), len(MATERIALS)), bool)
    for row, materials in zip(held, first["materials"], strict=True):
        row[materials] = True
    resamples = Resamples(first["group"])
    drawn = {
        key: [resamples.macro_means(values[key], held) for values in (their_values, our_values)]
        for key in _BY_PICTURE
    }
    theirs_wrong, ours_wrong = (1 - means for means in drawn["p_at_10"])
    # The other way round, because ours may be 0 in some resamples, and a quantile of infinities is none.
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = interval(ours_wrong / theirs_wrong)
    more = [between(*interval(ours_ - theirs_)) for theirs_, ours_ in (drawn["ndcg_at_10"], drawn["map"])]
    low, high = (f"{1 / end:.2f}" if end > 0 else "unbounded" for end in (most, least))
    return (
        f" The ratio of the mean errors lies in [{low},{FIRM}{high}], our nDCG@10 minus the paper's in {more[0]}, "
        f"our mAP minus the paper's in {more[1]}."
    )


def _by_picture(group: Group, truth: str, seeds: Sequence[int]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What a seed says of the pictures, and each measure's mean over the seeds, by picture."""
    found = [lookup(run.test, ("recommend", truth, "by_picture")) for run in group.runs if run.seed in seeds]
    if not all(found) or any(key not in each for each in found for key in _BY_PICTURE):
        return None
    return found[0], {key: np.mean([each[key] for each in found], axis=0) for key in _BY_PICTURE}


def _weights(group: Group) -> str:
    """What the networks of a recipe start from."""
    kinds = [str(group.recipe.get(f"{tower}_weights", "none")) for tower in ("image", "sound")]
    named = ["random weights" if kind == "none" else "ImageNet's weights" for kind in kinds]
    return named[0] if named[0] == named[1] else f"{named[0]} for pictures and {named[1]} for sounds"


def _epochs(group: Group) -> Any:
    return group.recipe.get("epochs")


def _ratio(error: float, our_error: float) -> str:
    if our_error <= 0:
        return "both 0" if error <= 0 else "ours 0"
    return f"{error / our_error:.2f}"


_WHERE = ("recommend", "own_clips")
_MEASURES_ABLATED = {
    "P@10 macro": ("p_at", "10", "macro"),
    "P@10 micro": ("p_at", "10", "micro"),
    "nDCG@10 macro": ("ndcg_at_10", "macro"),
    "mAP macro": ("map", "macro"),
}


def ablation(groups: Sequence[Group]) -> list[str]:
    """The section, as blocks of Markdown: a table for each full recipe and way of validating."""
    blocks = [
        "Each row is our recipe with the change it names, measured on validation pictures against the training "
        "sounds, by the materials of the picture's own clips. Δ is the row minus the full recipe, over the seeds "
        "that both have. No test data are in this table."
    ]
    changed = [group for group in groups if group.system == "tt_agg" and group.role == "ablation"]
    if not changed:
        return [*blocks, "Not run."]
    together: dict[tuple[int, ...], tuple[Group | None, list[Group]]] = {}
    for group in changed:
        full = _full_recipe(group, our_recipes(groups))
        # Those without a full recipe to compare with share a table if they saw the same data.
        key = full.numbers if full else next(g.numbers for g in changed if g.same_data(group))
        together.setdefault(key, (full, []))[1].append(group)
    for full, rows in together.values():
        name = code(full.name) if full else f"our full recipe ({NOT_RUN})"
        blocks.append(f"### Changes to {name}, {rows[0].kind}")
        blocks.append(_table(full, rows))
        blocks += rests_on([*([full] if full else []), *rows])
    return blocks


def changes(recipe: dict[str, Any], full: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which a recipe differs from the full one, each as (full, changed); None where unset."""
    ours, theirs = flat(full), flat(recipe)
    keys = sorted((ours.keys() | theirs.keys()) - {"name"})
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def _full_recipe(group: Group, candidates: Sequence[Group]) -> Group | None:
    """The recipe of ours that differs in the fewest settings, of those on the same data."""
    fitting = [candidate for candidate in candidates if candidate.same_data(group)]
    return min(fitting, key=lambda full: len(changes(group.recipe, full.recipe)), default=None)


def _table(full: Group | None, rows: Sequence[Group]) -> str:
    header = ["Recipe", "Change", "Seeds"]
    for name in _MEASURES_ABLATED:
        header += [name, f"Δ {name}"]
    lines = [_row(full, full, "full recipe" if full else NOT_RUN)]
    for group in rows:
        differing = changes(group.recipe, full.recipe) if full else {}
        told = ", ".join(f"{code(key)} {_value(old)} → {_value(new)}" for key, (old, new) in differing.items())
        lines.append(_row(group, full, told or ("none" if full else "no full recipe to compare with")))
    return table(header, lines, words=3)


def _row(group: Group | None, full: Group | None, change: str) -> list[str]:
    if group is None:
        return [NOT_RUN, change, NOT_RUN, *[NOT_RUN] * (2 * len(_MEASURES_ABLATED))]
    line = [code(group.name), change, ", ".join(map(str, group.seeds))]
    for keys in _MEASURES_ABLATED.values():
        line.append(cell(group, "val", *_WHERE, *keys))
        if full is None:
            line.append(NOT_RUN)
        elif full is group:
            line.append("")
        else:
            line.append(difference(by_seed(group, "val", *_WHERE, *keys), by_seed(full, "val", *_WHERE, *keys)))
    return line


def _value(value: Any) -> str:
    return "unset" if value is None else code(value)
