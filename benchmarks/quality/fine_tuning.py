"""The whole picture network fitted further, without one group of sources after the other.

    python -m benchmarks.quality.fine_tuning DATA WORK --json FILE [--group GROUP ...]

DATA and WORK are those of `thud pretrain`. From ImageNet's weights and the classifier that is fitted on frozen
features without the group, all weights are fitted on crops of many scales, flipped, blurred, in other colours;
each material, and within it each source, is drawn as often. Batch normalisation is kept, ImageNet's
probabilities are kept by distillation, weights are averaged. Then the group is told by the frozen network, by
the tuned one and by one halfway between. FILE has a line for each group as soon as it is measured; a run with
the same FILE goes on with the others.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from benchmarks.quality.picture_recipes import softmax
from model.atomic import atomic_file
from model.materials import MATERIALS
from model.progress import progress
from model.threads import available_cpus
from training.measures.sources import score_pictures
from training.pretraining.discriminant import source_weights
from training.pretraining.features import features_of, read_pictures
from training.pretraining.held_out import fit_whole_pictures, fitted_pictures
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.left_out_groups import LEAST_FILES, group_weight, rare_materials
from training.pretraining.material_files import read_material_files
from training.pretraining.pooling import pool
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures
from training.systems.augment_pictures import PICTURE_DRAWS, PictureAugment, augment_pictures

SIZE, BATCH, STEPS = 128, 64, 110
"""Pixels of a training picture, pictures a step, and steps: about one of each picture that is fitted on."""
_RATE, _WARM_UP = 2e-4, 20
_KEPT = 1.0
"""The weight of the loss by which ImageNet's probabilities stay as they were."""
_AVERAGE = 0.97
_AUGMENT = PictureAugment(crop=0.15, jitter=0.3, blur=0.2)


class Tuned(nn.Module):
    """Pictures `[B, S, S, 3]` to pooled features `[B, F]`; `classify` gives logits of the materials."""

    def __init__(
        self, features: nn.Module, weight: Tensor, bias: Tensor, normalise: nn.Module, centre: float
    ) -> None:
        super().__init__()
        self.features, self.normalise, self.centre = features, normalise, centre
        self.classify = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.classify.weight.copy_(weight)
            self.classify.bias.copy_(bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `[B, F]`."""
        maps: Tensor = self.features(self.normalise(pictures))
        return pool(maps.permute(0, 2, 3, 1), self.centre)


def tune(start: Tuned, pictures: npt.NDArray[np.uint8], material: Tensor, chance: Tensor, head: nn.Linear) -> Tuned:
    """`start` fitted further on `pictures [N, S, S, 3]`, of which each is drawn with its `chance [N]`; averaged."""
    random = torch.Generator().manual_seed(0)
    student, average = copy.deepcopy(start).eval(), copy.deepcopy(start).eval()
    optimizer = torch.optim.AdamW(student.parameters(), lr=_RATE, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1.0 + np.cos(np.pi * step / STEPS))
    )
    with progress("steps", STEPS, "step") as bar:
        for _ in range(STEPS):
            rows = torch.multinomial(chance, BATCH, replacement=True, generator=random)
            draws = torch.rand(BATCH, PICTURE_DRAWS, generator=random)
            varied = augment_pictures(torch.from_numpy(pictures[rows.numpy()]), draws, _AUGMENT)
            with torch.no_grad():
                known = log_softmax(head(start(varied)), dim=1)
            features = student(varied)
            loss = cross_entropy(student.classify(features), material[rows], label_smoothing=0.1)
            loss = loss + _KEPT * kl_div(
                log_softmax(head(features), dim=1), known, log_target=True, reduction="batchmean"
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
            with torch.no_grad():
                for kept, now in zip(average.parameters(), student.parameters(), strict=True):
                    kept.lerp_(now, 1.0 - _AVERAGE)
            bar.update()
    return average


def halfway(one: Tuned, other: Tuned) -> Tuned:
    """The mean of the weights of both."""
    mean = copy.deepcopy(one)
    with torch.no_grad():
        for kept, there in zip(mean.parameters(), other.parameters(), strict=True):
            kept.lerp_(there, 0.5)
    return mean


def measure(
    data: PictureData, pictures: npt.NDArray[np.uint8], group: str, recipe: PretrainingRecipe
) -> dict[str, Any]:
    """The numbers of the frozen, the tuned and the network halfway, on the pictures of `group`."""
    rows = data.pictures.fitted & (data.pictures.group != group)
    fitted = fit_whole_pictures(data, recipe, np.concatenate([rows, fitted_pictures(data)[len(rows) :]])).material
    see, count = data.picture_network, len(MATERIALS)
    start = Tuned(see.features, fitted.weight[:count], fitted.bias[:count], see.normalise, recipe.centre)
    head = nn.Linear(data.imagenet_rows.shape[1], len(data.imagenet_rows))
    with torch.no_grad():
        head.weight.copy_(data.imagenet_rows)
        head.bias.copy_(data.imagenet_bias)
    material = data.pictures.material[rows]
    chance = source_weights(material, data.pictures.source[rows], recipe.picture_source_power)
    tuned = tune(start.eval(), pictures[rows], torch.from_numpy(material), chance, head)
    told = np.flatnonzero(data.pictures.group == group)
    paths = tuple(data.pictures.paths[row] for row in told)
    rare = tuple(rare_materials(data.pictures.material, data.pictures.group).tolist())
    found: dict[str, Any] = {"group": group, "weight": group_weight(group), "pictures": len(told)}
    names = ImagenetHead(data.imagenet_rows, data.imagenet_bias, recipe)
    for name, network in (("frozen", start), ("halfway", halfway(start, tuned)), ("tuned", tuned)):
        features = features_of(network.eval(), read_pictures(paths, recipe.picture), len(told), f"pictures, {name}")
        with torch.no_grad():
            logits = network.classify(features) + names(features)[1][:, :count]
        scored = score_pictures(
            softmax(logits.numpy().astype(np.float64)), data.pictures.material[told], LEAST_FILES, None, rare
        )
        found[name] = {key: round(scored.numbers[key], 4) for key in ("top-1 macro", "top-3 macro", "top-1")}
    return found


def _read(data: PictureData) -> Iterator[npt.NDArray[np.uint8] | None]:
    spec = PretrainingRecipe().picture.model_copy(update={"size": SIZE})
    return read_pictures(data.pictures.paths, spec)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--group", "groups", multiple=True, help="this group alone  [default: all]")
def main(data: Path, work: Path, file: Path, groups: tuple[str, ...]) -> None:
    """Measure the groups that FILE does not have."""
    recipe = PretrainingRecipe()
    lines: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    done = {line["group"] for line in lines}
    known = sorted(set(read_material_files(data, "image").group.tolist()))
    if unknown := sorted(set(groups) - set(known)):
        raise click.UsageError(f"there is no group {unknown[0]!r}; there are {', '.join(known)}")
    found = gather_pictures(data, work, recipe, available_cpus())
    pictures = np.zeros((len(found.pictures), SIZE, SIZE, 3), np.uint8)
    with progress("pictures", len(pictures), "file") as bar:
        for row, picture in enumerate(_read(found)):
            assert picture is not None  # those that cannot be read are not among them
            pictures[row] = picture
            bar.update()
    for name in groups or known:
        if name in done:
            continue
        lines.append(measure(found, pictures, name, recipe))
        with atomic_file(file) as aside:
            aside.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
        click.echo(json.dumps(lines[-1]))


if __name__ == "__main__":
    main()
