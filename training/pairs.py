"""Drawing pairs of a picture and a clip: as many that belong together as do not (paper, 3.4.2)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import NoDataError
from model.materials import MATERIALS
from training.dataset import Dataset, Split


class Pairs(NamedTuple):
    """P pairs: indices of picture and clip, and `match` 1.0 where the clip's material is in the picture."""

    picture: npt.NDArray[np.intp]
    clip: npt.NDArray[np.intp]
    match: npt.NDArray[np.float32]


def draw_pairs(dataset: Dataset, split: Split, seed: tuple[int, ...], clips_per_picture: int = 10) -> Pairs:
    """Balanced, shuffled pairs of one split; the same `seed` draws the same pairs.

    Positive: a picture with each of its own clips, or, where pictures and sounds are unpaired, with
    `clips_per_picture` clips whose material is in it (the material drawn first, then the clip). Negative:
    the same picture with as many clips of the split whose material is not in it. A picture for which one of
    the two kinds does not exist gives no pairs. Raises NoDataError if no picture gives any.
    """
    random = np.random.default_rng(seed)
    labels = dataset.labels
    clips = dataset.clips_of(split)
    material = labels.clip_material[clips]
    by_material = [clips[material == m.id] for m in MATERIALS]
    own = dataset.own_clips(split)
    pictures, chosen, match = [], [], []
    for picture in dataset.pictures_of(split):
        present = labels.picture_materials[picture]
        positive = own.get(int(picture))
        if positive is None:
            positive = _draw_of(by_material, np.flatnonzero(present), clips_per_picture, random)
        strangers = clips[~present[material]]
        if len(positive) == 0 or len(strangers) == 0:
            continue
        negative = random.choice(strangers, size=len(positive))
        pictures.append(np.full(2 * len(positive), picture))
        chosen.append(np.concatenate([positive, negative]))
        match.append(np.repeat(np.array([1.0, 0.0], np.float32), len(positive)))
    if not pictures:
        raise NoDataError(
            f"the {split} split has no picture with both a clip of its materials and a clip of another material"
        )
    order = random.permutation(sum(map(len, pictures)))
    return Pairs(np.concatenate(pictures)[order], np.concatenate(chosen)[order], np.concatenate(match)[order])


def _draw_of(
    by_material: list[npt.NDArray[np.intp]],
    materials: npt.NDArray[np.intp],
    count: int,
    random: np.random.Generator,
) -> npt.NDArray[np.intp]:
    present = [by_material[material] for material in materials if len(by_material[material])]
    if not present:
        return np.empty(0, np.intp)
    picks = random.integers(len(present), size=count)
    return np.array([random.choice(present[pick]) for pick in picks], np.intp)
