"""What was tried for the pretrained bundle, and what choosing among it is worth where the source was never seen.

    python benchmarks/pretraining_choices.py DATA WORK --json choices.json

A line a candidate: the shipped recipe with one thing changed, scored on every source left out of fitting and
calibration, mean over sources (training/measures/sources.py says what the numbers are). To pick the best line
and report its mean would be to choose on the very sources that are reported. So each source is also left out of the
choice: of the same candidates the one is taken that is best on the other sources, with heads that saw neither the
source nor, in turn, another one. Its score on the source enters `chosen without the source`, which is what to
expect of a source that was never looked at.

Two sources are left out at once, so there must be three with an open licence to fit on. Features are computed once,
into WORK; that is the long part. No candidate may change what they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from model.atomic import atomic_file
from model.errors import ThudError, TrainingError
from model.progress import progress
from model.threads import available_cpus
from training.measures.scoreboard import TOLD_PICTURES, TOLD_SOUNDS, parts
from training.measures.sources import Least, mean
from training.pretraining.held_out import HeldOut, hold_out, hold_out_pictures, hold_out_sounds
from training.pretraining.material_files import read_material_files
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import gather
from training.pretraining.score import score_left_out

SHIPPED = "shipped"
PICTURES: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    "decay 0.003": {"picture_decay": 0.003},
    "decay 0.03": {"picture_decay": 0.03},
    "knowledge 2": {"knowledge": 2.0},
    "knowledge 4": {"knowledge": 4.0},
    "no knowledge": {"knowledge": 0.0},
    "a bias of its own for each material": {"bias_decay": 0.1},
}
SOUNDS: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    "shrinkage 0.3": {"sound_shrinkage": 0.3},
    "shrinkage 0.85": {"sound_shrinkage": 0.85},
    "every recording counts the same": {"source_power": 1.0},
    "every source counts the same": {"source_power": 0.0},
    "no synthetic sounds": {"few_recordings": 0},
    "synthetic sounds for all": {"few_recordings": 10_000},
}

_LEAST_SOURCES = 3

Numbers = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Choice:
    """What is chosen for one tower: `part` of the scoreboard, `number` of it that decides, columns to show."""

    part: str
    number: str
    columns: tuple[str, ...]
    candidates: Mapping[str, Mapping[str, Any]]


CHOICES = {
    "pictures": Choice(TOLD_PICTURES, "top-1 macro", ("top-1 macro", "top-3 macro", "mAP", "ECE"), PICTURES),
    "sounds": Choice(TOLD_SOUNDS, "top-1 macro", ("top-1 macro", "top-3 macro", "ECE"), SOUNDS),
}


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
@click.option("--only", type=click.Choice(list(CHOICES)), help="one tower alone")
@click.option(
    "--least",
    nargs=2,
    type=click.IntRange(1),
    default=(Least.pictures, Least.sounds),
    show_default=True,
    help="fewest pictures and fewest sounds of a material for it to count in a source's macro means",
)
@click.option("--threads", type=click.IntRange(1), help="[default: the CPUs available]")
def main(
    data: Path, work: Path, out: Path | None, only: str | None, least: tuple[int, int], threads: int | None
) -> None:
    """Score all candidates on DATA, choose among them without each source, and print tables as Markdown."""
    torch.set_num_threads(threads or available_cpus())
    found = {}
    try:
        for name, choice in CHOICES.items():
            if only in (None, name):
                found[name] = weigh(choice, name, data, work, Least(*least))
                click.echo(table(name, choice, found[name]))
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        with atomic_file(out) as aside:
            aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def weigh(choice: Choice, tower: str, data: Path, work: Path, least: Least) -> dict[str, Any]:
    """Each candidate's numbers on each source, and the same for what is chosen without that source."""
    check_sources(data, tower)
    recipes = {name: PretrainingRecipe(**changes) for name, changes in choice.candidates.items()}
    base = gather(data, work, recipes[SHIPPED])
    # What the tower that is not chosen for embeds stays the same: its probabilities are another head's.
    other = hold_out(base, recipes[SHIPPED])
    sources = sorted({*base.pictures.source.tolist()} if tower == "pictures" else {*base.sounds.source.tolist()})

    def score(name: str, without: str | None) -> Numbers:
        """The numbers of a candidate on each source but `without`, as if that one had never been there."""
        one, recipe = base if without is None else base.without(without), recipes[name]
        seen, heard = (torch.from_numpy(files.source != without) for files in (base.pictures, base.sounds))
        if tower == "pictures":
            pictures, nothing = hold_out_pictures(one, recipe)
            held_out = HeldOut(pictures, other.sounds[heard], nothing)
        else:
            held_out = HeldOut(other.pictures[seen], hold_out_sounds(one, recipe), other.nothing)
        bar.update()
        found = parts(score_left_out(one, held_out, recipe, least))[choice.part]
        return {
            source: {number: value for number, value in scored.numbers.items() if not np.isnan(value)}
            for source, scored in found.items()
        }

    with progress(tower, len(recipes) * (len(sources) + 1), "candidate") as bar:
        whole = {name: score(name, None) for name in recipes}
        chosen = {}
        for source in sources:
            without = {name: average(score(name, source))[choice.number] for name in recipes}
            chosen[source] = max(without, key=without.__getitem__)
    return {
        "candidates": {name: dict(changes) for name, changes in choice.candidates.items()},
        "scores": whole,
        "chosen": chosen,
        "chosen_scores": {source: whole[name][source] for source, name in chosen.items() if source in whole[name]},
    }


def check_sources(data: Path, tower: str) -> None:
    """Raise TrainingError, from the manifest alone, where nothing is left to fit on with two sources left out."""
    files = read_material_files(data, "image" if tower == "pictures" else "sound")
    fitted_on = sorted({*files.source[files.open_licence].tolist()})
    if len(fitted_on) < _LEAST_SOURCES:
        raise TrainingError(
            f"{data} has {tower} with an open licence of {len(fitted_on)} sources; a choice wants {_LEAST_SOURCES}"
        )


def average(numbers: Numbers) -> dict[str, float]:
    """The mean of each number over the sources that have it."""
    names = dict.fromkeys(name for one in numbers.values() for name in one)
    return {name: mean([one.get(name, np.nan) for one in numbers.values()]) for name in names}


def table(tower: str, choice: Choice, found: Mapping[str, Any]) -> str:
    """A line a candidate, and one for what is chosen without each source."""
    lines = [
        f"## {tower}",
        "",
        f"| candidate | {' | '.join(choice.columns)} |",
        "|---|" + "---:|" * len(choice.columns),
    ]
    rows = {**found["scores"], "**chosen without the source**": found["chosen_scores"]}
    for name, numbers in rows.items():
        means = average(numbers)
        lines.append(f"| {name} | {' | '.join(f'{means[column]:.3f}' for column in choice.columns)} |")
    picks = ", ".join(f"{source}: {name}" for source, name in found["chosen"].items())
    return "\n".join([*lines, "", f"Chosen without each source: {picks}.", ""])


if __name__ == "__main__":
    main()
