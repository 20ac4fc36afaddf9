"""Servers and their clients, each in a process of its own, for benchmarks that measure from outside."""

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

from benchmarks.http.load import Load, Measured
from index.address import MilvusAddress

ROOT = Path(__file__).parents[2]
_READY_WITHIN = 120.0
_STOP_WITHIN = 30.0


@dataclass(frozen=True)
class Worker:
    """Megabytes of a process that serves, after /proc/PID/smaps_rollup.

    `dirty` (Private_Dirty) is what it really takes. `clean` (Private_Clean) are pages of files that no other
    process has mapped, which the system takes back where memory is short. `anonymous` is what it has allocated,
    `shared` what other processes have mapped too.
    """

    process: int
    dirty: float
    clean: float
    anonymous: float
    shared: float


@dataclass(frozen=True)
class Server:
    """A server that is ready: its port, its process, and the seconds from its start until it was ready."""

    port: int
    process: int
    seconds_to_ready: float

    def resident_mb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(_resident(process) for process in _family(self.process)) / 2**20

    def workers(self) -> list[Worker]:
        """The memory of each worker of a `thud serve`."""
        found = [one for one in _family(self.process) if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
        return [_worker(process) for process in found]

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(_cpu(process) for process in _family(self.process))


@contextmanager
def serving(command: list[str], log: Path, code: Path = ROOT) -> Iterator[Server]:
    """Start a server with the modules of the checkout `code`, wait until /readyz answers 200, stop it at the end.

    Its output, which goes to `log`, must name its address.
    """
    began = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("THUD_")}
    environment |= {"PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        port = _wait_for_port(process, log, began)
        while not _is_ready(port):
            if time.perf_counter() - began > _READY_WITHIN:
                raise SystemExit(f"{command!r} was not ready within {_READY_WITHIN:g} s: {_tail(log)}")
            time.sleep(0.01)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def thud(bundle: Path, index: Path | MilvusAddress) -> list[str]:
    """The command of `thud serve` on a free port."""
    return [*module("thud"), "serve", "--port", "0", "--bundle", str(bundle), "--index", str(index)]


def module(name: str) -> list[str]:
    """The command that runs a module of PYTHONPATH, whatever lies in the working folder."""
    return [sys.executable, "-P", "-m", name]


def apply_load(load: Load) -> Measured:
    """Send a load from a process of its own."""
    return Measured(**json.loads(output_of(module("benchmarks.http.load"), json.dumps(asdict(load)))))


def output_of(command: list[str], given: str | None = None) -> str:
    """What a command prints, given a text on its standard input. Exits with its errors where it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed: {done.stderr[-2000:]}")
    return done.stdout


def start(command: list[str], given: str) -> "subprocess.Popen[str]":
    """Start a command with a text on its standard input; what it prints can be read line by line."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(given)
    return process


def _wait_for_port(process: subprocess.Popen[bytes], log: Path, began: float) -> int:
    while time.perf_counter() - began < _READY_WITHIN:
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise SystemExit(f"{process.args!r} did not start: {_tail(log)}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=_READY_WITHIN) as answer:
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


def _worker(process: int) -> Worker:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(size.split()[0]) * 1024 / 1e6 for name, size in (line.split(":") for line in lines)}
    shared = sizes["Shared_Clean"] + sizes["Shared_Dirty"]
    return Worker(process, sizes["Private_Dirty"], sizes["Private_Clean"], sizes["Anonymous"], shared)


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
