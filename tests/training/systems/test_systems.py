"""The paper's four systems: each learns, is measured, prints its table; what is trained is what is exported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from model.bundle import load_bundle
from model.errors import TrainingError
from model.runtime import TowerRuntime
from model.torch_towers.networks import build_network
from tests.training.reproduction.test_report import measures
from tests.training.tiny import CPU, GRID, PAIRS, SHUFFLENET, SQUEEZENET, STEPS, recipe, train
from training.data.dataset import Dataset
from training.loop.checkpoint import CHECKPOINT_FILE, load_checkpoint
from training.measures.evaluate import hear, see
from training.measures.results import RunResult, load_result
from training.systems.recipe import Recipe
from training.systems.systems import TtAgg, build_system
from training.train_commands import evaluate as evaluate_command
from training.train_commands import export as export_command


def evaluated(run: Path, dataset: Dataset, *options: str) -> tuple[str, RunResult]:
    arguments = [str(run), str(dataset.folder), "--device", "cpu", *options]
    result = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, load_result(run)


def learned(system: str, **changes: Any) -> Recipe:
    return recipe(STEPS | {"system": system, "epochs": 12, "batch_size": 8} | changes)


@pytest.mark.parametrize(
    ("chosen", "title", "counted", "measure"),
    [
        (learned("sound"), "Table 2", "48 samples", "accuracy"),
        (learned("visual", epochs=25, batch_size=4, weighted=True), "Table 3", "8 pictures", "map"),
        (learned("fc_agg"), "Table 4", "48 samples", "accuracy"),
    ],
)
def test_a_system_learns_and_is_measured(
    dataset: Dataset, tmp_path: Path, chosen: Recipe, title: str, counted: str, measure: str
) -> None:
    run = tmp_path / "run"
    checkpoint = train(dataset, chosen, run)
    assert checkpoint.history[-1]["loss"] < 0.6 * checkpoint.history[0]["loss"]
    assert measures(chosen.system, 0.5, intervals=False).keys() <= checkpoint.history[0]["val"].keys()
    table, result = evaluated(run, dataset)
    assert (title in table, counted in table) == (True, True)
    assert (result.system, result.checkpoint, result.dataset) == (chosen.system, checkpoint.id, dataset.info.id)
    # Four materials: chance is a quarter.
    value, interval = result.test.rates[measure]
    assert value > 0.6
    assert interval is not None
    assert interval[0] <= value <= interval[1]
    # No towers of a common space, so nothing to recommend by.
    assert result.test.recommended is None
    exported = CliRunner().invoke(export_command, [str(run), str(tmp_path / "bundle")])
    assert isinstance(exported.exception, TrainingError)
    assert str(exported.exception) == f"the run trained {chosen.system}, which has no two towers; tt_agg has"
    assert not (tmp_path / "bundle").exists()


def test_two_towers_learn_from_the_grid(run: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    text, result = evaluated(run, dataset, "--json")
    assert json.loads(text) == result.model_dump(mode="json")
    assert measures("tt_agg", 0.5, intervals=False).keys() <= (result.history[0].val or {}).keys()
    assert result.test.rates["accuracy"].value > 0.75
    recommended = result.test.recommended
    assert recommended is not None
    for found in (recommended.own_clips, recommended.all_events):
        assert found.chance.micro == 0.25
        assert found.p_at["10"].micro > 0.5
        assert len(found.good_share) == 50
        assert found.by_material.keys() == {"wood", "metal", "glass", "dirt"}
    assert recommended.library == len(dataset.clips_of("train"))
    assert [record.epoch for record in result.history] == list(range(1, 13))
    monkeypatch.setenv("COLUMNS", "120")
    table, _ = evaluated(run, dataset)
    words = " ".join(table.split())
    for wanted in ("Table 5", "by chance", "P@10", "nDCG@10", "8 test pictures, 72 training sounds", "coverage@50"):
        assert wanted in words
    macro, interval = recommended.own_clips.map.by("macro")
    assert interval is not None
    assert f"{macro:.4f}" in words
    assert f"({interval[0]:.2f} to {interval[1]:.2f})" in words


def test_two_towers_learn_from_the_papers_pairs(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, recipe(PAIRS, epochs=14), tmp_path / "run")
    _, result = evaluated(tmp_path / "run", dataset)
    assert result.test.rates["accuracy"].value > 0.65
    assert result.test.recommended is not None
    assert result.test.recommended.own_clips.p_at["10"].micro > 0.5


def test_what_is_exported_is_what_was_trained(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    chosen = recipe(GRID | SQUEEZENET, epochs=1, before=0.05, after=0.2, highest_hertz=4000.0)
    train(dataset, chosen, run)
    _, measured = evaluated(run, dataset)
    result = CliRunner().invoke(export_command, [str(run), str(tmp_path / "bundle")], catch_exceptions=False)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.id in result.output
    assert (bundle.spec.clip.before, bundle.spec.clip.after) == (0.05, 0.2)
    assert bundle.spec.training["recipe"]["name"] == chosen.name
    assert bundle.spec.training["dataset"]["id"] == dataset.info.id
    assert bundle.spec.metrics["export_parity"] >= 0.99999
    judged = measured.test.model_dump(mode="json")
    for truth in ("own_clips", "all_events"):
        assert judged["recommend"][truth].pop("by_picture")["group"] == sorted(dataset.labels.picture_id[-8:])
    assert bundle.spec.metrics["test"] == judged
    # The dataset's clips have the hit at 0.1 s: the window around it is all that the tower hears.
    rows = np.arange(8)
    runtime = TowerRuntime(bundle)
    system = load_checkpoint(run).build()
    images, sounds = see(system, dataset, rows, CPU, unit=True), hear(system, dataset, rows, CPU, unit=True)
    assert (runtime.embed_pictures(np.array(dataset.pictures[:8])).embedding * images).sum(axis=1).min() >= 0.99999
    assert (runtime.embed_clips(dataset.clip_batch(rows)[:, 800:4800]) * sounds).sum(axis=1).min() >= 0.99999
    # Trained on, the numbers are of another checkpoint, and stay out of the bundle.
    train(dataset, chosen.model_copy(update={"epochs": 2}), run)
    CliRunner().invoke(export_command, [str(run), str(tmp_path / "later")], catch_exceptions=False)
    assert load_bundle(tmp_path / "later").spec.metrics.keys() == {"export_parity"}


def test_the_papers_network_is_what_is_trained(dataset: Dataset, run: Path) -> None:
    """What training and evaluation see and hear is `TwoTower`, of which the bundle is made."""
    checkpoint = load_checkpoint(run)
    system, towers = checkpoint.build(), checkpoint.towers()
    assert isinstance(system, TtAgg)
    assert (system.towers().image, system.towers().sound) == (system.image, system.sound)
    rows = np.arange(8)
    images, sounds = see(system, dataset, rows, CPU, unit=True), hear(system, dataset, rows, CPU, unit=True)
    pictures, clips = torch.from_numpy(np.array(dataset.pictures[:8])), torch.from_numpy(dataset.clip_batch(rows))
    with torch.inference_mode():
        assert np.array_equal(towers.image(pictures), images)
        assert np.array_equal(towers.sound(clips), sounds)
        assert towers(pictures, clips).tolist() == pytest.approx(((images * sounds).sum(axis=1) + 1) / 2, abs=1e-6)


def test_a_checkpoint_names_the_weights_as_before_there_were_towers(dataset: Dataset, tmp_path: Path) -> None:
    chosen = recipe(GRID, **SHUFFLENET, loss="softmax", log_q=0.5, heads=0.5, average=0.9, epochs=1)
    train(dataset, chosen, tmp_path / "run", steps=1)
    checkpoint = load_checkpoint(tmp_path / "run")
    torch.manual_seed(7)
    networks = {name: build_network("shufflenet_v2_x0_5") for name in ("image", "sound")}
    of_networks = {
        f"{of}.{name}": value for of, net in networks.items() for name, value in net.state_dict().items()
    }
    others = {"loss.log_scale", *(f"frequency.{name}" for name in ("step", "last", "gap"))}
    others |= {f"{of}_head.{name}" for of in networks for name in ("weight", "bias")}
    assert checkpoint.average is not None
    assert checkpoint.system.keys() == checkpoint.average.keys() == of_networks.keys() | others
    # Such names are read, and each weight comes to where it belongs.
    system = build_system(chosen, dataset.info, 0)
    system.load_weights(checkpoint.system | of_networks)
    assert system.image is not None
    assert system.sound is not None
    for tower, network in ((system.image, networks["image"]), (system.sound, networks["sound"])):
        found, wanted = tower.network.state_dict(), network.state_dict()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())
    with pytest.raises(RuntimeError, match=r"Missing key.*head\.weight"):
        system.load_weights(of_networks)


def test_rare_labels_weigh_more_up_to_a_hundred(dataset: Dataset, tmp_path: Path) -> None:
    chosen = recipe(STEPS, system="visual", weighted=True, epochs=1)
    found = train(dataset, chosen, tmp_path / "run").system["pos_weight"]
    present = dataset.labels.picture_materials[dataset.pictures_of("train")]
    for weight, column in zip(found.tolist(), present.T, strict=True):
        positive = int(column.sum())
        # One that no picture has has no positive to weigh.
        assert weight == pytest.approx((12 - positive) / max(1, positive))
    plain = train(dataset, chosen.model_copy(update={"weighted": False}), tmp_path / "plain")
    assert plain.system["pos_weight"].tolist() == [1.0] * 17


def test_evaluating_on_another_dataset_is_refused(run: Path, dataset: Dataset, tmp_path: Path) -> None:
    other = tmp_path / "d"
    other.mkdir()
    for file in dataset.folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    info = json.loads((other / "dataset.json").read_text())
    info["id"] = "0" * 16
    (other / "dataset.json").write_text(json.dumps(info))
    result = CliRunner().invoke(evaluate_command, [str(run), str(other), "--device", "cpu"])
    assert isinstance(result.exception, TrainingError)
    assert "is not the dataset that" in str(result.exception)


def test_the_seed_fixes_the_weights_and_leaves_torchs_generator_alone(dataset: Dataset) -> None:
    before = torch.get_rng_state()
    systems = [build_system(recipe(GRID), dataset.info, seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    states = [b"".join(value.numpy().tobytes() for value in system.state_dict().values()) for system in systems]
    assert states[0] == states[1]
    assert states[0] != states[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"after": 0.5}, r"tiny-grid hears 0\.1 s before and 0\.5 s after a hit, the dataset holds 0\.1 and 0\.3"),
        ({"before": 0.0, "after": 0.001}, r"tiny-grid hears 0\.001 s of a clip; 0\.01 s are the least"),
        ({"before": 0.2}, r"prepare it with --before 0\.2 --after 0\.3"),
        ({"highest_hertz": 9000.0}, r"up to 9000 Hz, .* hold 8000 Hz at most; prepare it with --sample-rate 18000"),
        ({"image_network": "alexnet"}, "alexnet cannot take pictures of 32 x 32"),
        ({"sound_network": "resnet17"}, "no network named 'resnet17'"),
    ],
)
def test_what_the_dataset_cannot_give_is_said(dataset: Dataset, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build_system(recipe(GRID, **change), dataset.info, 0)


def test_dropout_is_the_recipes(dataset: Dataset) -> None:
    for wanted, found in ((None, {0.5}), (0.0, {0.0}), (0.25, {0.25})):
        system = build_system(recipe(GRID, **SQUEEZENET | {"dropout": wanted}), dataset.info, 0)
        layers = [layer for layer in system.modules() if isinstance(layer, torch.nn.Dropout)]
        assert {layer.p for layer in layers} == found


def test_half_precision_computes_about_the_same(dataset: Dataset, tmp_path: Path) -> None:
    chosen = recipe(GRID, **SQUEEZENET, epochs=1)
    full = train(dataset, chosen, tmp_path / "full", precision="fp32")
    half = train(dataset, chosen, tmp_path / "half", precision="bf16")
    assert (full.precision, half.precision) == ("fp32", "bf16")
    assert all(value.dtype != torch.bfloat16 for value in half.system.values())
    assert half.history[0]["loss"] == pytest.approx(full.history[0]["loss"], rel=0.02)
    assert half.history[0]["loss"] != full.history[0]["loss"]


def test_a_checkpoint_names_its_weights(run: Path) -> None:
    checkpoint = load_checkpoint(run)
    assert len(checkpoint.id) == 16
    system = checkpoint.build()
    assert not system.training
    name = next(iter(checkpoint.weights))
    checkpoint.weights[name] += 1
    assert checkpoint.id != load_checkpoint(run).id
    assert (run / CHECKPOINT_FILE).exists()
