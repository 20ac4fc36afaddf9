"""Training, evaluating and exporting on real files: it learns, resumes to the same bits, refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from model.bundle import ClipSpec, PictureSpec, load_bundle
from model.errors import TrainingError
from model.runtime import TowerRuntime
from training.checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint
from training.commands import evaluate as evaluate_command
from training.commands import export as export_command
from training.commands import train as train_command
from training.dataset import Dataset
from training.device import choose_device
from training.fit import fit
from training.greatest_hits import GreatestHits
from training.pairs import draw_pairs
from training.prepare import PrepareOptions, prepare
from training.recipe import Recipe, load_recipe, recipe_names

CPU = torch.device("cpu")
RECIPE = Recipe(
    name="test",
    image_network="shufflenet_v2_x0_5",
    sound_network="shufflenet_v2_x0_5",
    epochs=3,
    batch_size=16,
    learning_rate=0.05,
    momentum=0.9,
)


@pytest.fixture(scope="session")
def dataset(greatest_hits: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    options = PrepareOptions(PictureSpec(size=32), ClipSpec(sample_rate=16_000, before=0.1, after=0.3))
    return prepare(GreatestHits(greatest_hits), tmp_path_factory.mktemp("prepared") / "d", options)


@pytest.fixture(scope="session")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    recipe = RECIPE.model_copy(update={"epochs": 12})
    fit(dataset, recipe, run, seed=0, device=CPU, say=lambda _: None)
    return run


def weights(checkpoint: Checkpoint) -> bytes:
    return b"".join(value.numpy().tobytes() for value in checkpoint.towers.values())


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


def test_it_learns(run: Path, dataset: Dataset) -> None:
    result = CliRunner().invoke(
        evaluate_command, [str(run), str(dataset.folder), "--json", "--device", "cpu"], catch_exceptions=False
    )
    numbers = json.loads(result.stdout)
    assert numbers == json.loads((run / "evaluation.json").read_text())
    assert numbers["pairs"]["test"]["accuracy"] > 0.75
    found = numbers["recommend"]["own_clips"]
    assert len(found["good_share"]) == 50
    assert found["good_share"][9] > 2 * found["chance"]
    assert found["p_at_10_by_material"].keys() == {"wood", "metal", "glass", "dirt"}
    table = CliRunner().invoke(evaluate_command, [str(run), str(dataset.folder)], catch_exceptions=False)
    assert "Table 5" in table.stdout
    assert "by chance" in table.stdout


@pytest.mark.parametrize("change", [{}, {"loss": "sigmoid", "optimizer": "adamw", "learning_rate": 0.002}])
def test_resumed_it_ends_in_the_same_weights(dataset: Dataset, tmp_path: Path, change: dict[str, object]) -> None:
    recipe = RECIPE.model_copy(update=change)

    def stop_after(epochs: int) -> None:
        def say(line: str) -> None:
            if line.startswith(f"epoch {epochs + 1}/"):
                raise KeyboardInterrupt  # before that epoch's checkpoint is written

        with pytest.raises(KeyboardInterrupt):
            fit(dataset, recipe, tmp_path / "resumed", seed=3, device=CPU, say=say)

    whole = fit(dataset, recipe, tmp_path / "whole", seed=3, device=CPU, say=lambda _: None)
    stop_after(1)
    assert load_checkpoint(tmp_path / "resumed").epoch == 1
    resumed = fit(dataset, recipe, tmp_path / "resumed", seed=3, device=CPU, say=lambda _: None)
    assert weights(resumed) == weights(whole)
    other = fit(dataset, recipe, tmp_path / "other", seed=4, device=CPU, say=lambda _: None)
    assert weights(other) != weights(whole)


def test_a_finished_run_is_left_alone(run: Path, dataset: Dataset) -> None:
    before = (run / CHECKPOINT_FILE).read_bytes()
    recipe = RECIPE.model_copy(update={"epochs": 12})
    assert fit(dataset, recipe, run, seed=0, device=CPU, say=lambda _: None).epoch == 12
    assert (run / CHECKPOINT_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "seed", "message"),
    [
        ({"learning_rate": 0.1}, 0, "another recipe .it differs in learning_rate"),
        ({}, 1, "another seed"),
        ({"epochs": 2}, 0, "12 epochs behind it"),
    ],
)
def test_a_run_of_something_else_is_refused(
    run: Path, dataset: Dataset, change: dict[str, float], seed: int, message: str
) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 12, **change})
    with pytest.raises(TrainingError, match=message):
        fit(dataset, recipe, run, seed=seed, device=CPU, say=lambda _: None)


def test_a_loss_that_is_no_number_stops_with_advice(dataset: Dataset, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"learning_rate": 3e38})
    with pytest.raises(TrainingError, match="lower learning_rate"):
        fit(dataset, recipe, tmp_path / "run", seed=0, device=CPU, say=lambda _: None)
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()


def test_a_broken_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a training run"):
        load_checkpoint(tmp_path)
    data = (run / CHECKPOINT_FILE).read_bytes()
    (tmp_path / CHECKPOINT_FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainingError, match="is broken"):
        load_checkpoint(tmp_path)
    torch.save({"format_version": 7}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match="not a checkpoint of format 1"):
        load_checkpoint(tmp_path)


def test_export(run: Path, dataset: Dataset, tmp_path: Path) -> None:
    result = CliRunner().invoke(export_command, [str(run), str(tmp_path / "bundle")], catch_exceptions=False)
    assert "bundle" in result.output
    bundle = load_bundle(tmp_path / "bundle")
    towers = load_checkpoint(run).build().eval()
    runtime = TowerRuntime(bundle)
    pictures = np.array(dataset.pictures[:20])
    clips = dataset.clip_batch(np.arange(20))
    with torch.inference_mode():
        images, sounds = towers.image(torch.from_numpy(pictures)), towers.sound(torch.from_numpy(clips))
    for ours, theirs in (
        (runtime.embed_pictures(pictures).embedding, images),
        (runtime.embed_clips(clips), sounds),
    ):
        assert (ours * theirs.numpy()).sum(axis=1).min() >= 0.99999
    assert bundle.spec.training["recipe"]["name"] == "test"
    assert bundle.spec.training["dataset"]["id"] == dataset.info.id
    assert bundle.spec.metrics["export_parity"] >= 0.99999


def test_recipes(tmp_path: Path) -> None:
    assert {"paper-resnet18", "paper-vgg16", "demo"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).name == name
    paper = load_recipe("paper-resnet18")
    assert (paper.learning_rate, paper.epochs, paper.flip, paper.momentum) == (0.01, 30, 0.5, 0.0)
    file = tmp_path / "mine.toml"
    for text, message in (
        ('name = "x"\nlearning_rat = 1', "learning_rat: Extra inputs"),
        ('name = "x"\nepochs = 0', "epochs: Input should be greater"),
        ("name = ", "is not TOML"),
    ):
        file.write_text(text)
        with pytest.raises(TrainingError, match=message):
            load_recipe(str(file))
    with pytest.raises(TrainingError, match="no recipe 'papr'; there are"):
        load_recipe("papr")


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(TrainingError, match="there is no device 'quantum'"):
        choose_device("quantum")


def test_the_train_command(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nimage_network = "resnet17"\nepochs = 1\n')
    arguments = [str(dataset.folder), str(tmp_path / "run"), "--recipe", str(file), "--device", "cpu"]
    with pytest.raises(TrainingError, match="no network named 'resnet17'"):
        CliRunner().invoke(train_command, arguments, catch_exceptions=False)
    file.write_text('name = "mine"\nimage_network = "mnasnet0_5"\nsound_network = "squeezenet1_1"\nepochs = 9\n')
    result = CliRunner().invoke(train_command, [*arguments, "--epochs", "1"], catch_exceptions=False)
    assert "epoch 1/1: loss" in result.stdout
    assert load_checkpoint(tmp_path / "run").recipe["epochs"] == 1
