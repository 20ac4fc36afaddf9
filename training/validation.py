"""What validation data must not share with training data: three ways of holding out the same share."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from model.materials import MATERIALS
from training.dataset import SPLITS, UNPAIRED, Dataset
from training.results import Validation
from training.splits import draw_groups

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
