"""The networks of `thud fine-tune`: one fitted on all photographs, and one without each group of sources."""

import copy
import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.atomic import atomic_file
from model.errors import TrainingError
from model.files import read_arrays
from model.locks import exclusive
from model.materials import MATERIALS
from model.progress import progress
from training.pretraining.classifier import LinearClassifier
from training.pretraining.discriminant import source_weights
from training.pretraining.features import PictureFeatures, read_pictures
from training.pretraining.held_out import fit_whole_pictures
from training.pretraining.material_files import check_groups, read_material_files
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures
from training.pretraining.tuned_weights import (
    AboutTuned,
    TunedWeights,
    check_tuned_folder,
    content_of,
    save_tuned,
)
from training.pretraining.tuning.tune import Tuned, TuningRecipe, mean_weights, tune

_TUNING = 1
"""To be raised where `tune` computes something else: runs that were kept are fitted again then."""


def fine_tune(
    data: Path,
    target: Path,
    work: Path,
    recipe: PretrainingRecipe,
    tuning: TuningRecipe,
    threads: int,
    *,
    open_only: bool = False,
    say: Callable[[str], None],
) -> None:
    """Write to the folder `target` the networks fitted on the photographs of `data`, one without each group.

    Photographs that are not for commercial use have no part, nor have the queries; with `open_only`, nor have those
    without an open licence. Each network starts from ImageNet's weights and from the classifier that `recipe` fits
    on their features without the group. A network that is there already, of the same photographs and recipes, is
    not fitted again, nor is that of one seed which `work` has. Raises TrainingError as `gather_pictures`,
    `check_groups` and `check_tuned_folder`.
    """
    listed = read_material_files(data, "image")
    listed = listed.open_only() if open_only else listed
    contents = content_of(data, listed)
    groups = [name for name in contents if name is not None]
    check_groups(listed, "pictures")
    check_tuned_folder(target)
    with exclusive(work):
        found = gather_pictures(data, work, recipe.not_tuned(), threads)
        if found.unreadable:
            say(f"cannot be read, left out: {len(found.unreadable):,} files, the first {found.unreadable[0]}")
        if open_only:
            found = found.open_only()
        files = found.pictures
        check_groups(files, "pictures")
        pictures: npt.NDArray[np.uint8] | None = None
        say(f"{files.fitted.sum():,} pictures of {len(set(files.group[files.fitted]))} groups are fitted on")
        for without in (*groups, None):
            rows = files.fitted & (files.group != without)
            about = AboutTuned(
                network=recipe.image_network,
                without=without,
                groups=tuple(groups),
                sources=_counts(files.source[rows]),
                recipe={**tuning.model_dump(mode="json"), "classifier": recipe.model_dump(mode="json")},
                content=contents[without],
            )
            file = TunedWeights(target).file(without)
            if _is_there(TunedWeights(target), about):
                say(f"{file} is there")
                continue
            if pictures is None:
                pictures = small_pictures(found, recipe, tuning.size)
            network, classifier = tuned_without(found, pictures, rows, recipe, tuning, without, work)
            save_tuned(file, network.features, classifier, about)
            say(f"wrote {file}, {file.stat().st_size / 1e6:.1f} MB")


def _is_there(stored: TunedWeights, about: AboutTuned) -> bool:
    try:
        stored.network(about.without)
        return stored.about(about.without) == about
    except TrainingError:
        return False


def _counts(source: npt.NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(source, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def small_pictures(data: PictureData, recipe: PretrainingRecipe, size: int) -> npt.NDArray[np.uint8]:
    """The pictures `[N, size, size, 3]`."""
    paths = data.pictures.paths
    pictures = np.zeros((len(paths), size, size, 3), np.uint8)
    with progress("pictures", len(paths), "file") as bar:
        for row, picture in enumerate(read_pictures(paths, recipe.picture.model_copy(update={"size": size}))):
            assert picture is not None  # those that cannot be read are not among them
            pictures[row] = picture
            bar.update()
    return pictures


def tuned_without(
    data: PictureData,
    pictures: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.bool_],
    recipe: PretrainingRecipe,
    tuning: TuningRecipe,
    without: str | None,
    work: Path,
) -> Tuned:
    """The network of `data` and a classifier, fitted on the rows `[N]` of `pictures [N, S, S, 3]`.

    Pictures of nothing have no part in it. The network of each seed is kept in `work`, 14 MB each.
    """
    nothing = np.zeros(len(data.nothing), np.bool_)
    fitted, count = fit_whole_pictures(data, recipe, np.concatenate([rows, nothing])).material, len(MATERIALS)
    start = LinearClassifier(fitted.weight[:count], fitted.bias[:count])
    chosen, material = pictures[rows], data.pictures.material[rows]
    chance = source_weights(material, data.pictures.source[rows], recipe.picture_source_power)
    imagenet = LinearClassifier(data.imagenet_rows, data.imagenet_bias)
    made_by = (_TUNING, recipe.image_network, platform.machine(), torch.__version__, np.__version__)
    made_from = hashlib.sha256(repr(made_by).encode())
    of_start = (start.weight, start.bias, imagenet.weight, imagenet.bias, chance)
    for part in (chosen, material, *(one.detach().numpy() for one in of_start)):
        made_from.update(np.ascontiguousarray(part).data)
    name = "fine-tuning" if without is None else f"fine-tuning without {without}"
    runs = []
    for seed in tuning.seeds:
        one = tuning.model_copy(update={"seeds": (seed,)})
        digest = hashlib.sha256(f"{made_from.hexdigest()} {one.model_dump_json()}".encode()).hexdigest()
        file = work / f"tuned-{digest[:16]}.npz"
        run = _read_run(file, data.picture_network)
        if run is None:
            run = tune(
                data.picture_network,
                start,
                imagenet,
                chosen,
                torch.from_numpy(material),
                chance,
                tuning,
                seed,
                f"{name}, seed {seed}",
            )
            _save_run(file, run)
        runs.append(run)
    return mean_weights(runs)


def _read_run(file: Path, like: PictureFeatures) -> Tuned | None:
    """The network and the classifier that `file` has, None where it is not there, damaged or of other shapes."""
    network = copy.deepcopy(like)
    weights = dict(network.named_parameters())
    try:
        stored = read_arrays(file, ("weight", "bias", *weights))
    except (OSError, ValueError):
        return None
    if any(stored[name].shape != weight.shape for name, weight in weights.items()):
        return None
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(torch.from_numpy(stored[name]))
    return network, LinearClassifier(torch.from_numpy(stored["weight"]), torch.from_numpy(stored["bias"]))


def _save_run(file: Path, run: Tuned) -> None:
    network, classifier = run
    arrays: dict[str, Any] = {name: weight.detach().numpy() for name, weight in network.named_parameters()}
    with atomic_file(file) as aside, aside.open("wb") as out:
        np.savez(out, weight=classifier.weight.numpy(), bias=classifier.bias.numpy(), **arrays)
