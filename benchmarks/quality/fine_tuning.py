"""Recipes for fine-tuning the picture network beside each other, on groups of sources that it was fitted without.

    python -m benchmarks.quality.fine_tuning DATA WORK --json FILE [--recipe RECIPE ...] [--group GROUP ...]

DATA and WORK are those of `thud pretrain`. A group is told by the frozen network and the classifier that is fitted
on its features; by the fine-tuned network and the classifier that was fitted along with it; and by the mean of the
weights of both. FILE has a line for each recipe and group as soon as it is measured; a run with the same FILE goes
on with the others.
"""

import copy
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.quality.picture_recipes import softmax
from model.atomic import atomic_file
from model.materials import MATERIALS
from model.threads import available_cpus
from training.measures.sources import score_pictures
from training.pretraining.classifier import LinearClassifier
from training.pretraining.features import PictureFeatures, features_of, read_pictures
from training.pretraining.held_out import fit_whole_pictures, fitted_pictures
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.left_out_groups import LEAST_FILES, group_weight, rare_materials
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures
from training.pretraining.tuning.fine_tune import small_pictures, tuned_without
from training.pretraining.tuning.tune import TuningRecipe

SHIPPED = "shipped"
RECIPES = {
    SHIPPED: TuningRecipe(),
    "another seed": TuningRecipe(seed=1),
    "a third seed": TuningRecipe(seed=2),
    "220 steps, rate 3e-4": TuningRecipe(steps=220, rate=3e-4),
    "rate 5e-4": TuningRecipe(rate=5e-4),
}


def halfway(one: PictureFeatures, other: PictureFeatures) -> PictureFeatures:
    """The mean of the weights of both."""
    mean = copy.deepcopy(one)
    with torch.no_grad():
        for kept, there in zip(mean.parameters(), other.parameters(), strict=True):
            kept.lerp_(there, 0.5)
    return mean


class Told:
    """The pictures of one group, and how often their materials are told."""

    def __init__(self, data: PictureData, group: str, recipe: PretrainingRecipe) -> None:
        self._recipe = recipe
        rows = np.flatnonzero(data.pictures.group == group)
        self.material = data.pictures.material[rows]
        self._paths = tuple(data.pictures.paths[row] for row in rows)
        self._rare = tuple(rare_materials(data.pictures.material, data.pictures.group).tolist())
        self._names = ImagenetHead(data.imagenet_rows, data.imagenet_bias, recipe)

    def by(self, network: PictureFeatures, classifier: LinearClassifier, what: str) -> dict[str, float]:
        """The numbers of a network and of a classifier on its features."""
        pictures = read_pictures(self._paths, self._recipe.picture)
        features = features_of(network.eval(), pictures, len(self._paths), what, available_cpus())
        with torch.no_grad():
            added: Tensor = self._names(features)[1][:, : len(MATERIALS)]
            logits = classifier(features) + added
        scored = score_pictures(
            softmax(logits.numpy().astype(np.float64)), self.material, LEAST_FILES, None, self._rare
        )
        return {key: round(scored.numbers[key], 4) for key in ("top-1 macro", "top-3 macro", "top-1")}


def measure(
    data: PictureData, pictures: npt.NDArray[np.uint8], group: str, recipe: PretrainingRecipe, tuning: TuningRecipe
) -> dict[str, Any]:
    """The numbers of the frozen, the fine-tuned and the network halfway, on the pictures of `group`."""
    fitted = fitted_pictures(data) & (np.concatenate([data.pictures.group, data.nothing.group]) != group)
    before = fit_whole_pictures(data, recipe, fitted).material
    frozen = LinearClassifier(before.weight[: len(MATERIALS)], before.bias[: len(MATERIALS)])
    network, classifier = tuned_without(data, pictures, fitted[: len(pictures)], recipe, tuning, group)
    told = Told(data, group, recipe)
    between = LinearClassifier((frozen.weight + classifier.weight) / 2, (frozen.bias + classifier.bias) / 2)
    return {
        "group": group,
        "weight": group_weight(group),
        "pictures": len(told.material),
        "frozen": told.by(data.picture_network, frozen, "pictures, frozen"),
        "halfway": told.by(halfway(data.picture_network, network), between, "pictures, halfway"),
        "tuned": told.by(network, classifier, "pictures, fine-tuned"),
    }


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--recipe", "names", multiple=True, type=click.Choice(tuple(RECIPES)), help="[default: all]")
@click.option("--group", "groups", multiple=True, help="this group alone  [default: all]")
def main(data: Path, work: Path, file: Path, names: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Measure what FILE does not have."""
    recipe = PretrainingRecipe().not_tuned()
    lines: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    done = {(line["recipe"], line["group"]) for line in lines}
    found = gather_pictures(data, work, recipe, available_cpus())
    known = sorted(set(found.pictures.group[found.pictures.fitted].tolist()))
    if unknown := sorted(set(groups) - set(known)):
        raise click.UsageError(f"there is no group {unknown[0]!r}; there are {', '.join(known)}")
    pictures = small_pictures(found, recipe, TuningRecipe().size)
    for name in names or RECIPES:
        for group in groups or known:
            if (name, group) in done:
                continue
            lines.append({"recipe": name, **measure(found, pictures, group, recipe, RECIPES[name])})
            with atomic_file(file) as aside:
                aside.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
            click.echo(json.dumps(lines[-1]))


if __name__ == "__main__":
    main()
