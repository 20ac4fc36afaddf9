"""Benchmarks that measure what other tests do not run: that they still do, on next to nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = """
name = "tiny"
image_network = "shufflenet_v2_x0_5"
sound_network = "shufflenet_v2_x0_5"
batch_size = 8
"""


def test_training_rate_measures_every_side(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    small = ["--device", "cpu", "--size", "32", "--scenes", "17", "--rounds", "1", "--steps", "2"]
    command = [sys.executable, str(BENCHMARKS / "training_rate.py"), "--recipe", str(recipe), *small]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    rows = dict(re.findall(r"^  (.+?) {2,}([\d,.]+)", result.stdout, re.MULTILINE))
    values = {name: float(value.replace(",", "")) for name, value in rows.items()}
    sides = ("bare", "thud", "straight, 0 workers", "straight, 2 workers")
    assert all(values[side] > 0 for side in sides)
    assert values["whole epochs"] < values["thud"]
    for base in sides[:1] + sides[2:]:
        assert values[f"thud / {base}"] == pytest.approx(values["thud"] / values[base], rel=0.02, abs=0.01)
    # 30 epochs of 586 videos with ten clips, as many pairs that do not match.
    assert values["the paper's training, s"] == pytest.approx(30 * 586 * 20 / values["thud"], rel=0.01)
    assert values["pairs compared a second"] == pytest.approx(values["thud"], abs=0.1)
    # torchvision states 0.041 G multiplications with additions of a 224 px picture; backward takes twice forward.
    pictures, clips = map(float, re.findall(r"([\d.]+) distinct pictures and ([\d.]+) clips", result.stdout)[0])
    gflop = float(re.findall(r"([\d.]+) GFLOP a step", result.stdout)[0])
    assert gflop == pytest.approx(3 * 2 * (pictures + clips) * 0.041 * (32 / 224) ** 2, rel=0.3)
