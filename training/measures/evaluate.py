"""Evaluating a trained system: the paper's measures (Tables 2 to 5, Figure 8) and what retrieval is measured by."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.errors import NoDataError
from model.progress import progress
from model.torch_towers.two_tower import scaled_cosine
from training.data.dataset import Dataset, Split
from training.data.pairs import draw_pairs
from training.measures.classification import measure_classes, measure_labels, measure_pairs
from training.measures.retrieval import hubness_skew, measure_map, measure_retrieval
from training.systems.systems import FcAgg, SoundNetwork, System, VisualNetwork

VALIDATION_DRAW = 1_000_003
"""Stands in for the epoch in the seed of validation pairs, so that every epoch is judged on the same ones."""

MONITOR = "monitor"
"""The one validation measure that says which epoch is best; higher is better."""

BATCH = 64

Rows = npt.NDArray[np.intp]
Outputs = npt.NDArray[np.float32]


def evaluate(system: System, dataset: Dataset, device: torch.device, *, seed: int = 0) -> dict[str, Any]:
    """Measure the system on validation and test data; plain numbers as `results.RunResult` lays them out.

    For TT_AGG, `pairs` are Table 5's measures, and `recommend` searches the *training* sounds (3.5) for every
    picture of the split, judged by the paper's labels (materials of the picture's own clips) and by all materials
    known to be in the picture.
    """
    system.to(device).eval()
    result: dict[str, Any] = {}
    splits: tuple[Split, ...] = ("val", "test")
    for split in splits:
        try:
            result[split] = _measure(system, dataset, split, device, seed, intervals=True)
        except NoDataError as error:
            result[split] = {"none": str(error)}
    if system.recipe.system == "tt_agg":
        library = dataset.clips_of("train")
        sounds = hear(system, dataset, library, device, unit=True)
        for split in splits:
            result[split]["recommend"] = _recommend(system, dataset, split, library, sounds, device, seed)
    return result


def measure_epoch(system: System, dataset: Dataset, device: torch.device, seed: int) -> dict[str, Any]:
    """The split's measures without intervals, for the curves, and `monitor`, the one that says which epoch is best.

    Raises NoDataError if there is no validation data, and TrainingError if the weights are broken.
    """
    system.eval()
    return _measure(system, dataset, "val", device, seed, intervals=False)


def see(system: System, dataset: Dataset, rows: Rows, device: torch.device, *, unit: bool = False) -> Outputs:
    """The image network's outputs float32 [N, ...] for the dataset's pictures at `rows`; unit vectors if asked."""

    def look(part: Rows) -> Tensor:
        return system.see(torch.from_numpy(dataset.pictures[part]).to(device))

    return _outputs(look, rows, "picture", unit)


def hear(system: System, dataset: Dataset, rows: Rows, device: torch.device, *, unit: bool = False) -> Outputs:
    """The sound network's outputs float32 [N, ...] for the dataset's clips at `rows`; unit vectors if asked."""

    def listen(part: Rows) -> Tensor:
        return system.hear(torch.from_numpy(dataset.clips[part]).to(device))

    return _outputs(listen, rows, "sound", unit)


def _measure(
    system: System, dataset: Dataset, split: Split, device: torch.device, seed: int, *, intervals: bool
) -> dict[str, Any]:
    if isinstance(system, SoundNetwork):
        measured = _sound(system, dataset, split, device, seed, intervals)
        return measured if intervals else measured | {MONITOR: measured["accuracy"]}
    if isinstance(system, VisualNetwork):
        measured = _visual(system, dataset, split, device, seed, intervals)
        return measured if intervals else measured | {MONITOR: measured["map"]}
    if isinstance(system, FcAgg):
        measured = _fc_agg(system, dataset, split, device, seed, intervals)
        return measured if intervals else measured | {MONITOR: measured["accuracy"]}
    return _tt_agg(system, dataset, split, device, seed, intervals)


def _sound(
    system: SoundNetwork, dataset: Dataset, split: Split, device: torch.device, seed: int, intervals: bool
) -> dict[str, Any]:
    clips = _some(dataset.clips_of(split), f"the {split} split has no clip")
    logits = hear(system, dataset, clips, device)
    labels = dataset.labels
    return measure_classes(logits, labels.clip_material[clips], dataset.videos(clips), seed, intervals=intervals)


def _visual(
    system: VisualNetwork, dataset: Dataset, split: Split, device: torch.device, seed: int, intervals: bool
) -> dict[str, Any]:
    pictures = _some(dataset.pictures_of(split), f"the {split} split has no picture with a material")
    logits = see(system, dataset, pictures, device)
    present = dataset.labels.picture_materials[pictures]
    return measure_labels(logits, present, dataset.labels.picture_id[pictures], seed, intervals=intervals)


def _fc_agg(
    system: FcAgg, dataset: Dataset, split: Split, device: torch.device, seed: int, intervals: bool
) -> dict[str, Any]:
    pairs = draw_pairs(dataset, split, (seed, VALIDATION_DRAW), system.recipe.clips_per_picture)
    positive = pairs.match == 1.0
    images, sounds = _pair_outputs(
        system, dataset, pairs.picture[positive], pairs.clip[positive], device, unit=False
    )
    with torch.inference_mode():
        logits = (
            system.logits(torch.from_numpy(images).to(device), torch.from_numpy(sounds).to(device)).cpu().numpy()
        )
    material = dataset.labels.clip_material[pairs.clip[positive]]
    groups = dataset.labels.picture_id[pairs.picture[positive]]
    return measure_classes(logits, material, groups, seed, intervals=intervals)


def _tt_agg(
    system: System, dataset: Dataset, split: Split, device: torch.device, seed: int, intervals: bool
) -> dict[str, Any]:
    pairs = draw_pairs(dataset, split, (seed, VALIDATION_DRAW), system.recipe.clips_per_picture)
    images, sounds = _pair_outputs(system, dataset, pairs.picture, pairs.clip, device, unit=True)
    scores = scaled_cosine((images * sounds).sum(axis=1))
    groups = dataset.labels.picture_id[pairs.picture]
    measured = measure_pairs(scores, pairs.match, groups, seed, intervals=intervals)
    if intervals:
        return {"pairs": measured}
    # Pairs are judged at a cosine of 0, which only the paper's loss makes a boundary; a ranking needs none.
    pictures, clips = np.unique(pairs.picture), np.unique(pairs.clip)
    seen = images[_first(pairs.picture, pictures)]
    heard = sounds[_first(pairs.clip, clips)]
    labels = dataset.labels
    ranking = measure_map(seen, heard, labels.picture_materials[pictures], labels.clip_material[clips])
    return {**measured, "map": ranking, MONITOR: ranking}


def _recommend(
    system: System,
    dataset: Dataset,
    split: Split,
    library: Rows,
    sounds: Outputs,
    device: torch.device,
    seed: int,
) -> dict[str, Any]:
    queries = dataset.pictures_of(split)
    if not len(queries):
        return {"none": f"the {split} split has no picture with a material"}
    labels = dataset.labels
    pictures = see(system, dataset, queries, device, unit=True)
    truths = {"own_clips": labels.picture_materials[queries], "all_events": labels.picture_all_materials[queries]}
    result: dict[str, Any] = {
        "pictures": len(queries),
        "library": len(library),
        "hubness_skew": hubness_skew(pictures, sounds),
    }
    for name, truth in truths.items():
        result[name] = measure_retrieval(
            pictures, sounds, truth, labels.clip_material[library], labels.picture_id[queries], seed=seed
        )
        if split == "val":  # recipes are compared on test pictures
            result[name].pop("by_picture")
    return result


def _pair_outputs(
    system: System, dataset: Dataset, pictures: Rows, clips: Rows, device: torch.device, *, unit: bool
) -> tuple[Outputs, Outputs]:
    """Outputs of both networks for each pair, each picture and clip computed once."""
    distinct_pictures, of_picture = np.unique(pictures, return_inverse=True)
    distinct_clips, of_clip = np.unique(clips, return_inverse=True)
    images = see(system, dataset, distinct_pictures, device, unit=unit)
    sounds = hear(system, dataset, distinct_clips, device, unit=unit)
    return images[of_picture], sounds[of_clip]


def _outputs(network: Callable[[Rows], Tensor], rows: Rows, what: str, unit: bool) -> Outputs:
    parts = []
    with torch.inference_mode(), progress(f"embed {what}s", len(rows), what) as bar:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            output = network(part).float()
            parts.append((torch.nn.functional.normalize(output, dim=1) if unit else output).cpu().numpy())
            bar.update(len(part))
    return np.concatenate(parts)


def _first(column: Rows, values: Rows) -> Rows:
    """Where in `column` each of the sorted distinct `values` stands first."""
    found, first = np.unique(column, return_index=True)
    assert len(found) == len(values)
    return first


def _some(rows: Rows, reason: str) -> Rows:
    if not len(rows):
        raise NoDataError(reason)
    return rows
