"""How well touching a picture tells what is there: places of pictures composed of photographs.

    python -m benchmarks.places DATA WORK [--pictures N] [--brief] [--json FILE]

DATA and WORK are those of `thud pretrain`. For each group of sources (training/pretraining/left_out_groups.toml)
the classifier of pictures is fitted without it on frozen features, and N pictures are composed of the group's
photographs. A photograph is told alone and where it is touched in its picture, in its middle and anywhere. The map
that is best on the other groups, of those that run the tower at most six times, answers for a group ("chosen
elsewhere"). Intervals are a bootstrap over composed pictures. With --brief only what is served is measured, and the
squares that its places are of.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine
from benchmarks.places.composed import compose
from benchmarks.places.maps import MAPS, SERVED
from benchmarks.places.told import Right, Teller, Told, told
from benchmarks.places.variants import MAPPED, SQUARES, VARIANTS
from model.atomic import atomic_file
from training.measures.bootstrap import Resamples
from training.pretraining.held_out import fit_whole_pictures, fitted_pictures
from training.pretraining.left_out_groups import left_out_groups
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import gather_pictures

MOST_RUNS = 6
CHOSEN = "chosen elsewhere"


@dataclass(frozen=True)
class Line:
    """A variant: top-1 of the photographs alone and of their places, over all groups, and the paired difference."""

    name: str
    runs: float
    touched: str
    places: int
    alone: float
    there: float
    difference: float
    interval: tuple[float, float]
    by_group: dict[str, float]
    by_layout: dict[str, float]


def lines(measured: dict[str, Told], runs: dict[str, float]) -> list[Line]:
    """One line for each variant, and those that were chosen on other groups."""
    found = []
    for touched in ("middle", "anywhere"):
        names = list(getattr(next(iter(measured.values())), touched))
        for name in names:
            answers = {group: getattr(one, touched)[name] for group, one in measured.items()}
            found.append(_line(name, runs[name], touched, measured, answers))
        chosen = {group: chosen_without(group, touched, measured, runs) for group in measured}
        answers = {group: getattr(one, touched)[chosen[group]] for group, one in measured.items()}
        said = ", ".join(f"{group}: {name}" for group, name in chosen.items())
        found.append(_line(f"{CHOSEN} ({said})", MOST_RUNS, touched, measured, answers))
    return found


def chosen_without(group: str, touched: str, measured: dict[str, Told], runs: dict[str, float]) -> str:
    """The map of at most six runs that is best at places in the `touched` way on the other groups.

    Maps by one run of a larger picture are not among them: the tower that ships takes one size.
    """
    others = [one for name, one in measured.items() if name != group]
    told = next(iter(measured.values())).middle
    names = [one.name for one in (SERVED, *MAPPED) if one.name in told and runs[one.name] <= MOST_RUNS]
    return max(names, key=lambda name: float(np.mean([getattr(one, touched)[name].mean() for one in others])))


def _line(name: str, runs: float, touched: str, measured: dict[str, Told], answers: dict[str, Right]) -> Line:
    alone = np.concatenate([one.whole for one in measured.values()]).astype(np.float64)
    there = np.concatenate(list(answers.values())).astype(np.float64)
    picture = np.concatenate([[f"{group} {number}" for number in one.picture] for group, one in measured.items()])
    layout = np.concatenate([one.layout for one in measured.values()])
    low, high = Resamples(picture).mean_interval(there - alone)
    return Line(
        name,
        runs,
        touched,
        len(there),
        round(float(alone.mean()), 4),
        round(float(there.mean()), 4),
        round(float((there - alone).mean()), 4),
        (round(low, 4), round(high, 4)),
        {group: round(float((answers[group] * 1.0 - one.whole).mean()), 4) for group, one in measured.items()},
        {
            str(one): round(float((there - alone)[layout == one].mean()), 4)
            for one in dict.fromkeys(layout.tolist())
        },
    )


def table(found: list[Line]) -> str:
    """The lines as Markdown."""
    rows = ["| what answers | tower runs a map | touched | places | alone | there | difference |"]
    rows.append("|---|---:|---|---:|---:|---:|---:|")
    for one in found:
        low, high = one.interval
        rows.append(
            f"| {one.name} | {one.runs:g} | {one.touched} | {one.places:,} | {one.alone:.3f} | {one.there:.3f} "
            f"| {one.difference:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    return "\n".join(rows)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--pictures", default=60, show_default=True, type=click.IntRange(1), help="composed pictures a group")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--brief", is_flag=True, help="measure what is served, and the squares that its places are of, alone")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write the numbers here, too")
def main(data: Path, work: Path, pictures: int, seed: int, brief: bool, file: Path | None) -> None:
    """Print the table."""
    recipe = PretrainingRecipe()
    found = gather_pictures(data, work, recipe)
    measured: dict[str, Told] = {}
    variants, maps = ((SQUARES,), ()) if brief else (VARIANTS, MAPS)
    for group in left_out_groups("image"):
        rows = np.flatnonzero(found.pictures.group == group.name)
        composed = compose(found.pictures, rows, pictures, seed)
        if composed:
            groups = np.concatenate([found.pictures.group, found.nothing.group])
            seen = found.by_network_without(group.name)
            fitted = fit_whole_pictures(seen, recipe, fitted_pictures(found) & (groups != group.name))
            teller = Teller(seen, fitted, recipe)
            measured[group.name] = told(seen, teller, composed, variants, maps, recipe.picture.size)
    if not measured:
        raise click.ClickException(f"{data} has no group with photographs of several materials to compose")
    runs = {one.name: one.runs for one in (SERVED, *variants, *maps)}
    result = lines(measured, runs)
    print(f"{machine()}\n\n{table(result)}")
    if file is not None:
        saved: dict[str, Any] = {
            "command": f"python -m benchmarks.places DATA WORK --pictures {pictures} --seed {seed}"
            + (" --brief" if brief else "")
            + f" --json {file}",
            "composed": {group: int(one.picture.max()) + 1 for group, one in measured.items()},
            "lines": [vars(one) for one in result],
        }
        with atomic_file(file) as aside:
            aside.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
