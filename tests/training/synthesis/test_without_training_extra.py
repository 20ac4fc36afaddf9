"""The demo library is made where only serving's requirements and SciPy are installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
# All else that the training extra brings, and what serving has but synthesis has no use for.
ABSENT = (
    *("av", "markdown_it", "matplotlib", "onnx", "onnxscript", "tensorboard", "torch", "torchvision"),
    *("faiss", "fastapi", "onnxruntime"),
)
BLOCKED = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_absent_modules_are_absent() -> None:
    done = run("import torch")
    assert "No module named 'torch'" in done.stderr


def test_library_is_made_and_found(tmp_path: Path) -> None:
    arguments = ("synthesize", "library", tmp_path / "library", "--per-material", 1, "--sample-rate", 16_000)
    done = run("import thud; thud.main()", *arguments)
    assert done.returncode == 0, done.stderr
    assert "17 sounds written" in done.stdout
    assert len(list((tmp_path / "library").glob("*/*.flac"))) == 17
