"""Recipes for sounds beside each other, on groups of sources that were left out of fitting.

    python -m benchmarks.quality.sound_recipes DATA WORK [--json FILE]

DATA and WORK are those of `thud pretrain`. Each recipe is fitted and calibrated without each group of recordings
in turn. All are asked with the same pictures, which the shipped recipe embeds by heads without their group; the
library is all recordings, without labels. Numbers are means over groups, by their weights; intervals of differences
in top-1 macro: `benchmarks.quality.paired`. Another seed: other variants of the recordings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.quality.paired import NEW, Line, paired_interval, write_lines
from training.measures.means import mean_over
from training.measures.scoreboard import CHANCE, RECOMMENDED, TOLD_SOUNDS, parts
from training.measures.sources import FoldScores
from training.pretraining.held_out import HeldOut, hold_out_pictures, hold_out_sounds
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather
from training.pretraining.score import score_left_out

SECOND = "the recipe before"
BEFORE = {"teacher": 0.0, "penalty": 0.0, "sound_shrinkage": 0.6, "variants": 3}


@dataclass(frozen=True)
class SoundLine(Line):
    """Also how many of the first ten sounds for a picture fit, and how many times as many as by chance."""

    p_at_10: float
    over_chance: float


def variants() -> dict[str, PretrainingRecipe]:
    """Recipes by name, the shipped one first."""
    shipped = PretrainingRecipe()
    changes: dict[str, dict[str, Any]] = {
        NEW: {},
        "shipped, another seed": {"seed": 1},
        "shipped, a third seed": {"seed": 2},
        SECOND: BEFORE,
        f"{SECOND}, another seed": {**BEFORE, "seed": 1},
        f"{SECOND}, a third seed": {**BEFORE, "seed": 2},
        "one head": {"penalty": 0.0},
        "one head, another seed": {"penalty": 0.0, "seed": 1},
        "one head, a third seed": {"penalty": 0.0, "seed": 2},
        "penalty 0.5": {"penalty": 0.5},
        "penalty 2": {"penalty": 2.0},
        "no teacher": {"teacher": 0.0},
        "no teacher, one head": {"teacher": 0.0, "penalty": 0.0},
        "teacher 0.2": {"teacher": 0.2},
        "teacher 0.8": {"teacher": 0.8},
        "teacher decay 0.3": {"teacher_decay": 0.3},
        "teacher decay 3": {"teacher_decay": 3.0},
        "source power 0.25": {"source_power": 0.25},
        "source power 0.5": {"source_power": 0.5},
        "three variants": {"variants": 3},
        "every recording of a material the same weight": {"source_power": 1.0},
        "no variants": {"variants": 0},
        "shrinkage 0.3": {"sound_shrinkage": 0.3},
        "shrinkage 0.6": {"sound_shrinkage": 0.6},
        "shrinkage 0.8": {"sound_shrinkage": 0.8},
        "what is dropped into bins fitted on as well": {"sounds_not_fitted": ()},
    }
    return {name: shipped.model_copy(update=change) for name, change in changes.items()}


def measure(data: Path, work: Path) -> list[SoundLine]:
    """A line for each recipe."""
    found = gather(data, work, PretrainingRecipe())
    pictures, nothing = hold_out_pictures(found, PretrainingRecipe())
    scored: dict[str, dict[str, FoldScores]] = {}
    for name, recipe in variants().items():
        its = gather(data, work, recipe)
        held_out = HeldOut(pictures, hold_out_sounds(its, recipe), nothing)
        scored[name] = dict(score_left_out(its, held_out, recipe))
        click.echo(f"measured: {name}", err=True)
    return lines(found, scored)


def lines(data: PretrainingData, scored: dict[str, dict[str, FoldScores]]) -> list[SoundLine]:
    """A line for each recipe, from the scores of the groups by recipe; NEW is one of them."""
    return [_line(data, name, scored[name], scored[NEW]) for name in scored]


def _line(data: PretrainingData, name: str, its: dict[str, FoldScores], new: dict[str, FoldScores]) -> SoundLine:
    of_parts = parts(its)
    told, ours = mean_over(list(of_parts[TOLD_SOUNDS].values())), mean_over(list(parts(new)[TOLD_SOUNDS].values()))
    near, chance = (mean_over(list(of_parts[part].values()))["P@10"] for part in (RECOMMENDED, CHANCE))
    low, high = (0.0, 0.0)
    if name != NEW:
        files = data.sounds
        low, high = paired_interval(_right(data, new), _right(data, its), files.material, files.source, files.group)
    macro = {group: round(one.numbers["top-1 macro"], 4) for group, one in of_parts[TOLD_SOUNDS].items()}
    return SoundLine(
        name,
        round(told["top-1 macro"], 4),
        round(told["top-3 macro"], 4),
        round(told["top-1"], 4),
        {group: value for group, value in macro.items() if not np.isnan(value)},
        round(ours["top-1 macro"] - told["top-1 macro"], 4),
        (round(low, 4), round(high, 4)),
        round(near, 4),
        round(near / chance, 2),
    )


def _right(data: PretrainingData, scores: dict[str, FoldScores]) -> npt.NDArray[np.bool_]:
    """Which recordings `[M]` are told, in the order of the data."""
    right = np.zeros(len(data.sounds), np.bool_)
    for group, one in parts(scores)[TOLD_SOUNDS].items():
        right[data.sounds.group == group] = one.each["top-1"] > 0
    return right


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write the numbers here, too")
def main(data: Path, work: Path, file: Path | None) -> None:
    """Print the table."""
    found = measure(data, work)
    print("| recipe | top-1 macro | top-3 macro | top-1 | P@10 | over chance | shipped is better by |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for line in found:
        numbers = f"{line.top1_macro:.3f} | {line.top3_macro:.3f} | {line.top1:.3f} | {line.p_at_10:.3f}"
        print(f"| {line.name} | {numbers} | {line.over_chance:.2f} | {line.better} |")
    if file is not None:
        write_lines(file, found)


if __name__ == "__main__":
    main()
