"""A seeded run repeats, stops with advice where it cannot go on, and compiles what may be compiled."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from model.errors import TrainingError
from tests.training.tiny import (
    CPU,
    EVERYTHING,
    GRID,
    PAIRS,
    SHUFFLENET,
    command,
    recipe,
    train,
    weights,
    write_recipe,
)
from training.data.dataset import Dataset
from training.loop import fit as fit_module
from training.loop.checkpoint import CHECKPOINT_FILE, load_checkpoint
from training.loop.device import choose_device
from training.loop.device_data import Step
from training.loop.fit import fit, may_compile
from training.loop.fit_options import FitOptions
from training.measures.results import RESULT_FILE
from training.systems.systems import System
from training.train_commands import evaluate as evaluate_command


def test_a_seeded_run_repeats_and_another_seed_differs(dataset: Dataset, tmp_path: Path) -> None:
    def trained(name: str, seed: int) -> dict[str, bytes]:
        return weights(train(dataset, recipe(EVERYTHING, epochs=1), tmp_path / name, seed=seed, steps=2))

    first = trained("first", 1)
    assert trained("again", 1) == first
    other = trained("other", 2)
    differing = [name for name in first if name.endswith("weight") and other[name] != first[name]]
    assert len(differing) > 100
    # The largest seed there is, and one more.
    file = write_recipe(tmp_path / "mine.toml", PAIRS, epochs=1)
    arguments = ["--recipe", file, "--steps", 1, "--seed"]
    assert command(dataset, tmp_path / "large", *arguments, 2**32 - 1).exit_code == 0
    assert "is not in the range" in command(dataset, tmp_path / "larger", *arguments, 2**32).output


def too_large(step: object) -> torch.Tensor:
    return torch.empty(2**55, dtype=torch.uint8)


def gpu_says_so(step: object) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("fail", [too_large, gpu_says_so])
def test_out_of_memory_says_what_to_lower(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[object], torch.Tensor]
) -> None:
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run", steps=1))
    monkeypatch.setattr(fit_module.Objective, "forward", lambda _self, step: fail(step))
    with pytest.raises(TrainingError, match=r"ran out of memory; lower batch_size \(now 16\) in the recipe"):
        train(dataset, recipe(PAIRS), tmp_path / "run", steps=1)
    assert weights(load_checkpoint(tmp_path / "run")) == kept
    with pytest.raises(TrainingError, match=r"batch_size \(now 16\) or pictures_per_batch \(12\) in the recipe"):
        train(dataset, recipe(GRID), tmp_path / "grid")


def test_another_error_of_the_device_stays_itself(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module.Objective, "forward", lambda _self, _step: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        train(dataset, recipe(PAIRS), tmp_path / "run")


def test_a_loss_that_is_no_number_stops_with_advice(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1: lower learning_rate \(now 3e\+38\)"):
        train(dataset, recipe(PAIRS, learning_rate=3e38), tmp_path / "run", steps=3)
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()


def test_weights_that_the_last_step_broke_are_not_kept(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step an epoch: its loss is of the weights before it."""
    with pytest.raises(TrainingError, match=r"after epoch 1: lower learning_rate \(now 3e\+38\) in the recipe$"):
        train(dataset, recipe(PAIRS, learning_rate=3e38), tmp_path / "new", steps=1)
    assert not (tmp_path / "new" / CHECKPOINT_FILE).exists()
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run", steps=1))
    whole = fit_module.Trainer._step

    def breaking(trainer: fit_module.Trainer, step: Step) -> torch.Tensor:
        loss = whole(trainer, step)
        with torch.no_grad():
            next(trainer.system.parameters()).fill_(torch.inf)
        return loss

    monkeypatch.setattr(fit_module.Trainer, "_step", breaking)
    with pytest.raises(TrainingError, match=r"are no longer finite after epoch 2: .*before it is kept here$"):
        train(dataset, recipe(PAIRS, epochs=2), tmp_path / "run", steps=1)
    assert weights(load_checkpoint(tmp_path / "run")) == kept


def test_a_train_split_without_positives_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """Training pictures whose materials no training clip has: water, of which there is no clip."""
    labels, materials = dataset.labels, dataset.labels.picture_materials.copy()
    pictures = dataset.pictures_of("train")
    materials[pictures] = False
    materials[pictures, 7] = True
    owner = np.full_like(labels.clip_picture, -1)
    lopsided = replace(dataset, labels=replace(labels, picture_materials=materials, clip_picture=owner))
    for keys, message in (
        (GRID, "the train split has no positives"),
        (PAIRS, "the train split has no picture with"),
    ):
        with pytest.raises(TrainingError, match=message):
            train(lopsided, recipe(keys), tmp_path / "run")
        assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()


def broken_outputs(*_: object, **__: object) -> NoReturn:
    raise TrainingError("a network's output is not finite: its weights are broken")


def test_weights_that_validation_finds_broken_are_not_kept(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run", steps=1))
    with monkeypatch.context() as patched:
        patched.setattr("training.measures.evaluate.measure_pairs", broken_outputs)
        with pytest.raises(TrainingError, match=r"weights are broken: lower learning_rate .* is kept here$"):
            train(dataset, recipe(PAIRS, epochs=2), tmp_path / "run", steps=1)
        assert weights(load_checkpoint(tmp_path / "run")) == kept
        evaluated = CliRunner().invoke(evaluate_command, [str(tmp_path / "run"), str(dataset.folder)])
    assert "weights are broken" in str(evaluated.exception)
    assert not (tmp_path / "run" / RESULT_FILE).exists()


def test_the_train_command(dataset: Dataset, tmp_path: Path) -> None:
    file = write_recipe(tmp_path / "mine.toml", SHUFFLENET | {"name": "mine", "epochs": 9})
    result = command(dataset, tmp_path / "run", "--recipe", file, "--epochs", 1, "--steps", 2)
    assert "epoch 1/1: loss" in result.stdout
    assert "trained:" in result.stdout
    checkpoint = load_checkpoint(tmp_path / "run")
    assert (checkpoint.recipe["epochs"], checkpoint.history[0]["step"]) == (1, 2)
    assert json.dumps(checkpoint.history)  # plain numbers


@pytest.mark.parametrize("wanted", [None, True, False])
def test_what_gpus_normalise_together_is_not_compiled(wanted: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    options = FitOptions(torch.device("cuda", 0), compile=wanted)
    alone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    together = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4))
    said: list[str] = []

    assert may_compile(options, alone, said.append) is (wanted is not False)
    assert said == []
    if wanted:
        with pytest.raises(TrainingError, match="leave out --compile"):
            may_compile(options, together, said.append)
    else:
        assert not may_compile(options, together, said.append)
        assert len(said) == (wanted is None)


def test_a_network_is_compiled_where_it_may_be(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []

    def compile_it(self: nn.Module) -> None:
        compiled.append(self)

    monkeypatch.setattr(nn.Module, "compile", compile_it)
    options = FitOptions(CPU, compile=True, steps=1)
    fit(dataset, recipe(GRID, epochs=1), tmp_path / "alone", options, print)
    assert len(compiled) == 2

    # Stands for what several GPUs make of the networks, which this machine cannot.
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    monkeypatch.setattr(System, "to", lambda self, *args, **kwargs: convert(self))
    with pytest.raises(TrainingError, match="leave out --compile"):
        fit(dataset, recipe(GRID, epochs=1), tmp_path / "together", options, print)
    assert not list((tmp_path / "together").glob("*.pt"))
    assert len(compiled) == 2


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(TrainingError, match="there is no device 'quantum'"):
        choose_device("quantum")
