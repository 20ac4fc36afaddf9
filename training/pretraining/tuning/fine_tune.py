"""The networks of `thud fine-tune`: one fitted on all photographs, and one without each group of sources."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from model.errors import TrainingError
from model.locks import exclusive
from model.materials import MATERIALS
from model.progress import progress
from training.pretraining.classifier import LinearClassifier
from training.pretraining.discriminant import source_weights
from training.pretraining.features import PictureFeatures, read_pictures
from training.pretraining.held_out import fit_whole_pictures, fitted_pictures
from training.pretraining.material_files import read_material_files
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PictureData, gather_pictures
from training.pretraining.tuned_weights import AboutTuned, TunedWeights, content_of, save_tuned
from training.pretraining.tuning.tune import TuningRecipe, tune


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
    not fitted again. Raises TrainingError as `gather_pictures`, and where there are fewer than two groups.
    """
    listed = read_material_files(data, "image")
    listed = listed.open_only() if open_only else listed
    contents = content_of(data, listed)
    groups = [name for name in contents if name is not None]
    if len(groups) < 2:
        raise TrainingError(
            f"the pictures of {data} that may be fitted on are of one group of sources; add another"
        )
    with exclusive(work):
        found = gather_pictures(data, work, recipe.not_tuned(), threads)
        if found.unreadable:
            say(f"cannot be read, left out: {len(found.unreadable):,} files, the first {found.unreadable[0]}")
        if open_only:
            found = found.open_only()
        files = found.pictures
        pictures: npt.NDArray[np.uint8] | None = None
        say(f"{files.fitted.sum():,} pictures of {len(groups)} groups are fitted on")
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
            network, classifier = tuned_without(found, pictures, rows, recipe, tuning, without)
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
) -> tuple[PictureFeatures, LinearClassifier]:
    """The network of `data` and a classifier, fitted on the rows `[N]` of `pictures [N, S, S, 3]`.

    Pictures of nothing of the group `without` have no part in the classifier that is begun with.
    """
    nothing = fitted_pictures(data)[len(rows) :]
    if without is not None:
        nothing = nothing & (data.nothing.group != without)
    fitted, count = fit_whole_pictures(data, recipe, np.concatenate([rows, nothing])).material, len(MATERIALS)
    return tune(
        data.picture_network,
        LinearClassifier(fitted.weight[:count], fitted.bias[:count]),
        LinearClassifier(data.imagenet_rows, data.imagenet_bias),
        pictures[rows],
        torch.from_numpy(data.pictures.material[rows]),
        source_weights(data.pictures.material[rows], data.pictures.source[rows], recipe.picture_source_power),
        tuning,
        "fine-tuning" if without is None else f"fine-tuning without {without}",
    )
