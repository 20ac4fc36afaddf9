"""The plan of an epoch: which pictures and clips are in each batch, and the random numbers of its augmentation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.errors import TrainingError
from model.materials import MATERIALS
from training.data.dataset import UNPAIRED, Dataset
from training.data.pairs import Pairs, draw_pairs
from training.systems.augment_pictures import PICTURE_DRAWS
from training.systems.augment_sounds import SOUND_DRAWS
from training.systems.recipe import Recipe

Rows = npt.NDArray[np.int64]

NOBODY = -1
"""The partner of a clip that was drawn with no picture."""


@dataclass(frozen=True)
class Batch:
    """One step. Each picture is there once, however many clips it is compared with.

    `pictures [P]` and `clips [B]` are rows of the dataset, `partner [B]` the place in `pictures` of the picture
    that a clip was drawn with (NOBODY in a grid); either is empty where the system has no such network. The draws
    are uniform in [0, 1): all random numbers that augmenting this batch takes, so that the result does not depend
    on the device or on the number of processes.
    """

    pictures: Rows
    clips: Rows
    partner: Rows
    picture_draws: npt.NDArray[np.float32]
    clip_draws: npt.NDArray[np.float32]

    @property
    def samples(self) -> int:
        """What the step counts as: its clips (pairs), or the pictures of a system that only sees."""
        return len(self.clips) or len(self.pictures)


def plan_epoch(dataset: Dataset, recipe: Recipe, seed: int, epoch: int) -> list[Batch]:
    """All batches of an epoch; the same arguments give the same plan. Raises TrainingError if there are none."""
    random = np.random.default_rng((seed, epoch))
    if recipe.system == "visual":
        drawn = _visual(dataset, recipe, random)
    elif recipe.system == "tt_agg" and recipe.sampling == "grid":
        drawn = _grid(dataset, recipe, random)
    else:
        drawn = _pairs(dataset, recipe, (seed, epoch), random)
    batches = []
    for pictures, clips, partner in drawn:
        if (recipe.sees and len(pictures) < 2) or (recipe.hears and len(clips) < 2):
            continue  # batch normalisation needs two
        batches.append(
            Batch(
                pictures,
                clips,
                partner,
                random.random((len(pictures), PICTURE_DRAWS), np.float32),
                random.random((len(clips), SOUND_DRAWS), np.float32),
            )
        )
    if not batches:
        raise TrainingError("the train split has fewer than two samples for a batch")
    return batches


_Drawn = Iterator[tuple[Rows, Rows, Rows]]


def _visual(dataset: Dataset, recipe: Recipe, random: np.random.Generator) -> _Drawn:
    pictures = random.permutation(dataset.pictures_of("train"))
    none = np.empty(0, np.int64)
    for part in _parts(pictures, recipe.batch_size):
        yield part, none, none


def _pairs(dataset: Dataset, recipe: Recipe, seed: tuple[int, int], random: np.random.Generator) -> _Drawn:
    """The paper's: balanced pairs for TT_AGG, positive ones for FC_AGG, clips for the sound network."""
    if recipe.system == "sound":
        clips = random.permutation(dataset.clips_of("train"))
        for part in _parts(clips, recipe.batch_size):
            yield np.empty(0, np.int64), part, np.full(len(part), NOBODY)
        return
    pairs = draw_pairs(dataset, "train", seed, recipe.clips_per_picture)
    if recipe.system == "fc_agg":
        kept = pairs.match == 1.0
        pairs = Pairs(pairs.picture[kept], pairs.clip[kept], pairs.match[kept])
    for part in _parts(np.arange(len(pairs.match)), recipe.batch_size):
        pictures, partner = np.unique(pairs.picture[part], return_inverse=True)
        yield pictures, pairs.clip[part], partner


def _grid(dataset: Dataset, recipe: Recipe, random: np.random.Generator) -> _Drawn:
    """As many steps as the training clips fill; each has clips, and pictures drawn independently of them."""
    labels, clips = dataset.labels, dataset.clips_of("train")
    pictures = dataset.pictures_of("train")
    if not len(clips) or not len(pictures):
        raise TrainingError("the train split has no clip, or no picture with a material")
    if recipe.positives == "across":
        _, shown = np.nonzero(labels.picture_materials[pictures])
        if not np.isin(labels.clip_material[clips], shown).any():
            raise TrainingError("the train split has no positives: no clip's material is in any of its pictures")
    steps = max(1, len(clips) // recipe.batch_size)
    wanted = steps * recipe.batch_size
    if recipe.balance:
        order = _balanced(labels.clip_material[clips], labels.clip_group[clips], wanted, random)
    else:
        order = _cycled(len(clips), wanted, random)
    heard = clips[order].reshape(steps, -1)
    if recipe.positives == "own":
        if (labels.clip_picture[clips] == UNPAIRED).any():
            raise TrainingError('positives = "own" needs clips with a picture of their own; the dataset has others')
        for part in heard:
            yield np.unique(labels.clip_picture[part]).astype(np.int64), part, np.full(len(part), NOBODY)
        return
    count = min(recipe.pictures_per_batch, len(pictures))
    if recipe.balance:
        present = labels.picture_materials[pictures]
        owner, material = np.nonzero(present)
        drawn = owner[_balanced(material, labels.picture_group[pictures][owner], steps * count, random)]
    else:
        drawn = _cycled(len(pictures), steps * count, random)
    for seen, part in zip(pictures[drawn].reshape(steps, count), heard, strict=True):
        yield np.unique(seen), part, np.full(len(part), NOBODY)


def _balanced(
    material: npt.NDArray[np.int8] | Rows, group: npt.NDArray[np.str_], count: int, random: np.random.Generator
) -> Rows:
    """`count` indices: the material first, then a recording that has it, then one of its entries there."""
    tree = []
    for each in range(len(MATERIALS)):
        members = np.flatnonzero(material == each)
        if len(members):
            _, inverse = np.unique(group[members], return_inverse=True)
            tree.append([members[inverse == at] for at in range(inverse.max() + 1)])
    picks = random.random((count, 3))
    # Materials go round in shuffled turns rather than by chance, so that a batch holds them evenly.
    turns = np.concatenate([random.permutation(len(tree)) for _ in range(-(-count // len(tree)))])[:count]
    chosen = np.empty(count, np.int64)
    for at, (turn, pick) in enumerate(zip(turns, picks, strict=True)):
        groups = tree[turn]
        members = groups[int(pick[0] * len(groups))]
        chosen[at] = members[int(pick[1] * len(members))]
    return chosen


def _cycled(entries: int, count: int, random: np.random.Generator) -> Rows:
    """`count` indices below `entries`: shuffled passes, one after the other."""
    passes = [random.permutation(entries) for _ in range(-(-count // entries))]
    return np.concatenate(passes)[:count]


def _parts(rows: npt.NDArray[np.intp], size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def samples(batches: Sequence[Batch]) -> int:
    """Samples of all batches."""
    return sum(batch.samples for batch in batches)
