"""Test videos of recordings that training has heard of, and those of new ones, apart.

    python benchmarks/shared_recordings.py ANNOTATIONS NUMBERS

ANNOTATIONS is the folder with Greatest Hits' official `train.txt`; NUMBERS is the `numbers.json` of a report.
Several videos are cut from one recording, and the official lists put some of them into both: a *shared* test video
is of a recording that a video of `train.txt` is cut from, too. P@10 macro over materials, the mean over the seeds.
"""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from model.materials import MATERIALS
from training.data.greatest_hits import read_split, recording_of
from training.measures.bootstrap import macro_mean


@click.command()
@click.argument("annotations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("numbers", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(annotations: Path, numbers: Path) -> None:
    """Print a table for each recipe and each label of a picture."""
    heard = {recording_of(video) for video in read_split(annotations / "train.txt")}
    print("| Good is | Recipe | Seeds | Shared | P@10 macro | New | P@10 macro |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    runs = json.loads(numbers.read_text(encoding="utf-8"))
    for truth in ("own_clips", "all_events"):
        for recipe in dict.fromkeys(run["recipe"]["name"] for run in runs):
            own = [run for run in runs if run["recipe"]["name"] == recipe]
            found = [apart(run["test"]["recommend"][truth]["by_picture"], heard) for run in own]
            (shared, new), _ = found[0]
            means = np.mean([values for _, values in found], axis=0)
            print(f"| {truth} | {recipe} | {len(own)} | {shared} | {means[0]:.3f} | {new} | {means[1]:.3f} |")


def apart(by_picture: dict[str, list[Any]], heard: set[str]) -> tuple[tuple[int, int], tuple[float, float]]:
    """How many pictures are of recordings that were `heard` and how many are not, and the P@10 macro of each."""
    shared = np.array([recording_of(video) in heard for video in by_picture["group"]])
    values = np.array(by_picture["p_at_10"])
    held = np.zeros((len(values), len(MATERIALS)), bool)
    for row, materials in zip(held, by_picture["materials"], strict=True):
        row[materials] = True
    first, second = (macro_mean(values[rows], held[rows]) for rows in (shared, ~shared))
    return (int(shared.sum()), int((~shared).sum())), (first, second)


if __name__ == "__main__":
    main()
