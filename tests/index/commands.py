"""The command line as a person runs it."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import thud as front
from tests.index.forks import context

PROJECT = Path(__file__).parents[2]
THUD = [sys.executable, str(PROJECT / "thud.py")]
_MOST_SECONDS = 60

# What commands import when they run, imported once for all of them.
for _command in ("index", "recommend", "similar", "find"):
    front.cli.get_command(None, _command)  # type: ignore[arg-type] # nothing is asked of the context
for _name in ("onnxruntime", "index.answers.recommender", "index.commands.answer_table"):
    import_module(_name)


def thud(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `thud` in a process of its own: a forked one, or a new Python where `environment` is given."""
    command = [*THUD, *map(str, arguments)]
    if environment:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            env=os.environ | environment,
            check=False,
            timeout=_MOST_SECONDS,
        )
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "0").write_bytes(stdin)
        process = context.Process(target=_run, args=(folder, command[1:], dict(os.environ), Path.cwd()))
        process.start()
        process.join(_MOST_SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, _MOST_SECONDS)
        process.close()
        said, complained = ((folder / number).read_bytes() for number in "12")
        return subprocess.CompletedProcess(command, code, said, complained)


def thud_text(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `thud`, with text for what it has said."""
    done = thud(*arguments, stdin=b"", **environment)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _run(folder: Path, words: list[str], environment: dict[str, str], here: Path) -> None:
    """`thud` with the files 0, 1 and 2 of the folder as its standard streams."""
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(folder / str(number), flags), number)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(here)
    sys.argv = words
    front.main()
