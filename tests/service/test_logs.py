"""The log's way to stdout and stderr: nobody waits for whoever reads it, and what is lost is counted."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.logs import LineWriter
from tests.service.conftest import Library
from tests.service.test_metrics import read_metrics, value
from tests.waiting import within


class Pipe:
    """A pipe of a few lines, and a writer to it with room for some more."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.lost = 0
        self.writer = LineWriter(self.write_end, most_bytes=10_000)
        self.writer.on_lost = self._on_lost

    def _on_lost(self, lost: int) -> None:
        self.lost += lost

    def read(self, last: str) -> list[str]:
        """All lines until the `last`."""
        found = b""
        while not found.endswith(f"{last}\n".encode()):
            found += os.read(self.read_end, 65536)
        return found.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.writer.flush(10)
    os.close(made.write_end)


def fill(write_end: int) -> None:
    """Fill a pipe to its last byte."""
    os.set_blocking(write_end, False)
    for size in (4096, 1):
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write_end, size * b"\n")
    os.set_blocking(write_end, True)


def test_what_nobody_reads_is_dropped_and_told_where_it_is_missing(pipe: Pipe) -> None:
    fill(pipe.write_end)
    lines = [f"line {number} " + 80 * "x" for number in range(1000)]
    for line in lines:
        pipe.writer.put(line)
    assert not pipe.writer.flush(0.05)  # it waits no longer
    lost = pipe.lost
    assert 0 < lost < len(lines)

    kept = lines[: len(lines) - lost]
    notice = f"{lost} lines of the log are missing here: they could not be written in time"
    assert list(filter(None, pipe.read(notice))) == [*kept, notice]
    pipe.writer.put("and on")
    assert pipe.read("and on") == ["and on"]
    assert pipe.lost == lost


def test_a_pipe_that_is_read_slowly_keeps_the_order(pipe: Pipe) -> None:
    for number in range(20):
        for line in range(100):
            pipe.writer.put(f"{number}.{line} " + 80 * "x")
        os.read(pipe.read_end, 1000)
    pipe.writer.put("last")

    found = [line.split()[0] for line in pipe.read("last")[1:] if "missing" not in line]
    places = [tuple(map(int, one.split("."))) for one in found[:-1]]
    assert places == sorted(places)


def test_a_pipe_that_does_not_block_loses_nothing(pipe: Pipe) -> None:
    fill(pipe.write_end)
    os.set_blocking(pipe.write_end, False)
    lines = [f"line {number} " + 80 * "x" for number in range(90)]  # the queue takes 10 kB
    for line in lines:
        pipe.writer.put(line)
    pipe.writer.put("last")

    assert list(filter(None, pipe.read("last"))) == [*lines, "last"]


def test_a_pipe_without_a_reader_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    os.close(pipe.read_end)
    for number in range(3):
        pipe.writer.put(f"line {number}")
        assert pipe.writer.flush(10)

    assert pipe.lost == 3


@contextmanager
def logging_to(library: Library, stream: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server whose stdout and stderr are `stream`, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "thud", "serve", "--port", str(port), *library.flags, "--stop-seconds", "1"]
    with subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no file that is always full")
def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    lost: list[int] = []
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(descriptor)
    writer.on_lost = lost.append
    for number in range(3):
        writer.put(f"line {number}")
    within(60, lambda: sum(lost) >= 3)
    assert writer.flush(60)
    os.close(descriptor)


def test_a_full_log_pipe_stops_nothing_and_the_service_stops(library: Library) -> None:
    read_end, write_end = os.pipe()
    fill(write_end)
    try:
        with logging_to(library, write_end) as (process, url):
            within(60, lambda: answers(url))
            with httpx.Client(base_url=url, timeout=30) as client:
                assert all(client.get("/nothing").status_code == 404 for _ in range(100))
                assert client.get("/readyz").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
    finally:
        os.close(read_end)
        os.close(write_end)


def test_lines_that_are_lost_are_counted(library: Library) -> None:
    read_end, write_end = os.pipe()
    with logging_to(library, write_end) as (process, url):
        os.close(write_end)
        within(60, lambda: answers(url))
        os.close(read_end)
        with httpx.Client(base_url=url, timeout=30) as client:
            for _ in range(10):
                assert client.get("/nothing").status_code == 404
            within(10, lambda: value(read_metrics(client), "thud_log_lines_dropped_total", stream="stdout") >= 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
