"""Candidates for the pretrained bundle side by side, and a choice that never saw the source it is scored on."""

import importlib.util
import json
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.training.pretraining.conftest import SMALL
from training.measures.sources import Least
from training.pretraining.held_out import hold_out
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather
from training.pretraining.score import score_left_out


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    file = Path(__file__).parents[3] / "benchmarks" / "pretraining_choices.py"
    spec = importlib.util.spec_from_file_location("pretraining_choices", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "pretraining_choices", module)
    spec.loader.exec_module(module)
    small = partial(PretrainingRecipe, nothing=SMALL.nothing, synthetic=SMALL.synthetic)
    monkeypatch.setattr(module, "PretrainingRecipe", small)
    return module


@pytest.fixture(scope="module")
def opened(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, those of all three sources with an open licence."""
    folder = tmp_path_factory.mktemp("opened")
    head, *rows = (data / "manifest.csv").read_text().splitlines()
    changed = [row.replace(",", f",{data}/", 1).removesuffix("0").removesuffix("1") + "1" for row in rows]
    (folder / "manifest.csv").write_text("\n".join([head, *changed]) + "\n")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features, which all choices share."""
    return tmp_path_factory.mktemp("choices") / "work"


def run(choices: ModuleType, data: Path, work: Path, tower: str, out: Path) -> tuple[dict[str, Any], str]:
    """What is chosen for one tower, and what is printed; materials with one file count."""
    options = ["--only", tower, "--json", str(out), "--threads", "1", "--least", "1", "1"]
    result = CliRunner().invoke(choices.main, [str(data), str(work), *options])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert list(found) == [tower]
    return found[tower], result.stdout


def test_the_choice_for_a_source_is_the_best_on_the_others(
    choices: ModuleType, opened: Path, work: Path, tmp_path: Path
) -> None:
    # Held to what ImageNet says of flat colours, whatever is shown: never the best.
    worst = {"picture_decay": 1e9}
    choices.PICTURES.clear()
    choices.PICTURES.update({"shipped": {}, "worst": worst})
    found, text = run(choices, opened, work, "pictures", tmp_path / "choices.json")
    assert found["candidates"]["worst"] == worst
    assert set(found["chosen"]) == {"first", "second", "closed"}
    assert set(found["chosen"].values()) == {"shipped"}
    for source, name in found["chosen"].items():
        assert found["chosen_scores"][source] == found["scores"][name][source]
    assert "| **chosen without the source** |" in text


def test_the_choice_of_sounds_is_made_on_data_that_never_had_the_source(
    choices: ModuleType, opened: Path, work: Path, tmp_path: Path
) -> None:
    changes: dict[str, dict[str, Any]] = {"shipped": {}, "no synthetic sounds": {"few_recordings": 0}}
    choices.SOUNDS.clear()
    choices.SOUNDS.update(changes)
    found, text = run(choices, opened, work, "sounds", tmp_path / "choices.json")
    whole, least = gather(opened, work, SMALL), Least(1, 1)
    recipes = {name: SMALL.model_copy(update=change) for name, change in changes.items()}

    def top_1(some: PretrainingData, recipe: PretrainingRecipe) -> dict[str, float]:
        scores = score_left_out(some, hold_out(some, recipe), recipe, least)
        return {source: one.sounds.numbers["top-1 macro"] for source, one in scores.items() if one.sounds}

    of_all = {name: top_1(whole, recipe) for name, recipe in recipes.items()}
    for source in ("first", "second", "closed"):
        others = {name: np.mean(list(top_1(whole.without(source), one).values())) for name, one in recipes.items()}
        assert found["chosen"][source] == max(others, key=others.__getitem__)
        chosen = found["chosen_scores"][source]["top-1 macro"]
        assert chosen == pytest.approx(of_all[found["chosen"][source]][source])
        for name in changes:
            assert found["scores"][name][source]["top-1 macro"] == pytest.approx(of_all[name][source])
    line = next(line for line in text.splitlines() if line.startswith("| no synthetic sounds |"))
    assert line.split(" | ")[1] == f"{np.mean(list(of_all['no synthetic sounds'].values())):.3f}"


def test_two_sources_are_too_few_to_choose_among(choices: ModuleType, data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(choices.main, [str(data), str(tmp_path / "work"), "--only", "sounds"])
    assert result.exit_code == 1
    assert "sounds with an open licence of 2 sources; a choice wants 3" in result.output
    assert not (tmp_path / "work").exists()
