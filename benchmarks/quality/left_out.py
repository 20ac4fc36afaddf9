"""Recipes side by side on labelled pictures and sounds from several sources, each source left out in turn.

    python -m benchmarks.quality.left_out DATASET OUT --recipe paper-tt-agg-resnet18-unpaired --recipe thud

DATASET was prepared from a manifest (thud prepare manifest FILE DATASET --before 0.5 --after 0.9 ...). For each
source that has pictures, all of it, pictures and sounds, becomes test data; each recipe is trained on the rest with
the same seed, and the pictures of that source are answered with the training sounds. Nothing is chosen on the
source left out: the last epoch counts. After an interruption the same command goes on where it was.
`macro` is over the materials of which the source has at least 10 pictures; without such a material it is missing.
"""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.machine import machine
from model.atomic import atomic_file
from training.data.dataset import SPLITS, Dataset, load_dataset
from training.loop.checkpoint import Checkpoint
from training.loop.fit import fit
from training.loop.fit_options import FitOptions, Precision
from training.measures.evaluate import evaluate
from training.measures.results import versions
from training.systems.recipe import Recipe, load_recipe

MEASURED_FILE = "left_out.json"
TRAIN, _, TEST = range(len(SPLITS))
FEWEST = 10
"""Pictures of a material that a source must have for the material to count in the source's macro mean."""


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--recipe", "recipes", multiple=True, required=True, help="a recipe by name or file, with =N: N epochs"
)
@click.option("--source", "only", multiple=True, help="only these sources; the table still shows all that are done")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
def main(
    dataset: Path, out: Path, recipes: tuple[str, ...], only: tuple[str, ...], seed: int, precision: Precision
) -> None:
    """Train and measure what is not there yet, and print the table of all there is as Markdown."""
    data = load_dataset(dataset)
    chosen = [_recipe(text) for text in recipes]
    sources = sorted(set(data.labels.picture_source.tolist()))
    if unknown := sorted(set(only) - set(sources)):
        raise click.BadParameter(f"no source {unknown[0]!r} with pictures; there are {', '.join(sources)}")
    for source in only or sources:
        if _nothing_to_hear(data, source):
            click.echo(f"without {source}: no training sound is of its materials", err=True)
            continue
        for recipe in chosen:
            run = out / source / recipe.name
            if not _is_done(run, recipe, seed, data.info.id):
                click.echo(f"without {source}: {recipe.name}, {recipe.epochs} epochs", err=True)
                _measure(data, source, recipe, run, seed, precision)
    print(f"{machine()}\n")
    print(_table(data, out, sources, [recipe.name for recipe in chosen]))


def _is_done(run: Path, recipe: Recipe, seed: int, dataset: str) -> bool:
    if not (run / MEASURED_FILE).exists():
        return False
    measured = json.loads((run / MEASURED_FILE).read_text(encoding="utf-8"))
    if (Recipe.model_validate(measured["recipe"]), measured["seed"], measured["dataset"]) != (
        recipe,
        seed,
        dataset,
    ):
        raise click.ClickException(f"{run} was measured with another recipe, seed or dataset; remove it")
    return True


def _recipe(text: str) -> Recipe:
    name, _, epochs = text.partition("=")
    recipe = load_recipe(name)
    if not epochs:
        return recipe
    if not epochs.isdigit() or int(epochs) < 1:
        raise click.BadParameter(f"{text!r}: {epochs!r} is no number of epochs")
    return recipe.model_copy(update={"epochs": int(epochs)})


def left_out(data: Dataset, source: str) -> Dataset:
    """The dataset with `source` as its test data; what was drawn as test data before is trained on."""
    labels = data.labels
    pictures = np.where(labels.picture_split == TEST, TRAIN, labels.picture_split)
    clips = np.where(labels.clip_split == TEST, TRAIN, labels.clip_split)
    changed = replace(
        labels,
        picture_split=np.where(labels.picture_source == source, TEST, pictures).astype(np.int8),
        clip_split=np.where(labels.clip_source == source, TEST, clips).astype(np.int8),
    )
    return replace(data, labels=changed)


def _nothing_to_hear(data: Dataset, source: str) -> bool:
    """Whether no material of the source's pictures is that of a training sound."""
    fold = left_out(data, source)
    materials = fold.labels.clip_material[fold.clips_of("train")]
    return not fold.labels.picture_materials[fold.pictures_of("test")][:, materials].any()


def _measure(data: Dataset, source: str, recipe: Recipe, run: Path, seed: int, precision: Precision) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fold = left_out(data, source)
    options = FitOptions(device, seed, precision=precision)
    checkpoint: Checkpoint = fit(fold, recipe, run, options, say=lambda line: click.echo(line, err=True))
    found = evaluate(checkpoint.build(), fold, device, seed=seed)["test"].recommended
    if found is None:
        raise click.ClickException(f"{source}: nothing was recommended to its pictures")
    measured = {
        "source": source,
        "recipe": recipe.model_dump(),
        "seed": seed,
        "precision": precision,
        "command": shlex.join(["python", *sys.argv]),
        "versions": versions(),
        "checkpoint": checkpoint.id,
        "dataset": data.info.id,
        "seconds": sum(record["seconds"] for record in checkpoint.history),
        "pictures": len(fold.pictures_of("test")),
        "measured": found.own_clips.model_dump(),
    }
    with atomic_file(run / MEASURED_FILE) as aside:
        aside.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _table(data: Dataset, out: Path, sources: list[str], recipes: list[str]) -> str:
    """A row a source; chance is what drawing from the training sounds at random gives."""
    heads = [f"{name} {what}" for name in recipes for what in ("P@10", "macro", "nDCG@10", "mAP")]
    lines = [
        "| source left out | pictures | chance | chance, macro | " + " | ".join(heads) + " |",
        "|---|" + "---:|" * (3 + len(heads)),
    ]
    rows: list[list[float | None]] = []
    for source in sources:
        if _nothing_to_hear(data, source):
            lines.append(f"| {source} | no training sound of its materials |" + " |" * (2 + len(heads)))
            continue
        files = [out / source / name / MEASURED_FILE for name in recipes]
        if not all(file.exists() for file in files):
            lines.append(f"| {source} | not run |" + " |" * (2 + len(heads)))
            continue
        found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        first = found[0]["measured"]
        row: list[float | None] = [first["chance"]["micro"], macro(first, "chance")]
        for one in (each["measured"] for each in found):
            row += [
                one["p_at"]["10"]["micro"],
                macro(one, "p_at_10"),
                one["ndcg_at_10"]["micro"],
                one["map"]["micro"],
            ]
        rows.append(row)
        lines.append(f"| {source} | {found[0]['pictures']} | {cells(row)} |")
    if rows:
        lines.append(f"| {means(rows)} |")
    return "\n".join(lines)


def macro(measured: dict[str, Any], what: str) -> float | None:
    """Mean over the materials of which the source has enough pictures; None without such a material."""
    enough = [entry[what] for entry in measured["by_material"].values() if entry["pictures"] >= FEWEST]
    return float(np.mean(enough)) if enough else None


def cells(row: list[float | None]) -> str:
    """A row of measures; None is a dash."""
    return " | ".join("-" if value is None else f"{value:.3f}" for value in row)


def means(rows: list[list[float | None]]) -> str:
    """The last row: the mean of each measure over the sources that have it."""
    # The second column, chance by macro, is missing where a source has no macro mean.
    known = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    fewer = "" if len(known[1]) == len(rows) else f", macro of {len(known[1])}"
    return f"mean of {len(rows)}{fewer} | | " + cells([float(np.mean(one)) if one else None for one in known])


if __name__ == "__main__":
    main()
