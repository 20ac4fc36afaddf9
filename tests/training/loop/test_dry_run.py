"""The dry run says what would be done, fails where training would, and writes nothing."""

import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from model.errors import TrainingError
from tests.training.tiny import (
    EVERYTHING,
    LEARNED,
    PAIRS,
    command,
    recipe,
    train,
    write_recipe,
)
from training.data.dataset import Dataset
from training.train_commands import train as train_command


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
