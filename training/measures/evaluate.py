"""Evaluating a trained system: the paper's measures (Tables 2 to 5, Figure 8) and what retrieval is measured by."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.errors import NoDataError
from model.progress import progress
from training.data.dataset import Dataset, Split
from training.data.pairs import Pairs, draw_pairs
from training.measures.classification import measure_classes, measure_labels, measure_pairs
from training.measures.records import (
    AnySplit,
    ClassMeasures,
    LabelMeasures,
    NotMeasured,
    PairMeasures,
    Recommendations,
    RetrievalMeasures,
    TowerMeasures,
)
from training.measures.retrieval import hubness_skew, measure_map, measure_retrieval
from training.systems.systems import FcAgg, SoundNetwork, System, VisualNetwork

VALIDATION_DRAW = 1_000_003
"""Stands in for the epoch in the seed of validation pairs, so that every epoch is judged on the same ones."""

MONITOR = "monitor"
"""The one validation measure that says which epoch is best; higher is better."""

BATCH = 64

Rows = npt.NDArray[np.intp]
Outputs = npt.NDArray[np.float32]


def evaluate(system: System, dataset: Dataset, device: torch.device, *, seed: int = 0) -> dict[str, AnySplit]:
    """Measure the system on the splits "val" and "test"; a split that cannot be measured says why.

    For TT_AGG, `pairs` are Table 5's measures, and `recommend` searches the *training* sounds (3.5) for every
    picture of the split, judged by the paper's labels (materials of the picture's own clips) and by all materials
    known to be in the picture.
    """
    system.to(device).eval()
    splits: tuple[Split, ...] = ("val", "test")
    if system.recipe.system == "tt_agg":
        library = dataset.clips_of("train")
        sounds = hear(system, dataset, library, device, unit=True)
        return {split: _towers(system, dataset, split, library, sounds, device, seed) for split in splits}
    result: dict[str, AnySplit] = {}
    for split in splits:
        try:
            result[split] = _materials(system, dataset, split, device, seed, intervals=True)
        except NoDataError as error:
            result[split] = NotMeasured(none=str(error))
    return result


def measure_epoch(system: System, dataset: Dataset, device: torch.device, seed: int) -> dict[str, int | float]:
    """Validation measures by name, without intervals, and `monitor`, the one that says which epoch is best.

    For TT_AGG they are those of the pairs, and `map`, the macro mAP of ranking the split's own clips. Raises
    NoDataError if there is no validation data, and TrainingError if the weights are broken.
    """
    system.eval()
    if system.recipe.system == "tt_agg":
        pairs, images, sounds = _paired(system, dataset, "val", device, seed)
        # Pairs are judged at a cosine of 0, which only the paper's loss makes a boundary; a ranking needs none.
        ranking = _map(dataset, pairs, images, sounds)
        measured = _measure_pairs(dataset, pairs, images, sounds, seed, intervals=False)
        return {**measured.model_dump(), "map": ranking, MONITOR: ranking}
    found = _materials(system, dataset, "val", device, seed, intervals=False)
    return {**found.model_dump(), MONITOR: found.map if isinstance(found, LabelMeasures) else found.accuracy}


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


def _materials(
    system: System, dataset: Dataset, split: Split, device: torch.device, seed: int, *, intervals: bool
) -> ClassMeasures | LabelMeasures:
    """What the systems that predict materials gave: one of each clip, one of each pair, or all in each picture."""
    labels = dataset.labels
    if isinstance(system, SoundNetwork):
        clips = _some(dataset.clips_of(split), f"the {split} split has no clip")
        logits = hear(system, dataset, clips, device)
        return measure_classes(
            logits, labels.clip_material[clips], dataset.videos(clips), seed, intervals=intervals
        )
    if isinstance(system, VisualNetwork):
        pictures = _some(dataset.pictures_of(split), f"the {split} split has no picture with a material")
        logits = see(system, dataset, pictures, device)
        present = labels.picture_materials[pictures]
        return measure_labels(logits, present, labels.picture_id[pictures], seed, intervals=intervals)
    assert isinstance(system, FcAgg)
    pairs = draw_pairs(dataset, split, (seed, VALIDATION_DRAW), system.recipe.clips_per_picture)
    pictures, clips = (column[pairs.match == 1.0] for column in (pairs.picture, pairs.clip))
    images, sounds = _pair_outputs(system, dataset, pictures, clips, device, unit=False)
    with torch.inference_mode():
        both = system.logits(torch.from_numpy(images).to(device), torch.from_numpy(sounds).to(device))
    groups = labels.picture_id[pictures]
    return measure_classes(both.cpu().numpy(), labels.clip_material[clips], groups, seed, intervals=intervals)


def _towers(
    system: System,
    dataset: Dataset,
    split: Split,
    library: Rows,
    sounds: Outputs,
    device: torch.device,
    seed: int,
) -> TowerMeasures:
    recommend = _recommend(system, dataset, split, library, sounds, device, seed)
    try:
        measured = _measure_pairs(dataset, *_paired(system, dataset, split, device, seed), seed, intervals=True)
    except NoDataError as error:
        return TowerMeasures(none=str(error), recommend=recommend)
    return TowerMeasures(pairs=measured, recommend=recommend)


def _recommend(
    system: System,
    dataset: Dataset,
    split: Split,
    library: Rows,
    sounds: Outputs,
    device: torch.device,
    seed: int,
) -> Recommendations | NotMeasured:
    queries = dataset.pictures_of(split)
    if not len(queries):
        return NotMeasured(none=f"the {split} split has no picture with a material")
    labels = dataset.labels
    pictures = see(system, dataset, queries, device, unit=True)

    def judged(truth: npt.NDArray[np.bool_]) -> RetrievalMeasures:
        heard = labels.clip_material[library]
        found = measure_retrieval(pictures, sounds, truth, heard, labels.picture_id[queries], seed=seed)
        return found if split == "test" else found.without_pictures()  # recipes are compared on test pictures

    return Recommendations(
        pictures=len(queries),
        library=len(library),
        hubness_skew=hubness_skew(pictures, sounds),
        own_clips=judged(labels.picture_materials[queries]),
        all_events=judged(labels.picture_all_materials[queries]),
    )


def _paired(
    system: System, dataset: Dataset, split: Split, device: torch.device, seed: int
) -> tuple[Pairs, Outputs, Outputs]:
    """The split's pairs, and the unit vectors of the picture and of the clip of each."""
    pairs = draw_pairs(dataset, split, (seed, VALIDATION_DRAW), system.recipe.clips_per_picture)
    return pairs, *_pair_outputs(system, dataset, pairs.picture, pairs.clip, device, unit=True)


def _measure_pairs(
    dataset: Dataset, pairs: Pairs, images: Outputs, sounds: Outputs, seed: int, *, intervals: bool
) -> PairMeasures:
    scores = ((images * sounds).sum(axis=1) + 1.0) / 2.0
    return measure_pairs(scores, pairs.match, dataset.labels.picture_id[pairs.picture], seed, intervals=intervals)


def _map(dataset: Dataset, pairs: Pairs, images: Outputs, sounds: Outputs) -> float:
    """Macro mAP where each picture of the pairs ranks each clip of them."""
    pictures, clips = np.unique(pairs.picture), np.unique(pairs.clip)
    seen, heard = images[_first(pairs.picture, pictures)], sounds[_first(pairs.clip, clips)]
    labels = dataset.labels
    return measure_map(seen, heard, labels.picture_materials[pictures], labels.clip_material[clips])


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
