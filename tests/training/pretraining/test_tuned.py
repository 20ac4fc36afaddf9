"""Fine-tuned networks: `thud fine-tune`, their files, and what `thud pretrain` makes of them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click import Command
from click.testing import CliRunner, Result

from model import PRETRAINED
from model.bundle import load_bundle
from model.errors import TrainingError
from model.materials import MATERIALS
from tests.training.pretraining.conftest import SMALL, take_towers
from tests.training.pretraining.test_bad_input import rows_of, write_manifest
from training.pretraining.classifier import LinearClassifier
from training.pretraining.features import pretrained_network
from training.pretraining.held_out import hold_out_pictures
from training.pretraining.left_out_groups import left_out_groups
from training.pretraining.material_files import read_material_files
from training.pretraining.pooling import CentredNetwork
from training.pretraining.pretrain_commands import pretrain
from training.pretraining.pretraining_data import PretrainingData, gather_pictures
from training.pretraining.tuned_weights import SHIPPED, AboutTuned, TunedWeights, save_tuned
from training.pretraining.tuning.fine_tune import small_pictures, tuned_without
from training.pretraining.tuning.fine_tune_commands import fine_tune
from training.pretraining.tuning.tune import TuningRecipe

QUICK = TuningRecipe(size=32, batch=4, steps=2, warm_up=1, seeds=(0, 1))
FILES = ("without-first.npz", "without-second.npz", "all.npz")


def run(data: Path, out: Path, work: Path, *options: str, command: Command = fine_tune) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
        patch.setattr("training.pretraining.tuning.tune.TuningRecipe", lambda: QUICK)
        return CliRunner().invoke(command, [str(data), str(out), "--work", str(work), "--threads", "1", *options])


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of networks, and that of features."""
    folder = tmp_path_factory.mktemp("tuned")
    result = run(data, folder / "networks", folder / "work")
    assert result.exit_code == 0, result.output
    assert "22 pictures of 2 groups are fitted on" in result.stdout
    return folder / "networks", folder / "work"


def test_there_is_a_network_of_all_photographs_and_one_without_each_group(made: tuple[Path, Path]) -> None:
    weights = TunedWeights(made[0])
    assert {file.name for file in made[0].iterdir()} == set(FILES)
    assert weights.about(None).sources == {"first": 11, "second": 11}  # one of twelve is a query; closed is closed
    assert weights.about("first").sources == {"second": 11}
    assert weights.about("first").recipe["steps"] == 2
    before = pretrained_network(SMALL.image_network)
    tuned, classifier = weights.network(None)
    changed = [
        bool((one != other).any())
        for one, other in zip(tuned.features.parameters(), before.features.parameters(), strict=True)
    ]
    assert np.mean(changed) > 0.9
    assert classifier.weight.shape == (len(MATERIALS), 1280)
    torch.testing.assert_close(tuned.projection.weight, before.projection.weight)
    for one, other in zip(tuned.features.buffers(), before.features.buffers(), strict=True):
        torch.testing.assert_close(one, other)  # batch normalisation is kept


def test_what_is_there_is_not_fitted_again_and_what_is_damaged_is(
    data: Path, made: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "networks"
    out.mkdir()
    for name in FILES[:2]:
        (out / name).write_bytes((made[0] / name).read_bytes())
    (out / FILES[1]).write_bytes((out / FILES[1]).read_bytes()[:2000])
    with np.load(made[0] / FILES[2]) as stored:
        arrays = {name: stored[name] for name in stored}
    np.savez(out / FILES[2], **{**arrays, "classifier bias": np.full(len(MATERIALS), np.nan, np.float32)})
    kept = (out / FILES[0]).stat().st_mtime_ns
    work = tmp_path / "work"
    shutil.copytree(made[1], work, ignore=shutil.ignore_patterns("tuned-*"))  # no run of one seed is kept
    result = run(data, out, work)
    assert result.exit_code == 0, result.output
    assert f"{out / FILES[0]} is there" in result.stdout
    assert (out / FILES[0]).stat().st_mtime_ns == kept
    for name in FILES:
        assert (out / name).read_bytes() == (made[0] / name).read_bytes(), name


def test_photographs_of_one_group_are_not_enough(data: Path, made: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(data, tmp_path / "networks", tmp_path / "work", "--open-only")
    assert isinstance(result.exception, TrainingError)
    assert "pictures that may be fitted on come from fewer than 2 groups" in str(result.exception)
    assert not any(tmp_path.iterdir())


def test_a_group_of_which_no_photograph_can_be_read_is_none(data: Path, tmp_path: Path) -> None:
    rows = [row for row in rows_of(data) if row[0] == "image" and row[3] != "closed"]
    junk = tmp_path / "junk.png"
    junk.write_text("no picture")
    write_manifest(tmp_path, [[row[0], str(junk) if row[3] == "second" else row[1], *row[2:]] for row in rows])
    result = run(tmp_path, tmp_path / "networks", tmp_path / "work")
    assert isinstance(result.exception, TrainingError)
    assert "fewer than 2 groups" in str(result.exception)
    assert not (tmp_path / "networks").exists()


def test_a_folder_of_other_things_and_one_without_a_name_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(data, data, tmp_path / "work")
    assert isinstance(result.exception, TrainingError)
    assert "holds other files" in str(result.exception)
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "/"):
        nameless = CliRunner().invoke(fine_tune, [str(data), name])
        assert isinstance(nameless.exception, TrainingError), name
        assert "has no name of its own" in str(nameless.exception)
    assert not any(tmp_path.iterdir())


def test_without_any_photograph_that_may_be_fitted_on_the_reason_is_given(data: Path, tmp_path: Path) -> None:
    rows = [row for row in rows_of(data) if row[0] == "image"]
    write_manifest(tmp_path, [[*row[:4], "CC BY-NC 4.0", row[5]] for row in rows])
    result = run(tmp_path, tmp_path / "networks", tmp_path / "work")
    assert isinstance(result.exception, TrainingError)
    assert "may be fitted on: their licences are non-commercial" in str(result.exception)


def test_each_group_is_seen_by_a_network_that_has_not_seen_it(data: Path, made: tuple[Path, Path]) -> None:
    recipe = SMALL.model_copy(update={"tuned": True})
    found = gather_pictures(data, made[1], recipe, tuned=TunedWeights(made[0]))
    assert set(found.seen_without) == {"first", "second"}
    first = found.by_network_without("first")
    assert (first.picture_features != found.picture_features).any()
    assert found.by_network_without("closed") is found
    vectors, _ = hold_out_pictures(found, recipe)
    # Only what is left out of a group's network moves the group's vectors.
    second = replace(found.seen_without["second"], pictures=-found.seen_without["second"].pictures)
    other, _ = hold_out_pictures(replace(found, seen_without={**found.seen_without, "second": second}), recipe)
    moved = (vectors != other).any(dim=1).numpy()
    assert set(found.pictures.source[moved].tolist()) == {"second"}


def test_networks_of_other_photographs_or_of_several_runs_are_refused(
    data: Path, made: tuple[Path, Path], tmp_path: Path
) -> None:
    files = read_material_files(data, "image")
    weights = TunedWeights(tmp_path)
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    weights.check(data, files)
    renamed = np.where(files.source == "second", "third", files.source)
    paths = (files.paths[0].with_name("renamed.png"), *files.paths[1:])
    material = np.where(files.material == files.material[0], (files.material + 1) % 17, files.material)
    for other in (
        replace(files, source=renamed),
        replace(files, source=renamed, group=renamed),
        replace(files, material=material),
        files.only(np.arange(len(files)) > 0),
        replace(files, paths=paths),
    ):
        with pytest.raises(TrainingError, match=r"all.npz was fitted on other photographs than these of"):
            weights.check(data, other)
    one = replace(files, group=np.where(files.source == "second", "first", files.group))
    with pytest.raises(TrainingError, match=r"was fitted on other photographs than these of"):
        weights.check(data, one)
    network, classifier = weights.network("first")
    about = weights.about("first")
    recipe = {**about.recipe, "steps": 3}
    save_tuned(weights.file("first"), network.features, classifier, about.model_copy(update={"recipe": recipe}))
    with pytest.raises(TrainingError, match=r"without-first.npz was fitted on other photographs than these of"):
        weights.check(data, files)
    weights.file("first").unlink()
    with pytest.raises(TrainingError, match=r"without-first.npz is not there; `thud fine-tune` writes it"):
        weights.check(data, files)


@pytest.mark.usefixtures("found")
def test_a_bundle_is_made_by_networks_that_were_fitted_on_its_photographs(
    data: Path, work: Path, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_bundle(PRETRAINED)
    towers = take_towers(monkeypatch, shipped, shipped)
    features = tmp_path / "work"
    shutil.copytree(work, features)
    shutil.copytree(made[1], features, dirs_exist_ok=True)
    result = run(data, tmp_path / "bundle", features, "--tuned", str(made[0]), command=pretrain)
    assert result.exit_code == 0, result.output
    training = load_bundle(tmp_path / "bundle").spec.training
    assert training["fine_tuned"]["pictures"] == {"first": 11, "second": 11}
    assert training["fine_tuned"]["recipe"]["steps"] == QUICK.steps
    assert training["recipe"]["tuned"]
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "fine-tuned on 22 of the photographs below" in " ".join(card.split())
    (network,) = (two.image.network for two in towers)
    tuned, _ = TunedWeights(made[0]).network(None)
    assert isinstance(network, CentredNetwork)
    for one, other in zip(network.features.parameters(), tuned.features.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.usefixtures("found")
def test_networks_of_other_photographs_are_refused_and_those_that_ship_are_not_taken(
    data: Path, work: Path, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "data"
    shutil.copytree(data, other)
    shutil.copy(other / "1.png", other / "0.png")
    result = run(other, tmp_path / "bundle", tmp_path / "work", "--tuned", str(made[0]), command=pretrain)
    assert str(result.exception) == (
        f"{made[0] / 'all.npz'} was fitted on other photographs than these of {other}; run `thud fine-tune` anew, "
        "with the options of this run"
    )
    assert not (tmp_path / "work").exists()

    def held_out(*_: object) -> None:
        raise TrainingError("far enough")

    monkeypatch.setattr("training.pretraining.build.hold_out", held_out)
    monkeypatch.setattr("tests.training.pretraining.test_tuned.SMALL", SMALL.model_copy(update={"tuned": True}))
    shutil.copytree(work, tmp_path / "work")
    result = run(data, tmp_path / "bundle", tmp_path / "work", command=pretrain)
    assert str(result.exception) == "far enough"
    assert f"the picture network is ImageNet's: {SHIPPED / 'all.npz'} was fitted on other" in result.stdout
    result = run(
        data, tmp_path / "bundle", made[1], "--tuned", str(made[0]), "--leave-out", "first", command=pretrain
    )
    assert "--tuned and --leave-out exclude each other" in result.output


def test_a_file_that_is_none_is_refused_by_name(made: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "all.npz"
    file.write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"all.npz has no fine-tuned weights: it is no NumPy archive"):
        TunedWeights(tmp_path).about(None)
    np.savez(file, about=np.array(json.dumps({"network": "efficientnet_lite0"})))
    with pytest.raises(TrainingError, match=r"all.npz has no fine-tuned weights: what it says of itself cannot be"):
        TunedWeights(tmp_path).about(None)
    with np.load(made[0] / "all.npz") as stored:
        arrays = {name: stored[name] for name in stored}
    np.savez(file, **{**arrays, "classifier weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(TrainingError, match=r"all.npz: classifier weight does not fit efficientnet_lite0"):
        TunedWeights(tmp_path).network(None)
    step = next(name for name in arrays if name.endswith(" step"))
    np.savez(file, **{**arrays, step: np.full_like(arrays[step], np.nan)})
    with pytest.raises(TrainingError, match=f"all.npz: {re.escape(step)} does not fit efficientnet_lite0"):
        TunedWeights(tmp_path).network(None)


def test_weights_are_kept_within_half_a_step_of_each_channel(found: PretrainingData, tmp_path: Path) -> None:
    network = pretrained_network(SMALL.image_network)
    before = pretrained_network(SMALL.image_network)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.features.parameters():
            weight.add_(1e-3 * torch.randn(weight.shape, generator=random))
    told = LinearClassifier(torch.randn(len(MATERIALS), 1280, generator=random), torch.zeros(len(MATERIALS)))
    about = AboutTuned(
        network=SMALL.image_network, without=None, groups=(), sources={"a": 1}, recipe={}, content=""
    )
    save_tuned(TunedWeights(tmp_path).file(None), network.features, told, about)
    kept, classifier = TunedWeights(tmp_path).network(None)
    torch.testing.assert_close(classifier.weight, told.weight, rtol=0, atol=0)
    pairs = zip(
        network.features.parameters(), kept.features.parameters(), before.features.parameters(), strict=True
    )
    for wanted, stored, start in pairs:
        rows = (wanted - start).abs().flatten(1) if wanted.ndim > 1 else (wanted - start).abs()[None]
        step = rows.amax(dim=1) / (7 if wanted.ndim > 1 else 127)
        away = (wanted - stored).abs().flatten(1) if wanted.ndim > 1 else (wanted - stored).abs()[None]
        assert (away <= 0.5 * step[:, None] + 1e-7 + 2**-23 * wanted.abs().max()).all()


def test_runs_of_other_seeds_are_averaged_and_kept(
    data: Path, made: tuple[Path, Path], found: PretrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    shutil.copytree(made[1], work)
    monkeypatch.setattr("training.pretraining.tuning.fine_tune.tune", None)  # nothing is left to fit
    result = run(data, tmp_path / "networks", work)
    assert result.exit_code == 0, result.output
    for name in FILES:
        assert (tmp_path / "networks" / name).read_bytes() == (made[0] / name).read_bytes(), name
    kept = sorted(work.glob("tuned-*.npz"))
    assert len(kept) == len(FILES) * len(QUICK.seeds)
    monkeypatch.undo()

    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:1000])
    result = run(data, tmp_path / "again", work)
    assert result.exit_code == 0, result.output
    assert kept[0].read_bytes() == whole

    pictures = small_pictures(found, SMALL, QUICK.size)
    runs = [
        tuned_without(
            found, pictures, found.pictures.fitted, SMALL, QUICK.model_copy(update={"seeds": seeds}), None, work
        )
        for seeds in ((0,), (1,), (2,), (0, 1, 2))
    ]
    for *ones, mean in zip(*(network.parameters() for network, _ in runs), strict=True):
        torch.testing.assert_close(sum(ones) / 3, mean)
    *ones, mean = (torch.cat([told.weight, told.bias[:, None]], dim=1) for _, told in runs)
    assert (ones[0] != ones[1]).any()
    torch.testing.assert_close(sum(ones) / 3, mean)


def test_pictures_of_nothing_have_no_part(found: PretrainingData, tmp_path: Path) -> None:
    pictures = small_pictures(found, SMALL, QUICK.size)
    other = replace(found, nothing=replace(found.nothing, features=-found.nothing.features))
    assert found.nothing.fitted.any()
    told = [
        tuned_without(one, pictures, found.pictures.fitted, SMALL, QUICK, None, tmp_path / str(number))[1]
        for number, one in enumerate((found, other))
    ]
    torch.testing.assert_close(told[0].weight, told[1].weight, rtol=0, atol=0)


def test_the_shipped_networks_are_those_of_the_groups_that_are_left_out() -> None:
    weights = TunedWeights(SHIPPED)
    whole = weights.about(None)
    recipe = TuningRecipe().model_dump(mode="json")
    for group in left_out_groups("image"):
        about = weights.about(group.name)
        assert not set(group.sources) & set(about.sources), group.name
        assert set(whole.sources) - set(group.sources) == set(about.sources), group.name
        assert {name: about.recipe[name] for name in recipe} == recipe
        assert set(about.groups) == {one.name for one in left_out_groups("image")}
        network, _ = weights.network(group.name)
        before = pretrained_network(about.network)
        assert any(
            bool((one != other).any())
            for one, other in zip(network.features.parameters(), before.features.parameters(), strict=True)
        )
