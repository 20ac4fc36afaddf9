"""Evaluating a trained TT_AGG: pairs (paper, Table 5) and recommended sounds (paper, 3.5 and Figure 8)."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.errors import TrainingError
from model.materials import MATERIALS
from model.progress import progress
from model.two_tower import TwoTower
from training.dataset import Dataset, Split
from training.fit import VALIDATION_DRAW, score_pairs
from training.metrics import chance_of_good, good_of_nearest, macro
from training.pairs import draw_pairs

MOST_K = 50


def evaluate(towers: TwoTower, dataset: Dataset, device: torch.device, *, seed: int = 0) -> dict[str, Any]:
    """Measure the towers; plain numbers, ready for JSON.

    `pairs`: Table 5's measures on validation and test pairs. `recommend`: for all test pictures against the
    *training* sounds (3.5), the mean share of good sounds among the nearest K = 1..50 (`good_share[K - 1]`),
    by the paper's labels (materials of the picture's own clips) and by all materials known to be in the
    picture, beside what chance gives, and P@10 by material with its mean (`macro_p_at_10`).
    """
    towers.to(device).eval()
    pairs = {}
    splits: tuple[Split, ...] = ("val", "test")
    for split in splits:
        try:
            drawn = draw_pairs(dataset, split, (seed, VALIDATION_DRAW))
        except TrainingError as error:
            pairs[split] = {"none": str(error)}
            continue
        pairs[split] = asdict(score_pairs(towers, dataset, drawn, device))
    return {"pairs": pairs, "recommend": _recommend(towers, dataset, device)}


def _recommend(towers: TwoTower, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    queries, library = dataset.pictures_of("test"), dataset.clips_of("train")
    if not len(queries):
        return {"none": "the test split has no picture"}
    pictures = embed_pictures(towers, dataset, queries, device)
    sounds = embed_clips(towers, dataset, library, device)
    material = dataset.labels.clip_material[library]
    k = min(MOST_K, len(library))
    result: dict[str, Any] = {"pictures": len(queries), "library": len(library)}
    truths = {
        "own_clips": dataset.labels.picture_materials[queries],
        "all_events": dataset.labels.picture_all_materials[queries],
    }
    for name, truth in truths.items():
        good = good_of_nearest(pictures, sounds, truth, material, k)
        share = good.cumsum(axis=1) / np.arange(1, k + 1)
        chance = chance_of_good(truth, material)
        at_ten = share[:, min(10, k) - 1]
        by_material = macro(at_ten, truth)
        result[name] = {
            "good_share": [round(float(value), 6) for value in share.mean(axis=0)],
            "chance": float(chance.mean()),
            "macro_p_at_10": float(np.mean(list(by_material.values()))),
            "macro_chance": float(np.mean(list(macro(chance, truth).values()))),
            "p_at_10_by_material": {MATERIALS[id_].name: value for id_, value in by_material.items()},
        }
    return result


def embed_pictures(
    towers: TwoTower, dataset: Dataset, indices: npt.NDArray[np.intp], device: torch.device
) -> npt.NDArray[np.float32]:
    """Unit vectors float32 [N, 128] of the dataset's pictures at `indices`."""
    return _embed(
        lambda part: towers.image(torch.from_numpy(dataset.pictures[part]).to(device)), indices, "pictures"
    )


def embed_clips(
    towers: TwoTower, dataset: Dataset, indices: npt.NDArray[np.intp], device: torch.device
) -> npt.NDArray[np.float32]:
    """Unit vectors float32 [M, 128] of the dataset's clips at `indices`."""
    return _embed(
        lambda part: towers.sound(torch.from_numpy(dataset.clip_batch(part)).to(device)), indices, "sounds"
    )


def _embed(tower: Any, indices: npt.NDArray[np.intp], title: str) -> npt.NDArray[np.float32]:
    parts = []
    with (
        torch.inference_mode(),
        progress(f"embed {title}", len(indices), title.removesuffix("s")) as bar,
    ):
        for start in range(0, len(indices), 64):
            part = indices[start : start + 64]
            parts.append(tower(part).float().cpu().numpy())
            bar.update(len(part))
    return np.concatenate(parts)
