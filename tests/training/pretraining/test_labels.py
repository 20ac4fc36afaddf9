"""The benchmark of labels: its figures are those of the scoreboard, where the scoreboard has them."""

import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from tests.training.pretraining.conftest import SMALL
from training.measures.sources import Least
from training.pretraining.held_out import hold_out
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import gather
from training.pretraining.score import score_left_out


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    file = Path(__file__).parents[3] / "benchmarks" / "labels.py"
    spec = importlib.util.spec_from_file_location("labels", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "labels", module)
    spec.loader.exec_module(module)
    small = partial(PretrainingRecipe, nothing=SMALL.nothing, synthetic=SMALL.synthetic)
    monkeypatch.setattr(module, "PretrainingRecipe", small)
    return module


def test_a_line_a_library_and_a_column_a_strength(labels: ModuleType, data: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    options = ["--per-material", "1", "--least", "1", "--threads", "1"]
    result = CliRunner().invoke(labels.main, [str(data), str(work), *options])
    assert result.exit_code == 0, result.output
    lines = [line.strip("|").split("|") for line in result.stdout.splitlines() if line.startswith("| ")]
    names = [[cell.strip(" *") for cell in line] for line in lines if not line[0].startswith(" -")]
    assert names[0] == ["strength", "0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert "**0.8**" in result.stdout
    assert (names[1][0], names[2][0]) == ("library of recordings", "library of the demo's kind")
    assert all(0 <= float(value) <= 1 for line in names[1:] for value in line[1:])
    found = gather(data, work, SMALL)
    by_strength = {}
    for strength in (0.2, 0.8):
        recipe = SMALL.model_copy(update={"label_strength": strength})
        by_strength[strength] = score_left_out(found, hold_out(found, recipe), recipe, Least(1, 1))
    scored = {
        name: np.mean([one.recommended.numbers[name] for one in scores.values() if one.recommended])
        for name, scores in (("P@10 macro", by_strength[0.2]), ("P@10 labelled macro", by_strength[0.8]))
    }
    weaker = [
        one.recommended.numbers["P@10 labelled macro"] for one in by_strength[0.2].values() if one.recommended
    ]
    assert names[1][1] == f"{scored['P@10 macro']:.3f}", "strength 0 is what is heard alone"
    assert names[1][2] == f"{np.mean(weaker):.3f}"
    assert names[1][5] == f"{scored['P@10 labelled macro']:.3f}"
    assert float(names[1][5]) > float(names[1][1])
