"""Recipes and suites: those that ship, those that inherit, and those that cannot be meant."""

from pathlib import Path
from typing import Any

import pytest

from model.errors import TrainingError
from model.torch_towers.networks import check_name
from tests.training.tiny import GRID, write_recipe
from training.reproduction.suite import Suite, Trial, load_suite, suite_names
from training.systems.recipe import Recipe, load_recipe, recipe_names

SYSTEMS = {
    "tt-agg": "tt_agg",
    "fc-agg": "fc_agg",
    "sound": "sound",
    "visual": "visual",
    "visual-weighted": "visual",
}


PAPERS = {f"paper-{system}-{network}" for system in SYSTEMS for network in ("resnet18", "vgg16")}


def test_every_recipe_that_ships_loads() -> None:
    assert PAPERS | {"thud", "demo"} <= set(recipe_names())
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        check_name(recipe.image_network)
        check_name(recipe.sound_network)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("network", ["resnet18", "vgg16"])
def test_the_papers_recipes_are_the_papers(system: str, network: str) -> None:
    recipe = load_recipe(f"paper-{system}-{network}")
    assert recipe.system == SYSTEMS[system]
    assert (recipe.image_network, recipe.sound_network) == (network, network)
    # 3.2 to 3.4: SGD 0.01, 30 epochs, flips 0.5, half a second on each side of the hit, trained from scratch.
    assert (recipe.optimizer, recipe.learning_rate, recipe.epochs) == ("sgd", 0.01, 30)
    assert (recipe.before, recipe.after) == (0.5, 0.5)
    assert recipe.pictures.model_dump() == {"flip": 0.5, "crop": 1.0, "jitter": 0.0, "blur": 0.0}
    assert recipe.weighted is (system == "visual-weighted")
    unlike = {"name", "system", "image_network", "sound_network", "before", "after", "weighted", "pictures"}
    defaults = Recipe(name="x").model_dump(exclude=unlike)
    assert recipe.model_dump(exclude=unlike) == defaults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nlearning_rat = 1', "learning_rat: Extra inputs"),
        ('name = "x"\n[sounds]\nloud = 1', r"sounds\.loud: Extra inputs"),
        ('name = "x"\nepochs = 0', "epochs: Input should be greater"),
        ('name = "x"\nepochs = 1.5', "epochs: Input should be a valid integer"),
        ('name = "x"\nlearning_rate = nan', "learning_rate: Input should be a finite number"),
        ('name = "x"\nlearning_rate = -0.1', "learning_rate: Input should be greater than 0"),
        ('name = "x"\nweight_decay = inf', "weight_decay: Input should be a finite number"),
        ('name = "x"\nmomentum = 1.0', "momentum: Input should be less than 1"),
        ('name = "x"\nbatch_size = 1', "batch_size: Input should be greater"),
        ('name = "x"\naverage = 1.0', "average: Input should be less than 1"),
        ('name = "x"\n[pictures]\nflip = 1.5', r"pictures\.flip: Input should be less"),
        ('name = "x"\nsystem = "smell"', "system: Input should be 'sound', 'visual', 'fc_agg' or 'tt_agg'"),
        ('name = "x"\nimage_weights = "mine"', "image_weights: Input should be 'none' or 'imagenet'"),
        ('name = "x"\nloss = "hinge"', "no loss named 'hinge'; there are pair, sigmoid, softmax"),
        ('name = "x"\nbalance = true', "balance says nothing here: only a grid of tt_agg reads it"),
        ('name = "x"\nsystem = "sound"\nheads = 0.5', "heads says nothing here: only tt_agg reads it"),
        (
            'name = "x"\nsampling = "grid"\npositives = "own"\nuncertain = "masked"',
            "uncertain says nothing here: only positives across videos reads it",
        ),
        ('name = "x"\nweighted = true', "weighted says nothing here: only the visual network reads it"),
        ('name = "x"\noptimizer = "adamw"\nmomentum = 0.9', "momentum says nothing here: only sgd reads it"),
        ('name = "x"\nloss = "sigmoid"\nlog_q = 0.5', "log_q corrects the softmax loss alone"),
        (
            'name = "x"\nsampling = "grid"\nloss = "softmax"\nlog_q_by = "material"',
            "log_q_by says nothing here: log_q is 0",
        ),
        ("epochs = 3", "name: Field required"),
        ("name = ", "is not TOML"),
        ('name = "x"\nbase = "papr"', "no recipe 'papr'; there are"),
        ('name = "x"\nbase = "gone.toml"', r"gone\.toml cannot be read: No such file"),
    ],
)
def test_a_recipe_that_cannot_be_meant_names_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_recipe(str(tmp_path / "mine.toml"))


def test_names_that_are_not_there() -> None:
    with pytest.raises(TrainingError, match=r"no recipe 'papr'; there are .*thud, or a \.toml file"):
        load_recipe("papr")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_recipe("gone.toml")


def test_a_recipe_is_its_base_with_its_own_keys_changed(tmp_path: Path) -> None:
    write_recipe(tmp_path / "base.toml", GRID, sounds={"noise": 0.5, "tilt_db": 6.0})
    (tmp_path / "within").mkdir()
    # Found from where the recipe lies, not from where the command is given.
    middle = write_recipe(tmp_path / "within" / "middle.toml", {"base": "../base.toml", "heads": 0.5})
    text = 'base = "middle.toml"\nname = "last"\nepochs = 7\n[sounds]\nnoise = 0.0\n'
    (tmp_path / "within" / "last.toml").write_text(text)
    base, last = load_recipe(str(tmp_path / "base.toml")), load_recipe(str(tmp_path / "within" / "last.toml"))
    sounds = base.sounds.model_copy(update={"noise": 0.0})
    assert last == base.model_copy(update={"name": "last", "epochs": 7, "heads": 0.5, "sounds": sounds})
    assert load_recipe(str(middle)).name == base.name
    write_recipe(tmp_path / "shipped.toml", {"base": "paper-tt-agg-vgg16", "name": "mine"})
    shipped = load_recipe("paper-tt-agg-vgg16").model_copy(update={"name": "mine"})
    assert load_recipe(str(tmp_path / "shipped.toml")) == shipped


def test_a_recipe_that_is_its_own_base_is_refused(tmp_path: Path) -> None:
    for name, base in (("a", "b.toml"), ("b", f"../{tmp_path.name}/c.toml"), ("c", "./a.toml"), ("d", "d.toml")):
        write_recipe(tmp_path / f"{name}.toml", {"base": base, "name": name})
    for name in ("a", "b", "c", "d"):
        with pytest.raises(TrainingError, match="is its own base"):
            load_recipe(str(tmp_path / f"{name}.toml"))


def test_every_suite_that_ships_loads_with_its_recipes() -> None:
    assert "all" in suite_names()
    for name in suite_names():
        trials = load_suite(name).trials()
        assert len({trial.name for trial in trials}) == len(trials) > 0
        assert all(load_recipe(trial.recipe).name == trial.recipe for trial in trials)
    everything = load_suite("all").trials()
    for wanted in ("paper-tt-agg-resnet18", "thud"):
        runs = [trial for trial in everything if (trial.recipe, trial.validation) == (wanted, "recording")]
        assert sorted(trial.seed for trial in runs) == [0, 1, 2]
    assert {trial.recipe for trial in everything} >= PAPERS


def suite(**keys: Any) -> Suite:
    runs = [
        {"recipe": "thud", "seeds": [0, 1], "validation": ["recording", "video"]},
        {"recipe": "paper-sound-vgg16"},
        {"recipe": "paper-visual-vgg16"},
    ]
    return Suite.model_validate({"runs": runs} | keys)


def test_a_suites_trials_and_which_of_them() -> None:
    names = [trial.name for trial in suite().trials()]
    assert names[:4] == ["thud.recording.0", "thud.recording.1", "thud.video.0", "thud.video.1"]
    assert names[4:] == ["paper-sound-vgg16.recording.0", "paper-visual-vgg16.recording.0"]
    epochs = (("paper-*", 3), ("paper-visual-*", 2))
    assert suite().trials(("*-vgg16",), epochs, (("*", "bf16"), ("*-sound-*", "fp32"))) == [
        Trial("paper-sound-vgg16", 0, "recording", 3, "fp32"),
        Trial("paper-visual-vgg16", 0, "recording", 2, "bf16"),
    ]
    bad: tuple[tuple[str, Any], ...] = (
        ("only", "resnet"),
        ("epochs", ("resnet", 3)),
        ("precisions", ("resnet", "fp32")),
    )
    for option, asked in bad:
        with pytest.raises(
            TrainingError, match="no recipe of the suite matches 'resnet'; it has thud, paper-sound"
        ):
            suite().trials(**{option: (asked,)})
    with pytest.raises(TrainingError, match=r"holds the run thud\.recording\.0 twice"):
        suite(runs=[{"recipe": "thud"}, {"recipe": "thud"}]).trials()
    with pytest.raises(TrainingError, match="no recipe 'papr'"):
        suite(runs=[{"recipe": "papr"}]).trials()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs = []", "runs: List should have at least 1 item"),
        ('[[runs]]\nrecipe = "thud"\nvalidation = ["shuffled"]', r"runs\.0\.validation\.0: Input should be"),
        ('[[runs]]\nrecipe = "thud"\nseed = 1', r"runs\.0\.seed: Extra inputs"),
        ("[[runs]", "is not TOML"),
    ],
)
def test_a_suite_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_suite(str(tmp_path / "mine.toml"))
    with pytest.raises(TrainingError, match=r"no suite 'al'; there are .*all"):
        load_suite("al")
    with pytest.raises(TrainingError, match=r"gone\.toml cannot be read"):
        load_suite(str(tmp_path / "gone.toml"))
