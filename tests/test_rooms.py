"""A room is imported when a command of it is used. import-linter checks in which directions they import."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_help_imports_nothing_heavy() -> None:
    """`thud --help` lists every command without paying for torch, FAISS or ONNX Runtime."""
    code = (
        "import sys, thud\n"
        "try:\n    thud.cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'faiss', 'onnxruntime', 'scipy', 'fastapi', 'av', 'tensorboard', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    for command in (
        "synthesize",
        "prepare",
        "train",
        "evaluate",
        "reproduce",
        "report",
        "export",
        "index",
        "recommend",
        "find",
        "serve",
    ):
        assert f"  {command} " in done.stdout
