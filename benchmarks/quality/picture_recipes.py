"""Recipes for pictures beside each other, on groups of sources that were left out of fitting.

    python -m benchmarks.quality.picture_recipes DATA WORK [--only RECIPE ...] [--json FILE]

DATA and WORK are those of `thud pretrain`. Each recipe is fitted without each group in turn and measured on it; the
numbers are means over groups, by their weights; intervals of differences: `benchmarks.quality.paired`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.quality.paired import NEW, Line, paired_interval, write_lines
from model.bundle import PictureSpec
from model.materials import MATERIALS
from model.threads import available_cpus
from training.measures.means import mean_over
from training.measures.sources import Scored, score_pictures
from training.pretraining.held_out import hold_out_pictures
from training.pretraining.left_out_groups import LEAST_FILES, group_weight, rare_materials
from training.pretraining.material_files import MaterialFiles
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures

OLD_SOURCES = ("trashnet", "ambientcg", "ufoai", "0ad", "sweethome3d")
"""The openly licensed sources that the bundle of version 0.5 was fitted on."""
OLD_RECIPE: Mapping[str, Any] = {
    "centre": 0.0, "knowledge": 3.0, "picture_source_power": 1.0, "class_materials": 0.0, "class_nothing": 0.0
}  # fmt: skip
"""What the recipe of version 0.5 had in place of today's values."""

Floats = npt.NDArray[np.float64]


def variants() -> dict[str, tuple[PretrainingRecipe, tuple[str, ...] | None]]:
    """Recipes by name, each with the sources that it is fitted on, None for all."""
    new = PretrainingRecipe()
    frozen = new.not_tuned()
    old = frozen.model_copy(update=dict(OLD_RECIPE))
    changes: dict[str, dict[str, Any]] = {
        "without the middle": {"centre": 0.0},
        "the middle alone": {"centre": 1.0},
        "all pictures of a material the same weight": {"picture_source_power": 1.0},
        "source weights in between": {"picture_source_power": 0.5},
        "knowledge 3": {"knowledge": 3.0},
        "knowledge 1": {"knowledge": 1.0},
        "knowledge 1, drawn pictures of another seed": {"knowledge": 1.0, "seed": 1},
        "knowledge 1, drawn pictures of a third seed": {"knowledge": 1.0, "seed": 2},
        "no logarithms of ImageNet's classes": {"class_materials": 0.0},
        "logarithms of ImageNet's classes 0.1": {"class_materials": 0.1},
        "logarithms of ImageNet's classes 0.25": {"class_materials": 0.25},
        "224 px": {"picture": PictureSpec(size=224, resize="crop")},
        "256 px": {"picture": PictureSpec(size=256, resize="crop")},
        "EfficientNet-Lite2, 224 px": {
            "image_network": "efficientnet_lite2",
            "picture": PictureSpec(size=224, resize="crop"),
        },
        "decay 0.003": {"picture_decay": 0.003},
        "decay 0.03": {"picture_decay": 0.03},
        "drawn pictures of another seed": {"seed": 1},
        "drawn pictures of a third seed": {"seed": 2},
    }
    return {
        "version 0.5, its five sources": (old, OLD_SOURCES),
        "version 0.5, all sources": (old, None),
        NEW: (new, None),
        **{
            f"shipped, logarithms of ImageNet's classes {weight:g}": (
                new.model_copy(update={"class_materials": weight}),
                None,
            )
            for weight in (0.0, 0.15, 0.4)
        },
        "not fine-tuned": (frozen, None),
        **{f"not fine-tuned, {name}": (frozen.model_copy(update=change), None) for name, change in changes.items()},
    }


def held_out_logits(data: PictureData, recipe: PretrainingRecipe, sources: tuple[str, ...] | None = None) -> Floats:
    """Logits `[N, 17]` of each picture by a classifier fitted without its group, and on `sources` alone if given.

    With `sources`, pictures of nothing are the drawn ones alone: there were no others.
    """
    if sources is not None:
        known = data.pictures.fitted & np.isin(data.pictures.source, sources)
        data = replace(
            data,
            pictures=replace(data.pictures, fitted=known),
            nothing=replace(data.nothing, fitted=data.nothing.drawn),
        )
    logits: Floats = hold_out_pictures(data, recipe)[0][:, : len(MATERIALS)].numpy().astype(np.float64)
    return logits


class Measured:
    """Held-out logits of pictures `[N, 17]` for each recipe, of which the same pictures are measured."""

    def __init__(self, pictures: MaterialFiles, logits: Mapping[str, Floats]) -> None:
        self._material, self._source, self._group = pictures.material, pictures.source, pictures.group
        self._rare = tuple(rare_materials(self._material, self._group).tolist())
        self._logits = logits
        self._groups = sorted(set(self._group.tolist()))

    def lines(self) -> list[Line]:
        """One line for each recipe."""
        return [self._line(name) for name in self._logits]

    def _line(self, name: str) -> Line:
        by_group = {group: self._scored(name, np.flatnonzero(self._group == group)) for group in self._groups}
        means = mean_over(list(by_group.values()))
        ours = mean_over([self._scored(NEW, np.flatnonzero(self._group == group)) for group in self._groups])
        macro = {group: round(one.numbers["top-1 macro"], 4) for group, one in by_group.items()}
        low, high = self._interval(name)
        return Line(
            name,
            round(means["top-1 macro"], 4),
            round(means["top-3 macro"], 4),
            round(means["top-1"], 4),
            {group: value for group, value in macro.items() if not np.isnan(value)},
            round(ours["top-1 macro"] - means["top-1 macro"], 4),
            (round(low, 4), round(high, 4)),
        )

    def _scored(self, name: str, rows: npt.NDArray[np.intp]) -> Scored:
        # Their order is all that is measured here; as probabilities they are not calibrated.
        ranked = softmax(self._logits[name][rows])
        found = score_pictures(ranked, self._material[rows], LEAST_FILES, None, self._rare)
        weight = group_weight(str(self._group[rows[0]]))
        return Scored(found.numbers, found.each, found.material, found.counted, weight=weight)

    def _interval(self, name: str) -> tuple[float, float]:
        if name == NEW:
            return 0.0, 0.0
        new, other = (self._logits[one].argmax(axis=1) == self._material for one in (NEW, name))
        return paired_interval(new, other, self._material, self._source, self._group)


def softmax(logits: Floats) -> Floats:
    """Each row of `logits [N, 17]` as probabilities, in the same order."""
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    ranked: Floats = powers / powers.sum(axis=1, keepdims=True)
    return ranked


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--only", multiple=True, type=click.Choice(tuple(variants())), help="this one, and the shipped one")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write the numbers here, too")
def main(data: Path, work: Path, only: tuple[str, ...], file: Path | None) -> None:
    """Print the table."""
    found, logits = None, {}
    wanted = {name: one for name, one in variants().items() if not only or name in (*only, NEW)}
    for name, (recipe, sources) in wanted.items():
        found = gather_pictures(data, work, recipe, available_cpus())
        logits[name] = held_out_logits(found, recipe, sources)
    assert found is not None
    lines = Measured(found.pictures, logits).lines()
    print("| recipe | top-1 macro | top-3 macro | top-1 | shipped is better by |\n|---|---:|---:|---:|---:|")
    for line in lines:
        print(f"| {line.name} | {line.top1_macro:.3f} | {line.top3_macro:.3f} | {line.top1:.3f} | {line.better} |")
    if file is not None:
        write_lines(file, lines)


if __name__ == "__main__":
    main()
