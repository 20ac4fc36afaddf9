"""Which epoch is best, when a run is finished, and its curves."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.errors import TrainingError
from tests.training.tiny import (
    GRID,
    PAIRS,
    recipe,
    train,
)
from training.data.dataset import Dataset
from training.loop import fit as fit_module
from training.loop.checkpoint import BEST_FILE, load_checkpoint
from training.loop.history import FOLDER, Curves, best_epoch, finished


def test_it_stops_when_validation_is_no_longer_better(dataset: Dataset, tmp_path: Path) -> None:
    # So slow that validation says the same after every epoch: the first is the best of equals.
    chosen = recipe(GRID, epochs=9, patience=2, optimizer="sgd", learning_rate=1e-12, dropout=0.0)
    chosen = chosen.model_copy(update={"image_network": "squeezenet1_1", "sound_network": "squeezenet1_1"})
    checkpoint = train(dataset, chosen, tmp_path / "run", steps=1)
    assert (checkpoint.epoch, best_epoch(checkpoint.history)) == (3, 1)
    assert load_checkpoint(tmp_path / "run", BEST_FILE).epoch == 1
    said: list[str] = []
    assert train(dataset, chosen, tmp_path / "run", said.append, steps=1).epoch == 3
    assert [line for line in said if "epoch" in line] == ["going on after epoch 3 of 9"]


def test_which_epoch_is_best() -> None:
    def history(*values: float | None) -> list[dict[str, Any]]:
        return [
            {"epoch": at} | ({} if value is None else {"val": {"monitor": value}})
            for at, value in enumerate(values, 1)
        ]

    assert best_epoch(history(0.1, 0.3, 0.3, 0.2)) == 2
    assert best_epoch(history(None, None)) is None
    assert best_epoch([]) is None
    patient = recipe(PAIRS, epochs=10, patience=2)
    assert not finished(patient, history(0.1, 0.3, 0.2))
    assert finished(patient, history(0.1, 0.3, 0.2, 0.3))
    assert not finished(recipe(PAIRS, epochs=10), history(0.3, 0.2, 0.2, 0.2))
    assert finished(recipe(PAIRS, epochs=2), history(None, None))
    # Without validation there is nothing to be patient about.
    assert not finished(patient, history(None, None, None, None))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_end_no_run(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    run.mkdir()
    (run / FOLDER).write_text("a file where the folder would be")
    assert train(dataset, recipe(PAIRS, epochs=2), run, said.append, steps=1).epoch == 2
    assert load_checkpoint(run).epoch == 2
    (line,) = [line for line in said if "cannot be written" in line]
    assert line == f"{run / FOLDER} cannot be written (File exists): is the disk full? The curves end here"
    # Where nothing more fits at all, it is the checkpoint whose loss ends the run, and it is said in one line.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
        with pytest.raises(TrainingError, match=r"\.pt cannot be written .*is the disk full\?"):
            train(dataset, recipe(PAIRS, epochs=2), tmp_path / "full", said.append, steps=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Traceback" not in capfd.readouterr().err
    with Curves(tmp_path / "late", 0, said.append) as curves:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
            for step in range(500):
                curves.epoch({"epoch": step, "step": step, "loss": 0.5})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said[-1] == f"{tmp_path / 'late' / FOLDER} cannot be written (File too large): " + line.split(": ")[1]
    assert sum("late" in words for words in said) == 1
    assert "Traceback" not in capfd.readouterr().err


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run / FOLDER)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_are_those_of_a_run_that_was_never_interrupted(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "CHECK_EVERY", 2)
    chosen = recipe(PAIRS)
    whole = train(dataset, chosen, tmp_path / "whole")
    validate = fit_module.Trainer._validate

    def interrupted(trainer: fit_module.Trainer) -> dict[str, Any]:
        if len(trainer.history) == 1:
            raise KeyboardInterrupt  # steps of the second epoch are in the curves, its end is not
        return validate(trainer)

    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Trainer, "_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, chosen, tmp_path / "run")
    assert [step for step, _ in scalars(tmp_path / "run")["step/loss"]] == [2, 4, 6, 8, 11, 13, 15, 17]
    train(dataset, chosen, tmp_path / "run")
    found, wanted = scalars(tmp_path / "run"), scalars(tmp_path / "whole")
    assert found.keys() == wanted.keys()
    assert {"epoch/loss", "epoch/val/accuracy", "epoch/val/map", "epoch/samples_per_second"} <= found.keys()
    for tag in found:
        assert [step for step, _ in found[tag]] == [step for step, _ in wanted[tag]]
        if "seconds" not in tag and "second" not in tag:
            assert found[tag] == wanted[tag]
    assert [step for step, _ in found["step/learning_rate"]] == [2, 4, 6, 8, 11, 13, 15, 17, 20, 22, 24, 26]
    assert [value for _, value in found["epoch/loss"]] == pytest.approx([r["loss"] for r in whole.history])


def test_the_learning_rate_rises_and_falls_by_the_step(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "CHECK_EVERY", 1)
    train(dataset, recipe(GRID, epochs=2, schedule="cosine", warm_up=0.25), tmp_path / "run", steps=4)
    rates = [value / 0.003 for _, value in scalars(tmp_path / "run")["step/learning_rate"]]
    done = np.arange(8) / 8
    assert rates == pytest.approx((np.minimum(1, done / 0.25) * (1 + np.cos(np.pi * done)) / 2).tolist(), abs=1e-6)


def without_validation(dataset: Dataset) -> Dataset:
    labels = dataset.labels
    pictures, clips = (
        np.where(split == 1, 0, split).astype(np.int8) for split in (labels.picture_split, labels.clip_split)
    )
    return replace(dataset, labels=replace(labels, picture_split=pictures, clip_split=clips))


def without_positives(dataset: Dataset) -> Dataset:
    """Validation pictures whose materials no validation clip has: water, of which there is no clip."""
    labels = dataset.labels
    held_out = dataset.pictures_of("val")
    materials, owner = labels.picture_materials.copy(), labels.clip_picture.copy()
    materials[held_out] = False
    materials[held_out, 7] = True
    owner[dataset.clips_of("val")] = -1
    return replace(dataset, labels=replace(labels, picture_materials=materials, clip_picture=owner))


@pytest.mark.parametrize("change", [without_validation, without_positives])
def test_without_validation_it_says_so_once_and_goes_on(
    dataset: Dataset, tmp_path: Path, change: Callable[[Dataset], Dataset]
) -> None:
    said: list[str] = []
    checkpoint = train(change(dataset), recipe(GRID, patience=1), tmp_path / "run", said.append, steps=1)
    (line,) = [line for line in said if line.startswith("no validation")]
    assert "the val split has no picture with both a clip of its materials" in line
    assert sum(line.startswith("epoch ") for line in said) == 3
    assert checkpoint.epoch == 3
    assert all("val" not in record for record in checkpoint.history)
    assert not (tmp_path / "run" / BEST_FILE).exists()
    assert {tag for tag in scalars(tmp_path / "run") if "val" in tag} == set()
