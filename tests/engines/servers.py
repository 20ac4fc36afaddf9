"""Servers that tests start, and end by their processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from index.address import MilvusAddress
from tests.index.milvus.lite import nobody_listens

PROJECT = Path(__file__).parents[2]
MILVUS = PROJECT / ".venv-milvus" / "bin" / "milvus-server"
KEYS = {
    "AWS_ACCESS_KEY_ID": "key-of-a-test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-a-test",
    "AWS_REGION": "us-east-1",
}
_START_SECONDS = 90
TOKEN = "root:Milvus"
"""The one that a new Milvus has."""


@dataclass
class MilvusServer:
    """A Milvus with its data in `folder`, which can be killed, paused and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def address(self, name: str, **known: Any) -> MilvusAddress:
        return MilvusAddress("127.0.0.1", self.port, name, **{"token": TOKEN} | known)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    MILVUS,
                    "--data",
                    self.folder / "data",
                    "--proxy-port",
                    str(self.port),
                    "--authorization-enabled",
                    "1",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, "Milvus does not start")

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(30)

    def _answers(self) -> bool:
        from pymilvus import MilvusClient, MilvusException

        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            client = MilvusClient(f"http://127.0.0.1:{self.port}", token=TOKEN, timeout=2, dedicated=True)
            client.list_collections(timeout=2)
            client.close()
        except (MilvusException, OSError):
            return False
        return True


@contextmanager
def milvus_server(folder: Path) -> Iterator[MilvusServer]:
    """A Milvus that runs and wants `TOKEN`. A machine can have one: two would share the port of their etcd."""
    if not MILVUS.exists():
        pytest.skip("there is no Milvus for this system: make test-engines installs it on Linux x86-64")
    folder.mkdir(parents=True, exist_ok=True)
    server = MilvusServer(folder, nobody_listens())
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            with suppress(ProcessLookupError):
                server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """SeaweedFS; the environment by which it is reached."""
    folder.mkdir(parents=True)
    known = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
    rights = {"name": "test", "credentials": [known], "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [rights]}))
    ports = {name: str(nobody_listens()) for name in ("master", "volume", "filer", "s3")}
    command = [str(Path(sys.executable).with_name("weed")), "server", "-dir", str(folder), "-ip", "127.0.0.1"]
    command += ["-ip.bind", "127.0.0.1", "-s3", "-s3.config", str(folder / "s3.json")]
    command += ["-master.volumeSizeLimitMB", "64"]
    for name, port in ports.items():
        command += [f"-{name}.port", port, f"-{name}.port.grpc", str(nobody_listens())]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    environment = KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}"}
    try:
        wait_until(lambda: _speaks_http(environment["AWS_ENDPOINT_URL"]), "SeaweedFS does not start")
        yield environment
    finally:
        process.kill()
        process.wait(30)


@dataclass
class RayCluster:
    """Two nodes of Ray; `other` is the one that a test may kill."""

    address: str
    environment: dict[str, str]
    other: "subprocess.Popen[bytes]"

    def kill_other(self) -> None:
        """kill -9 of all processes of one node."""
        os.killpg(self.other.pid, signal.SIGKILL)
        self.other.wait(30)


@contextmanager
def ray_cluster(environment: dict[str, str]) -> Iterator[RayCluster]:
    """A head and another node with one CPU each, on loopback, with a token of their own."""
    folder = Path(mkdtemp(prefix="ray", dir="/tmp"))  # the names of its sockets are long, and may not be longer
    port = nobody_listens()
    env = os.environ | environment
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
    env |= {"PYTHONPATH": str(PROJECT), "RAY_DISABLE_IMPORT_WARNING": "1"}
    common = ["--block", "--num-cpus", "1", "--node-ip-address", "127.0.0.1", "--object-store-memory", "120000000"]
    ray = Path(sys.executable).with_name("ray")
    started = []
    try:
        for place, which in enumerate((["--head", "--port", str(port)], ["--address", f"127.0.0.1:{port}"])):
            ports = [
                "--min-worker-port",
                str(20_000 + 1000 * place),
                "--max-worker-port",
                str(20_900 + 1000 * place),
            ]
            if place == 0:
                ports += ["--include-dashboard", "false", "--temp-dir", str(folder / "t")]
            with (folder / f"log{place}").open("ab") as log:
                started.append(
                    subprocess.Popen(
                        [ray, "start", *which, *common, *ports],
                        env=env,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
            wait_until(partial(_has_nodes, folder, port, env, started), "Ray does not start")
        yield RayCluster(f"127.0.0.1:{port}", env, started[1])
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _has_nodes(folder: Path, port: int, env: dict[str, str], started: "list[subprocess.Popen[bytes]]") -> bool:
    for place, process in enumerate(started):
        assert process.poll() is None, (folder / f"log{place}").read_text()[-2000:]
    return _nodes(port, env) == len(started)


def _nodes(port: int, env: dict[str, str]) -> int:
    code = (
        f"import ray; ray.init(address='127.0.0.1:{port}', log_to_driver=False, logging_level=50); "
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        return 0
    return int(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.split() else 0


def wait_until(true: Callable[[], bool], why_not: str, seconds: float = _START_SECONDS) -> None:
    """Wait until it is so."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, why_not
        time.sleep(0.2)


def _speaks_http(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
