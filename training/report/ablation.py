"""What each part of our recipe brings: the recipe with one change, on validation data."""

from collections.abc import Sequence
from typing import Any

from training.report.cells import NOT_RUN, by_seed, cell, difference
from training.report.compared import our_recipes
from training.report.groups import Group, flat
from training.report.markdown import code, rests_on, table

_WHERE = ("recommend", "own_clips")
_MEASURES = {
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
    for name in _MEASURES:
        header += [name, f"Δ {name}"]
    lines = [_row(full, full, "full recipe" if full else NOT_RUN)]
    for group in rows:
        differing = changes(group.recipe, full.recipe) if full else {}
        told = ", ".join(f"{code(key)} {_value(old)} → {_value(new)}" for key, (old, new) in differing.items())
        lines.append(_row(group, full, told or ("none" if full else "no full recipe to compare with")))
    return table(header, lines, words=3)


def _row(group: Group | None, full: Group | None, change: str) -> list[str]:
    if group is None:
        return [NOT_RUN, change, NOT_RUN, *[NOT_RUN] * (2 * len(_MEASURES))]
    line = [code(group.name), change, ", ".join(map(str, group.seeds))]
    for keys in _MEASURES.values():
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
