"""The plan of an epoch: what stands in each batch, how evenly, and that the same arguments give the same plan."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.errors import TrainingError
from model.materials import MATERIALS
from tests.training.tiny import GRID, PAIRS, recipe
from training.data.dataset import Dataset
from training.data.pairs import draw_pairs
from training.loop.plan import Batch, plan_epoch, samples
from training.systems.augment_pictures import PICTURE_DRAWS
from training.systems.augment_sounds import SOUND_DRAWS


def planned(dataset: Dataset, keys: dict[str, Any], seed: int = 0, epoch: int = 0, **changes: Any) -> list[Batch]:
    return plan_epoch(dataset, recipe(keys | changes), seed, epoch)


def heard(batches: list[Batch]) -> list[int]:
    return [int(clip) for batch in batches for clip in batch.clips]


def with_labels(dataset: Dataset, **columns: Any) -> Dataset:
    return replace(dataset, labels=replace(dataset.labels, **columns))


def uneven(dataset: Dataset) -> Dataset:
    """Of all but the first material of the dataset, one video's clips alone are left for training."""
    labels = dataset.labels
    train = dataset.pictures_of("train")
    material = labels.picture_materials[train].argmax(axis=1)
    kept = {int(train[material == each][0]) for each in np.unique(material)[1:]}
    kept |= set(train[material == material.min()].tolist())
    split = np.where(np.isin(np.arange(len(labels.picture_split)), list(kept)), labels.picture_split, 2)
    return with_labels(
        dataset, picture_split=split.astype(np.int8), clip_split=split[labels.clip_picture].astype(np.int8)
    )


def test_pairs_are_balanced_and_say_the_truth(dataset: Dataset) -> None:
    pairs = draw_pairs(dataset, "train", (0, 0))
    labels = dataset.labels
    assert pairs.match.mean() == 0.5
    # Every positive is a picture with one of its own clips, each clip once (paper, 3.4.2).
    positive = pairs.match == 1.0
    assert (labels.clip_picture[pairs.clip[positive]] == pairs.picture[positive]).all()
    assert sorted(pairs.clip[positive]) == dataset.clips_of("train").tolist()
    inside = labels.picture_materials[pairs.picture, labels.clip_material[pairs.clip]]
    assert (inside == positive).all()
    again, other = draw_pairs(dataset, "train", (0, 0)), draw_pairs(dataset, "train", (0, 1))
    assert (pairs.clip.tolist(), pairs.picture.tolist()) == (again.clip.tolist(), again.picture.tolist())
    assert (pairs.clip != other.clip).any()


def test_a_batch_of_pairs_holds_each_picture_once(dataset: Dataset) -> None:
    batches = planned(dataset, PAIRS, batch_size=15)
    pairs = draw_pairs(dataset, "train", (0, 0))
    seen = [int(batch.pictures[at]) for batch in batches for at in batch.partner]
    assert (seen, heard(batches)) == (pairs.picture.tolist(), pairs.clip.tolist())
    assert [batch.samples for batch in batches] == [15] * 9 + [9]
    assert samples(batches) == 144
    for batch in batches:
        assert len(set(batch.pictures.tolist())) == len(batch.pictures) < len(batch.clips)


@pytest.mark.parametrize("system", ["sound", "fc_agg"])
def test_each_clip_is_heard_once_an_epoch(dataset: Dataset, system: str) -> None:
    batches = planned(dataset, PAIRS, system=system)
    assert sorted(heard(batches)) == dataset.clips_of("train").tolist()
    for batch in batches:
        if system == "sound":
            assert (len(batch.pictures), set(batch.partner.tolist())) == (0, {-1})
        else:
            own = dataset.labels.clip_picture[batch.clips]
            assert batch.pictures[batch.partner].tolist() == own.tolist()


def test_the_visual_network_sees_each_picture_once_an_epoch(dataset: Dataset) -> None:
    batches = planned(dataset, PAIRS, system="visual", batch_size=5)
    assert [batch.samples for batch in batches] == [5, 5, 2]
    seen = np.concatenate([batch.pictures for batch in batches])
    assert sorted(seen) == dataset.pictures_of("train").tolist()
    assert heard(batches) == []


def test_a_grid_goes_through_all_clips_before_any_again(dataset: Dataset) -> None:
    batches = planned(dataset, GRID, batch_size=16, pictures_per_batch=5)
    assert [len(batch.clips) for batch in batches] == [16] * 4
    assert len(set(heard(batches))) == 64
    for batch in batches:
        # A pass over the pictures can end within a batch, and the next begin with one of the same.
        assert 2 <= len(batch.pictures) <= 5
        assert (np.diff(batch.pictures) > 0).all()
        assert set(batch.partner.tolist()) == {-1}
    # More pictures asked for than there are: all of them.
    for batch in planned(dataset, GRID, pictures_per_batch=500):
        assert batch.pictures.tolist() == dataset.pictures_of("train").tolist()
    # More clips asked for than there are: one step that holds some of them twice.
    (whole,) = planned(dataset, GRID, batch_size=100)
    assert np.bincount(np.unique(whole.clips, return_counts=True)[1]).tolist() == [0, 44, 28]


def test_a_balanced_grid_holds_materials_evenly(dataset: Dataset) -> None:
    lopsided = uneven(dataset)
    labels = lopsided.labels
    counts = np.bincount(labels.clip_material[lopsided.clips_of("train")])
    assert counts.max() >= 2 * counts[counts > 0].min()
    batches = planned(lopsided, GRID, batch_size=10, pictures_per_batch=6, balance=True)
    for batch in batches:
        of_clips = np.bincount(labels.clip_material[batch.clips], minlength=len(MATERIALS))
        assert of_clips[counts == 0].sum() == 0 if len(counts) == len(MATERIALS) else True
        assert of_clips.max() - of_clips[of_clips > 0].min() <= 2
        assert (of_clips > 0).sum() == 4
    total = np.bincount(labels.clip_material[heard(batches)])
    assert total[total > 0].max() - total[total > 0].min() <= 1
    # Not balanced, they are heard as often as there are clips of them.
    plain = planned(lopsided, GRID, batch_size=10, pictures_per_batch=6)
    found = np.bincount(labels.clip_material[heard(plain)])
    assert found.max() - found[found > 0].min() > 2


def test_own_positives_bring_the_clips_own_pictures(dataset: Dataset) -> None:
    owner = dataset.labels.clip_picture
    for batch in planned(dataset, GRID, positives="own"):
        assert batch.pictures.tolist() == sorted(set(owner[batch.clips].tolist()))
    unpaired = with_labels(dataset, clip_picture=np.full_like(owner, -1))
    with pytest.raises(TrainingError, match="needs clips with a picture of their own"):
        planned(unpaired, GRID, positives="own")


@pytest.mark.parametrize("keys", [PAIRS, GRID, GRID | {"balance": True}, PAIRS | {"system": "visual"}])
def test_the_same_seed_gives_the_same_plan(dataset: Dataset, keys: dict[str, Any]) -> None:
    def content(batches: list[Batch]) -> list[bytes]:
        return [column.tobytes() for batch in batches for column in vars(batch).values()]

    once = content(planned(dataset, keys, 3, 5))
    assert content(planned(dataset, keys, 3, 5)) == once
    assert content(planned(dataset, keys, 4, 5)) != once
    assert content(planned(dataset, keys, 3, 6)) != once


def test_every_row_has_draws_of_its_own(dataset: Dataset) -> None:
    batches = planned(dataset, PAIRS)
    for batch in batches:
        assert batch.picture_draws.shape == (len(batch.pictures), PICTURE_DRAWS)
        assert batch.clip_draws.shape == (len(batch.clips), SOUND_DRAWS)
    draws = np.concatenate([batch.clip_draws.ravel() for batch in batches])
    assert (draws.min() >= 0.0, draws.max() < 1.0) == (True, True)
    assert len(np.unique(draws)) > 0.99 * len(draws)
    assert draws.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "keys",
    [
        *(PAIRS | {"system": system} for system in ("tt_agg", "fc_agg", "sound", "visual")),
        GRID,
        GRID | {"balance": True},
        GRID | {"positives": "own"},
    ],
)
def test_nothing_to_train_on_is_said(dataset: Dataset, keys: dict[str, Any]) -> None:
    all_test = np.full_like(dataset.labels.picture_split, 2), np.full_like(dataset.labels.clip_split, 2)
    empty = with_labels(dataset, picture_split=all_test[0], clip_split=all_test[1])
    with pytest.raises(TrainingError, match="the train split has"):
        planned(empty, keys)


@pytest.mark.parametrize("keys", [PAIRS, GRID, PAIRS | {"system": "fc_agg"}, PAIRS | {"system": "visual"}])
def test_no_side_of_a_batch_is_a_single_row(dataset: Dataset, keys: dict[str, Any]) -> None:
    """Batch normalisation of a feature map of one pixel refuses a single picture."""
    for size in (2, 3, 11):
        for batch in planned(dataset, keys, batch_size=size):
            assert len(batch.pictures) >= 2
            assert len(batch.clips) != 1
