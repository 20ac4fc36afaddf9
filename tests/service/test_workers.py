"""Several processes behind one address."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from service.server import workers
from service.settings import Settings
from tests.service.conftest import Encode, Library, Server, make_library, running
from tests.service.test_metrics import read_metrics, value
from tests.service.test_serve import check_refusal, serve
from tests.tiny_bundle import write_tiny_bundle
from tests.waiting import within


def processes(server: Server, answered: list[int] | None = None) -> set[int]:
    """The processes that answer when many ask at once; to `answered` is added the status of each that is posted."""

    def ask(_: int) -> int:
        # A connection each, and one that is kept for a while: whoever is idle takes the next.
        with httpx.Client(base_url=server.url, timeout=30) as client:
            status = client.post("/recommend", content=b"nonsense").status_code
            if answered is not None:
                answered.append(status)
            for _ in range(100):
                shown = client.get("/readyz?verbose").json()
                if "details" in shown:
                    break
                time.sleep(0.2)  # a busy machine did not look in time whether it is ready
            process: int = shown["details"]["process"]
            return process

    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(ask, range(32)))


def requests(client: httpx.Client) -> float:
    return value(read_metrics(client), "thud_requests_total", route="/recommend", method="POST", status="415")


def test_a_killed_worker_is_replaced_and_the_metrics_stay_right(library: Library, encode: Encode) -> None:
    with (
        running(library, "--workers", "2", says=True) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        found: set[int] = set()
        answered: list[int] = []

        def both() -> bool:
            found.update(processes(server, answered))
            return len(found) == 2

        within(120, both)
        assert requests(client) == len(answered)
        assert set(answered) == {415}
        assert server.process.pid not in found
        one = min(processes(server, answered))
        os.kill(one, signal.SIGKILL)
        broken = 0

        def replaced() -> bool:
            nonlocal broken
            try:
                now = processes(server, answered)
            except httpx.TransportError:  # the one that is killed may have taken a connection yet
                broken += 1
                return False
            return one not in now and len(now) == 2

        within(120, replaced)
        with httpx.Client(base_url=server.url, timeout=30) as other:
            # What the dead one had counted stays, also where its answer was lost on the way.
            assert len(answered) <= requests(other) <= len(answered) + 32 * broken
            assert set(answered) == {415}
            samples = read_metrics(other)
            assert value(samples, "thud_queue_length") == value(samples, "thud_computing") == 0
            assert value(samples, "thud_library_sounds") == other.get("/readyz").json()["library"]
            assert other.post("/recommend", content=encode()).status_code == 200


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_one_worker_alone_is_replaced_too(library: Library, encode: Encode) -> None:
    with running(library, says=True) as server:
        for number, status in ((signal.SIGSEGV, -signal.SIGSEGV), (signal.SIGTERM, 0)):
            one = server.worker
            os.kill(one, number)
            within(30, partial(gone, one))
            # The address stays open: whoever asks waits for the next worker.
            assert httpx.post(f"{server.url}/recommend", content=encode(), timeout=60).status_code == 200
            assert server.worker not in (one, server.process.pid)
            assert f"worker {one} ended with {status} and is replaced" in server.said()


def pauses(process: int) -> int:
    """How often the process's threads have gone to sleep."""
    statuses = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/status")]
    return sum(int(status.split("voluntary_ctxt_switches:")[1].split()[0]) for status in statuses)


def test_a_service_that_nobody_asks_sleeps(library: Library) -> None:
    with running(library, "--watch-seconds", "0") as server:
        date = httpx.get(f"{server.url}/livez", timeout=60).headers["date"]
        time.sleep(1)
        both = (server.process.pid, server.worker)
        before = [pauses(process) for process in both]
        time.sleep(2)
        supervisor, worker = (pauses(process) - count for process, count in zip(both, before, strict=True))
        assert supervisor == 0
        assert worker <= 2 * 3 + 1  # it sets the date of its answers each second
        assert httpx.get(f"{server.url}/livez", timeout=60).headers["date"] > date


def test_workers_that_die_again_and_again_are_replaced_ever_later(library: Library) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = workers._Worker(Settings(bundle=library.bundle.folder, index=library.index), listener, None)
        worker.process.kill()
        worker.reap()
        pauses = []
        for served in (1.0, 2.0, 1.0, 3600.0, 1.0):
            worker._ready_at = time.monotonic() - served
            worker.back_off()
            pauses.append(round(worker.again_at - time.monotonic()))
    assert pauses == [1, 3, 7, 0, 1]


def test_the_supervisor_loads_no_model() -> None:
    heavy = "{'numpy', 'PIL', 'soundfile', 'onnxruntime', 'faiss', 'fastapi', 'uvicorn', 'prometheus_client'}"
    code = f"import sys, thud, service.serve_commands, service.server.workers; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_workers_end_with_the_process_that_watches_them(library: Library, workers: str) -> None:
    with running(library, "--workers", workers) as server:
        found = processes(server)
        server.process.kill()
        server.process.wait()
        server.process.returncode = 0
        within(30, lambda: all(map(gone, found)))


def test_workers_that_cannot_start_end_in_one_line(library: Library, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)

    flags = ["--workers", "2", "--port", "0", "--bundle", str(other.folder), "--index", str(library.index)]
    check_refusal(serve(*flags), other.id)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "there is not enough memory"),
        (MemoryError("no memory for 2 threads"), "no memory for 2 threads"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
    ids=["memory", "threads", "thread"],
)
def test_no_memory_to_start_with_is_told(
    library: Library, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("service.server.process.serve", fails)
    monkeypatch.setattr(workers, "early_signals", lambda: None)  # they are the tests' own
    settings = Settings(bundle=library.bundle.folder, index=library.index)
    told, pipe = Pipe(duplex=False)
    with told, pipe, socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(SystemExit, match="1"):
            workers._serve(settings, listener, None, pipe)
        assert told.recv() == ("", words)


def test_the_reason_of_a_worker_that_cannot_start_again_is_told(tmp_path: Path) -> None:
    own = make_library(tmp_path)
    pointer = own.index / "current"
    with running(own, "--workers", "2", "--watch-seconds", "0", says=True) as server:
        before = pointer.read_text()
        pointer.unlink()
        os.kill(min(processes(server)), signal.SIGKILL)
        within(120, lambda: "is replaced: " in server.said())
        assert str(own.index) in server.said().partition("is replaced: ")[2]
        pointer.write_text(before)


def test_a_worker_that_cannot_be_started_is_tried_again(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_process() -> None:
        raise OSError(errno.EAGAIN, "no process to give")

    with socket.create_server(("127.0.0.1", 0)) as listener, TemporaryDirectory() as folder:
        settings = Settings(bundle=library.bundle.folder, index=library.index)
        worker = workers._Worker(settings, listener, folder)
        try:
            worker.process.kill()
            worker.reap()
            monkeypatch.setattr(workers, "ensure_running", no_process)
            monkeypatch.setattr(workers._log, "propagate", True)
            for _ in range(2):
                worker.again_at = 1e-9
                workers._check([worker], folder, first=False)
            assert worker.again_at > time.monotonic()  # ever later
            assert caplog.messages[-1].endswith("no process to give")
            monkeypatch.undo()
            worker.again_at = 1e-9
            workers._check([worker], folder, first=False)
            assert worker.process.is_alive()
            assert not worker.again_at
        finally:
            workers._stop([worker], 10, [])
