"""Data on the device and data streamed to it are the same steps; several processes' parts make the whole."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.cuda._utils import _get_device_index

from tests.training.meta import OnlyOnMeta
from tests.training.tiny import CPU, GRID, PAIRS, recipe, train, weights
from training.data.dataset import Dataset
from training.loop.device import numbered
from training.loop.device_data import READ_AHEAD, DeviceData, Step, fits
from training.loop.distributed import World
from training.loop.fit import Objective
from training.loop.plan import Batch, plan_epoch
from training.systems.recipe import Recipe
from training.systems.systems import build_system

RECIPES = [
    recipe(PAIRS),
    recipe(GRID, positives="own"),
    recipe(PAIRS, system="sound"),
    recipe(PAIRS, system="visual", batch_size=5),
    recipe(PAIRS, system="fc_agg"),
]


def streamed(dataset: Dataset) -> DeviceData:
    data = DeviceData(dataset, CPU)
    assert data.resident
    data.resident = False
    return data


def tensors(step: Step) -> list[Tensor]:
    return [value for value in chain(step, step.truth) if isinstance(value, Tensor)]


@pytest.mark.parametrize("chosen", RECIPES, ids=lambda chosen: str(chosen.system))
@pytest.mark.parametrize("world", [World(), World(1, 3)])
def test_streamed_steps_are_the_resident_ones(dataset: Dataset, chosen: Recipe, world: World) -> None:
    batches = plan_epoch(dataset, chosen, 0, 0)
    here, there = (list(data.steps(batches, world)) for data in (DeviceData(dataset, CPU), streamed(dataset)))
    assert len(here) == len(there) == len(batches)
    for batch, one, other in zip(batches, here, there, strict=True):
        for kept, sent in zip(tensors(one), tensors(other), strict=True):
            assert kept.dtype == sent.dtype
            assert torch.equal(kept, sent)
        assert (one.seen, one.heard, one.samples) == (other.seen, other.heard, other.samples)
        assert (one.seen, one.heard, one.samples) == (len(batch.pictures), len(batch.clips), batch.samples)


def test_a_gpu_without_a_number_is_streamed_to(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which may not be here: torch's own check of what a thread is told to use, and no copies."""
    told: list[int] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: told.append(_get_device_index(device)))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    monkeypatch.setattr(Tensor, "to", lambda self, *args, **kwargs: self)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    batches = plan_epoch(dataset, recipe(PAIRS), 0, 0)

    data = DeviceData(dataset, torch.device("cuda"))

    assert not data.resident
    assert len(list(data.steps(batches, World()))) == len(batches)
    assert told == [1] * len(batches)
    assert [numbered(device) for device in (CPU, torch.device("cuda", 3))] == [CPU, torch.device("cuda", 3)]


def test_a_step_is_what_the_plan_says(dataset: Dataset) -> None:
    labels = dataset.labels
    batches = plan_epoch(dataset, recipe(PAIRS), 0, 0)
    for batch, step in zip(batches, DeviceData(dataset, CPU).steps(batches, World()), strict=True):
        assert np.array_equal(step.pictures.numpy(), dataset.pictures[batch.pictures])
        assert np.array_equal(step.clips.numpy(), dataset.clips[batch.clips])
        assert np.array_equal(step.truth.present.numpy(), labels.picture_materials[batch.pictures])
        assert np.array_equal(step.truth.material.numpy(), labels.clip_material[batch.clips])
        owned = labels.clip_picture[batch.clips] == batch.pictures[:, None]
        assert np.array_equal(step.truth.owned.numpy(), owned)
        assert step.truth.clip.tolist() == batch.clips.tolist()
        assert step.truth.partner.tolist() == batch.partner.tolist()


def test_trained_on_streamed_data_the_weights_are_the_same(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = train(dataset, recipe(PAIRS, epochs=1), tmp_path / "resident")
    monkeypatch.setattr("training.loop.fit.DeviceData", lambda data, _device: streamed(data))
    assert weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "streamed")) == weights(resident)


@pytest.mark.parametrize(("free", "resident"), [(2.01, True), (1.99, False)])
def test_media_lie_on_the_gpu_where_they_take_no_more_than_half_of_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, free: float, resident: bool
) -> None:
    media = dataset.pictures.nbytes + dataset.clips.nbytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (int(media * free), 10 * media))
    assert fits(torch.device("cuda"), media) is resident
    assert fits(CPU, media)


WHOLE_STEPS = [
    *RECIPES,
    recipe(GRID, heads=0.5, uncertain="masked", pictures={"flip": 0.5, "crop": 0.5, "jitter": 0.2}),
    recipe(GRID, loss="softmax", log_q=0.5, sounds={"shift": 0.02, "noise": 0.5, "time_mask": 0.2}),
    recipe(GRID, loss="softmax", log_q=0.5, log_q_by="material"),
    recipe(PAIRS, system="visual", weighted=True),
]


@pytest.mark.parametrize("chosen", WHOLE_STEPS, ids=lambda chosen: f"{chosen.system} {chosen.loss}")
def test_nothing_in_a_step_waits_for_the_device(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, chosen: Recipe
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no meta device
    system = build_system(chosen, dataset.info, 0).to("meta")
    step = next(DeviceData(dataset, CPU).steps(plan_epoch(dataset, chosen, 0, 0), World()))
    truth = type(step.truth)(*(value.to("meta") for value in step.truth))
    media = {name: value.to("meta") for name, value in step._asdict().items() if isinstance(value, Tensor)}
    there = step._replace(truth=truth, **media)  # type: ignore[arg-type] # of tensors alone
    with OnlyOnMeta():
        loss = Objective(system, World(), bf16=False).train()(there)
        loss.backward()
    assert loss.shape == ()
    assert all(weights.grad is not None for weights in system.parameters())


def test_reading_ahead_is_bounded_and_its_errors_come_out(dataset: Dataset) -> None:
    batches = plan_epoch(dataset, recipe(PAIRS, batch_size=8), 0, 0)
    assert len(batches) > READ_AHEAD + 2
    broken = [*batches[:2], replace(batches[2], clips=np.full(8, 10_000)), *batches[3:]]
    steps = streamed(dataset).steps(broken, World())
    next(steps)
    next(steps)
    with pytest.raises(IndexError):
        next(steps)
    # Left in the middle, nothing keeps running.
    left: Any = streamed(dataset).steps(batches, World())
    next(left)
    left.close()


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 6, 7])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_are_equally_long_and_make_the_whole(rows: int, count: int) -> None:
    whole = np.arange(rows) * 10
    parts = [World(rank, count).scatter(whole) for rank in range(count)]
    assert len({len(part) for part in parts}) == 1
    assert np.concatenate(parts)[:rows].tolist() == whole.tolist()
    # What fills the last part up is a row that is there.
    assert set(np.concatenate(parts).tolist()) == set(whole.tolist())


def test_the_parts_of_processes_make_the_steps_of_one(dataset: Dataset) -> None:
    def step_of(world: World, batches: list[Batch]) -> Step:
        return next(iter(DeviceData(dataset, CPU).steps(batches, world)))

    batches = plan_epoch(dataset, recipe(PAIRS, batch_size=15), 0, 0)[:1]
    whole = step_of(World(), batches)
    parts = [step_of(World(rank, 2), batches) for rank in range(2)]
    for column in ("pictures", "clips", "picture_draws", "clip_draws"):
        joined = torch.cat([getattr(part, column) for part in parts])
        assert torch.equal(joined[: len(getattr(whole, column))], getattr(whole, column))
    for part in parts:
        assert len(part.clips) == 8
        assert all(torch.equal(mine, all_) for mine, all_ in zip(part.truth, whole.truth, strict=True))
