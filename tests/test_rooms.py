"""A room is imported when a command of it is used. import-linter checks in which directions they import."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules(file: Path) -> set[str]:
    """Whole names of all modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_only_the_server_knows_uvicorn() -> None:
    """Only `service/server/` imports uvicorn, and only what starts commands imports `service/server/`."""
    files = [ROOT / "thud.py", *(file for room in NEVER for file in sorted((ROOT / room).rglob("*.py")))]
    server = ROOT / "service" / "server"
    inside = [file for file in files if server in file.parents]
    assert {"uvicorn", "httptools"} <= set().union(*map(imported, inside))

    outside = [file for file in files if server not in file.parents]
    assert [file.name for file in outside if imported(file) & {"uvicorn", "httptools"}] == []
    users = {file.name for file in outside if any(one.startswith("service.server") for one in modules(file))}
    assert users == {"thud.py", "serve_commands.py"}


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
        "serve",
    ):
        assert f"  {command} " in done.stdout
