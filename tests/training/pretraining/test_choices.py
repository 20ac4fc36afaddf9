"""Candidates for the pretrained bundle side by side, and a choice that never saw the source it is scored on."""

import importlib.util
import json
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from tests.training.pretraining.conftest import SMALL
from training.pretraining.recipe import PretrainingRecipe


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


def test_the_choice_for_a_source_is_the_best_on_the_others(choices: ModuleType, data: Path, tmp_path: Path) -> None:
    # Held to what ImageNet says of flat colours, whatever is shown: never the best.
    worst = {"picture_decay": 1e9}
    choices.PICTURES.clear()
    choices.PICTURES.update({"shipped": {}, "worst": worst})
    out = tmp_path / "choices.json"
    arguments = [
        str(data),
        str(tmp_path / "work"),
        "--only",
        "pictures",
        "--json",
        str(out),
        "--threads",
        "1",
        "--least",
        "1",
        "1",
    ]
    result = CliRunner().invoke(choices.main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())["pictures"]
    assert found["candidates"]["worst"] == worst
    assert set(found["chosen"]) == {"first", "second", "closed"}
    assert set(found["chosen"].values()) == {"shipped"}
    for source, name in found["chosen"].items():
        assert found["chosen_scores"][source] == found["scores"][name][source]
    assert "| **chosen without the source** |" in result.output
