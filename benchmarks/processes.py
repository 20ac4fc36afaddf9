"""Servers, loads and plain loops as processes, for benchmarks that measure from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from load import Load, Measured

HERE = Path(__file__).parent
READY_WITHIN = 120.0
STOP_WITHIN = 30.0


@dataclass(frozen=True)
class Server:
    """A server that is ready: where, as which process, and the seconds from its start until it was ready."""

    name: str
    port: int
    process: int
    seconds_to_ready: float

    def resident_mb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(_resident(process) for process in _family(self.process)) / 2**20

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(_cpu(process) for process in _family(self.process))


@contextmanager
def serving(name: str, command: list[str], log: Path) -> Iterator[Server]:
    """Start the server, whose output names its address, wait until /readyz answers 200, and stop it at the end."""
    began = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("THUD_")}
    environment |= {"PYTHONPATH": str(HERE.parent), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        port = _wait_for_port(process, log, began)
        while not _is_ready(port):
            if time.perf_counter() - began > READY_WITHIN:
                raise SystemExit(f"{name} was not ready within {READY_WITHIN:g} s: {_tail(log)}")
            time.sleep(0.01)
        yield Server(name, port, process.pid, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def thud(bundle: Path, index: Path, *options: str) -> list[str]:
    """The command of `thud serve` on a free port."""
    serve = [sys.executable, "-P", "-m", "thud", "serve", "--port", "0"]
    return [*serve, "--bundle", str(bundle), "--index", str(index), *options]


def usual_way(sounds: int) -> list[str]:
    """The command of the usual way on a free port."""
    return [sys.executable, str(HERE / "usual_way.py"), "--port", "0", "--sounds", str(sounds)]


def ceiling(bundle: Path, index: Path, pictures: list[str], seconds: float) -> float:
    """Pictures a second of the plain loop."""
    command = [sys.executable, str(HERE / "ceiling.py"), "--bundle", str(bundle), "--index", str(index)]
    return float(json.loads(_run([*command, "--seconds", str(seconds), *pictures]))["rate"])


def apply_load(load: Load) -> Measured:
    """Send a load from a process of its own."""
    return Measured(**json.loads(_run([sys.executable, str(HERE / "load.py")], json.dumps(asdict(load)))))


def start(script: str, given: str) -> "subprocess.Popen[str]":
    """Start a script of this folder, with `given` as its standard input; its output is there to be read."""
    command, environment = [sys.executable, str(HERE / script)], os.environ | {"PYTHONPATH": str(HERE.parent)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(given)
    return process


def _run(command: list[str], given: str | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed: {done.stderr[-2000:]}")
    return done.stdout


def _wait_for_port(process: subprocess.Popen[bytes], log: Path, began: float) -> int:
    while time.perf_counter() - began < READY_WITHIN:
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise SystemExit(f"{process.args!r} did not start: {_tail(log)}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=READY_WITHIN) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
