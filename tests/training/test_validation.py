"""Three ways of holding out validation data: what each shares with training data, how much, test data untouched."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.bundle import ClipSpec, PictureSpec
from tests.training.conftest import write_greatest_hits
from tests.training.tiny import GRID, PAIRS, recipe, train
from training.data.dataset import UNPAIRED, Dataset, Split, Validation
from training.data.greatest_hits import GreatestHits
from training.data.labels import draw_groups
from training.data.pairs import concerns, draw_pairs, hold_out
from training.data.prepare import PrepareOptions, prepare

WAYS: tuple[Validation, ...] = ("recording", "video", "sample")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty videos, two of each recording."""
    folder = tmp_path_factory.mktemp("many")
    write_greatest_hits(folder / "vis-data", videos=60, hits=5)
    options = PrepareOptions(PictureSpec(size=32), ClipSpec(sample_rate=8_000, before=0.1, after=0.2))
    return prepare(GreatestHits(folder / "vis-data", 5), folder / "d", options)


def recordings(dataset: Dataset, split: Split) -> set[str]:
    return set(dataset.labels.clip_group[dataset.clips_of(split)].tolist())


def videos(dataset: Dataset, split: Split) -> set[int]:
    return set(dataset.labels.clip_picture[dataset.clips_of(split)].tolist())


@pytest.mark.parametrize("way", WAYS)
def test_test_data_is_never_touched(many: Dataset, way: Validation) -> None:
    held_out = hold_out(many, way)
    assert held_out.clips_of("test").tolist() == many.clips_of("test").tolist()
    assert held_out.pictures_of("test").tolist() == many.pictures_of("test").tolist()
    assert not set(held_out.pictures_of("test")) & {*held_out.pictures_of("train"), *held_out.pictures_of("val")}
    assert not recordings(held_out, "test") & (recordings(held_out, "train") | recordings(held_out, "val"))
    assert held_out.info == many.info


@pytest.mark.parametrize("way", WAYS)
def test_every_clip_is_on_one_side_and_the_share_is_as_prepared(many: Dataset, way: Validation) -> None:
    held_out = hold_out(many, way)
    train_clips, val_clips = held_out.clips_of("train"), held_out.clips_of("val")
    assert sorted([*train_clips, *val_clips]) == np.flatnonzero(many.labels.clip_split != 2).tolist()
    assert len(val_clips) == pytest.approx(0.2 * 40 * 5, rel=0.15)


def test_what_each_way_shares(many: Dataset) -> None:
    recording, video, sample = (hold_out(many, way) for way in WAYS)
    assert not recordings(recording, "train") & recordings(recording, "val")
    assert not videos(recording, "train") & videos(recording, "val")
    assert recordings(video, "train") & recordings(video, "val")
    assert not videos(video, "train") & videos(video, "val")
    assert not set(video.pictures_of("train")) & set(video.pictures_of("val"))
    # By sample, most validation clips come from a video that training sees, and so does their picture.
    shared = videos(sample, "train") & videos(sample, "val")
    assert len(shared) > 0.8 * len(videos(sample, "val"))
    assert set(sample.pictures_of("val")) == videos(sample, "val")
    assert set(sample.pictures_of("train")) == videos(sample, "train")
    for dataset in (recording, video, sample):
        for split in ("train", "val"):
            own = dataset.own_clips(split)
            assert sorted(np.concatenate(list(own.values()))) == dataset.clips_of(split).tolist()
            pairs = draw_pairs(dataset, split, (0,))
            assert set(pairs.clip) <= set(dataset.clips_of(split))


def test_the_same_seed_draws_the_same(many: Dataset) -> None:
    for way in ("video", "sample"):
        first, again, other = (hold_out(many, way, seed).clips_of("val").tolist() for seed in (0, 0, 1))
        assert first == again
        assert first != other
    assert hold_out(many, "recording", 1).clips_of("val").tolist() == many.clips_of("val").tolist()


def test_pictures_and_clips_without_each_other_are_held_out_too(many: Dataset) -> None:
    labels = many.labels
    # Every second picture has no clips of its own, and their clips no picture.
    owner = np.where(labels.clip_picture % 2 == 0, UNPAIRED, labels.clip_picture).astype(np.int32)
    mixed = replace(many, labels=replace(labels, clip_picture=owner))
    open_pictures = np.flatnonzero(labels.picture_split != 2)
    for way in ("video", "sample"):
        held_out = hold_out(mixed, way)
        for kind in (0, 1):
            alone = {
                split: [at for at in held_out.pictures_of(split) if at % 2 == kind] for split in ("train", "val")
            }
            assert min(len(part) for part in alone.values()) > 0
            assert {*alone["train"], *alone["val"]} == {at for at in open_pictures if at % 2 == kind}
        clips = [set(held_out.clips_of(split)) for split in ("train", "val", "test")]
        assert sum(map(len, clips)) == len(owner)
        unpaired = set(np.flatnonzero((owner == UNPAIRED) & (labels.clip_split != 2)))
        # By sample they are drawn together with the others, so that their own share is left to chance.
        assert len(clips[1] & unpaired) == pytest.approx(0.2 * len(unpaired), rel=0.2 if way == "video" else 0.6)
        for split in ("train", "val"):
            alone_pictures = {at for at in held_out.pictures_of(split) if at % 2 == 0}
            assert alone_pictures <= set(draw_pairs(held_out, split, (0,)).picture)


@pytest.mark.parametrize("way", ["video", "sample"])
def test_training_uses_what_is_left(dataset: Dataset, tmp_path: Path, way: Validation) -> None:
    checkpoint = train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run", validation=way)
    assert checkpoint.validation == way
    held_out = hold_out(dataset, way)
    positives = draw_pairs(held_out, "train", (0, 0)).match.sum()
    assert checkpoint.history[0]["step"] == -(-2 * positives // 16)
    pairs = checkpoint.history[0]["val"]["pairs"]
    assert pairs == len(draw_pairs(held_out, "val", (0, 1_000_003)).match)
    grid = train(dataset, recipe(GRID, epochs=1), tmp_path / "grid", validation=way)
    assert "map" in grid.history[0]["val"]


def test_groups_are_drawn_whole_and_about_as_many_as_asked() -> None:
    groups = [f"recording {index // 3}" for index in range(300)]
    chosen = draw_groups(groups, 0.2, seed=0)
    assert sum(group in chosen for group in groups) == pytest.approx(60, abs=6)
    assert chosen == draw_groups(reversed(groups), 0.2, seed=0)
    assert chosen != draw_groups(groups, 0.2, seed=1)
    # One large group is not swallowed whole.
    assert draw_groups(["large"] * 90 + ["small"] * 10, 0.1, seed=0) == {"small"}


def test_pictures_that_give_no_pairs_are_told(dataset: Dataset) -> None:
    assert not [concern for concern in concerns(dataset) if "have no pairs" in concern]
    present = dataset.labels.picture_materials.copy()
    all_of_them = dataset.pictures_of("val")
    present[all_of_them[:2]] = True
    telling = replace(dataset, labels=replace(dataset.labels, picture_materials=present))
    assert f"2 of {len(all_of_them)} val pictures have no pairs: no val clip is of another material" in concerns(
        telling
    )
    assert len(np.unique(draw_pairs(telling, "val", (0,)).picture)) == len(all_of_them) - 2
