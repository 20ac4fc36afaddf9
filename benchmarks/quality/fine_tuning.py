"""Recipes for fine-tuning the picture network beside each other, on groups of sources that it was fitted without.

    python -m benchmarks.quality.fine_tuning DATA WORK --json FILE [--recipe RECIPE ...] [--group GROUP ...]

DATA and WORK are those of `thud pretrain`. A group is told by the fine-tuned network and the classifier that was
fitted along with it, and, as *not fine-tuned*, by ImageNet's network and the classifier that is fitted on its
features. FILE has a line for each recipe and group as soon as it is measured; a run with the same FILE goes on with
the others. Networks of one seed are kept in WORK. In the end there is a table of the means over groups.
"""

import json
from dataclasses import dataclass
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
from training.pretraining.kernels import keep_memory
from training.pretraining.left_out_groups import LEAST_FILES, group_weight, rare_materials
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures
from training.pretraining.tuning.fine_tune import small_pictures, tuned_without
from training.pretraining.tuning.tune import TuningRecipe
from training.systems.augment_pictures import PictureAugment

NOT_TUNED = "not fine-tuned"
MEASURES = ("top-1 macro", "top-3 macro", "top-1")


@dataclass(frozen=True)
class Line:
    """A recipe of fine-tuning, and the size in pixels at which pictures are told (None: that of the service)."""

    tuning: TuningRecipe
    told_at: int | None = None


def _line(told_at: int | None = None, **changed: Any) -> Line:
    """The first recipe with one seed, changed."""
    return Line(TuningRecipe(**{"kept": 1.0, "seeds": (0,), **changed}), told_at)


def _with_seeds(name: str, **changed: Any) -> dict[str, Line]:
    """A recipe with each of three seeds, and with the mean of their weights."""
    lines = {f"{name}, seed {seed}": _line(**changed, seeds=(seed,)) for seed in range(3)}
    return {**lines, f"{name}, mean of the seeds": _line(**changed, seeds=(0, 1, 2))}


RECIPES = {
    **_with_seeds("distilled by 0.3", kept=0.3),
    **_with_seeds("distilled by 1"),
    "distilled by 0": _line(kept=0.0),
    "distilled by 3": _line(kept=3.0),
    "partial labels 0.3": _line(believed=0.3),
    "partial labels 0.5": _line(believed=0.5),
    "JPEG": _line(jpeg=0.3),
    "96 px": _line(size=96),
    "112 px": _line(size=112),
    "160 px, 48 a step": _line(size=160, batch=48),
    "crops from 0.08": _line(augment=PictureAugment(crop=0.08, jitter=0.3, blur=0.2)),
    "rate 4e-4": _line(rate=4e-4),
    "told at 224 px": _line(224),
    "told at 256 px": _line(256),
}
"""Where nothing else is said, distilled by 1. The mean of the seeds of the first one ships."""


class Told:
    """The pictures of one group, and how often their materials are told."""

    def __init__(self, data: PictureData, group: str) -> None:
        self.rows = np.flatnonzero(data.pictures.group == group)
        self._data = data
        self._paths = tuple(data.pictures.paths[row] for row in self.rows)
        self._rare = tuple(rare_materials(data.pictures.material, data.pictures.group).tolist())

    def by(self, features: Tensor, classifier: LinearClassifier, recipe: PretrainingRecipe) -> dict[str, float]:
        """The numbers of a classifier on the features `[N, F]` of these pictures."""
        names = ImagenetHead(self._data.imagenet_rows, self._data.imagenet_bias, recipe)
        with torch.no_grad():
            added: Tensor = names(features)[1][:, : len(MATERIALS)]
            logits = classifier(features) + added
        chances = softmax(logits.numpy().astype(np.float64))
        scored = score_pictures(chances, self._data.pictures.material[self.rows], LEAST_FILES, None, self._rare)
        return {key: round(scored.numbers[key], 4) for key in MEASURES}

    def features(self, network: PictureFeatures, recipe: PretrainingRecipe, what: str) -> Tensor:
        """What `network` makes of the pictures, `[N, F]`."""
        pictures = read_pictures(self._paths, recipe.picture)
        return features_of(network.eval(), pictures, len(self._paths), what, available_cpus())


def measure_not_tuned(data: PictureData, group: str) -> dict[str, float]:
    """The numbers of ImageNet's network on the pictures of `group`."""
    fitted = fitted_pictures(data) & (np.concatenate([data.pictures.group, data.nothing.group]) != group)
    recipe, told = PretrainingRecipe().not_tuned(), Told(data, group)
    found = fit_whole_pictures(data, recipe, fitted).material
    classifier = LinearClassifier(found.weight[: len(MATERIALS)], found.bias[: len(MATERIALS)])
    return told.by(data.picture_features[torch.from_numpy(told.rows)], classifier, recipe)


def measure(
    data: PictureData, pictures: npt.NDArray[np.uint8], group: str, line: Line, work: Path
) -> dict[str, float]:
    """The numbers of the fine-tuned network on the pictures of `group`."""
    recipe, told = PretrainingRecipe(), Told(data, group)
    rows = data.pictures.fitted & (data.pictures.group != group)
    network, classifier = tuned_without(data, pictures, rows, recipe, line.tuning, group, work)
    size = recipe.picture.model_copy(update={"size": line.told_at or recipe.picture.size})
    return told.by(
        told.features(network, recipe.model_copy(update={"picture": size}), f"pictures of {group}"),
        classifier,
        recipe,
    )


def table(lines: list[dict[str, Any]], groups: list[str]) -> str:
    """The means over groups of each recipe that was measured on all of them, in Markdown."""
    rows = [f"| recipe | {' | '.join(groups)} | {' | '.join(MEASURES)} |", "|---" * (1 + len(groups) + 3) + "|"]
    for name in dict.fromkeys(line["recipe"] for line in lines):
        found = {line["group"]: line for line in lines if line["recipe"] == name}
        if found.keys() == set(groups):
            weights = [group_weight(group) for group in groups]
            means = [np.average([found[group][key] for group in groups], weights=weights) for key in MEASURES]
            numbers = [*(found[group][MEASURES[0]] for group in groups), *means]
            rows.append(f"| {name} | {' | '.join(f'{number:.3f}' for number in numbers)} |")
    return "\n".join(rows)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--recipe", "names", multiple=True, type=click.Choice((NOT_TUNED, *RECIPES)), help="[default: all]")
@click.option("--group", "groups", multiple=True, help="this group alone  [default: all]")
def main(data: Path, work: Path, file: Path, names: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Measure what FILE does not have."""
    keep_memory()
    torch.set_num_threads(available_cpus())
    lines: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    done = {(line["recipe"], line["group"]) for line in lines}
    found = gather_pictures(data, work, PretrainingRecipe().not_tuned(), available_cpus())
    known = sorted(set(found.pictures.group[found.pictures.fitted].tolist()))
    if unknown := sorted(set(groups) - set(known)):
        raise click.UsageError(f"there is no group {unknown[0]!r}; there are {', '.join(known)}")
    pictures: dict[int, npt.NDArray[np.uint8]] = {}
    for name in names or (NOT_TUNED, *RECIPES):
        for group in groups or known:
            if (name, group) in done:
                continue
            if name == NOT_TUNED:
                numbers = measure_not_tuned(found, group)
            else:
                size = RECIPES[name].tuning.size
                if size not in pictures:
                    pictures[size] = small_pictures(found, PretrainingRecipe(), size)
                numbers = measure(found, pictures[size], group, RECIPES[name], work)
            lines.append({"recipe": name, "group": group, **numbers})
            with atomic_file(file) as aside:
                aside.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
            click.echo(json.dumps(lines[-1]))
    click.echo(table(lines, known))


if __name__ == "__main__":
    main()
