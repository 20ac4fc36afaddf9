"""Drawing pairs of a picture and a clip: as many that belong together as do not (paper, 3.4.2)."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import NoDataError
from model.materials import MATERIALS
from training.data.dataset import SPLITS, UNPAIRED, Dataset, Split, Validation
from training.data.labels import draw_groups


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


_TRAIN, _VAL, _TEST = range(len(SPLITS))


def hold_out(dataset: Dataset, validation: Validation, seed: int = 0) -> Dataset:
    """The dataset with its validation data drawn anew from all that is not test data.

    `recording`: as prepared, nothing of a recording (or object) on both sides. `video`: by picture with its clips;
    videos cut from one recording may straddle. `sample`: by clip, so that most validation clips come from a video
    and a picture that training sees; the paper's validation figures are very probably of this kind. The share is
    the one that the dataset was prepared with.
    """
    if validation == "recording":
        return dataset
    labels = dataset.labels
    share = float(dataset.info.source.get("split", {}).get("val_share", 0.2))
    own = labels.clip_picture
    pictures, clips = labels.picture_split.copy(), labels.clip_split.copy()
    open_pictures = np.flatnonzero(pictures != _TEST)
    if validation == "video":
        pictures[open_pictures] = _draw(open_pictures, share, seed)
        clips = np.where(own == UNPAIRED, clips, pictures[own])
        alone = np.flatnonzero((own == UNPAIRED) & (clips != _TEST))
    else:
        alone = np.flatnonzero(clips != _TEST)
        unpaired = np.setdiff1d(open_pictures, own)
        pictures[unpaired] = _draw(unpaired, share, seed)
    clips[alone] = _draw(alone, share, seed)
    changed = replace(labels, picture_split=pictures, clip_split=clips)
    return replace(dataset, labels=changed, shared=validation == "sample" and bool((own != UNPAIRED).any()))


def _draw(members: npt.NDArray[np.intp], share: float, seed: int) -> npt.NDArray[np.int8]:
    """For each member, whether it is held out; members stand for themselves."""
    chosen = draw_groups(map(str, members), share, seed)
    return np.array([_VAL if str(member) in chosen else _TRAIN for member in members], np.int8)


def concerns(dataset: Dataset) -> list[str]:
    """What a user should know before training: materials that a split lacks, in words."""
    labels, found = dataset.labels, []
    for split in SPLITS:
        heard = np.bincount(labels.clip_material[dataset.clips_of(split)], minlength=len(MATERIALS)) > 0
        seen = labels.picture_materials[dataset.pictures_of(split)].sum(axis=0) > 0
        for kind, there in (("clip", heard), ("picture", seen)):
            missing = [material.name for material in MATERIALS if not there[material.id]]
            if missing:
                found.append(f"no {split} {kind} of: {', '.join(missing)}")
        pictures = labels.picture_materials[dataset.pictures_of(split)]
        alone = int((pictures | ~heard).all(axis=1).sum()) if heard.any() else 0
        if alone:
            found.append(
                f"{alone} of {len(pictures)} {split} pictures have no pairs: no {split} clip is of another material"
            )
    return found
