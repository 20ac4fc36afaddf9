"""Being told to stop: what has been asked is answered, and the process ends in time."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from service.server.protocol import connection_class
from service.settings import Settings
from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_connection import LIVEZ
from tests.waiting import within


def ask_until_refused(server: Server, picture: bytes) -> list[int]:
    """Statuses of requests on kept connections, until no connection is accepted any more."""
    statuses = []
    with httpx.Client(base_url=server.url, timeout=30) as client:
        while True:
            try:
                statuses.append(client.post("/recommend?k=1", content=picture).status_code)
            except httpx.ConnectError:
                return statuses


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_under_load_drops_no_response(library: Library, encode: Encode, workers: str) -> None:
    picture = encode(size=(640, 480))
    with running(library, "--workers", workers) as server, ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_until_refused, server, picture) for _ in range(8)]
        within(60, lambda: len(server.requests) >= 100)
        server.process.send_signal(signal.SIGTERM)
        statuses = [status for one in asking for status in one.result()]
        assert server.process.wait(timeout=30) == 0
    assert set(statuses) == {200}


def test_a_connection_that_is_made_late_has_one_answer() -> None:
    """One that was accepted just before the service stopped accepting, and that nobody could tell to finish."""
    protocol = connection_class(Settings(), lambda status, reason, client, sent: None)
    protocol.stopping = True
    config = uvicorn.Config(FastAPI(), http=protocol, log_config=None)

    async def ask() -> bytes:
        def connection() -> asyncio.Protocol:
            return protocol(config=config, server_state=ServerState(), app_state={})

        async with await asyncio.get_running_loop().create_server(connection, "127.0.0.1") as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(LIVEZ)
            answer = await reader.read()
            writer.close()
            return answer

    assert b"connection: close" in asyncio.run(ask())


def test_draining_is_not_ready_but_answers(library: Library, encode: Encode) -> None:
    with running(library, "--drain-seconds", "300", "--stop-seconds", "1", says=True) as server:
        server.process.send_signal(signal.SIGTERM)
        within(60, lambda: httpx.get(f"{server.url}/readyz", timeout=60).status_code != 200)
        check_problem(httpx.get(f"{server.url}/readyz", timeout=60), 503, "about to stop")
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
        assert httpx.post(f"{server.url}/recommend", content=encode(), timeout=60).status_code == 200
        server.process.send_signal(signal.SIGTERM)  # told again, it ends at once


def test_a_worker_that_does_not_stop_is_killed(library: Library) -> None:
    with running(library, "--stop-seconds", "1", says=True) as server:
        worker = server.worker
        os.kill(worker, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
        assert f"worker {worker} is killed: it did not stop within 4 s" in server.said()


def test_told_again_it_ends_at_once(library: Library) -> None:
    with running(library, "--stop-seconds", "300", says=True) as server:
        os.kill(server.worker, signal.SIGSTOP)
        for _ in range(10):  # a busy machine may take two at once for one
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGINT)
                time.sleep(0.5)
        assert server.process.wait(timeout=10) == 0
        assert "told to stop again" in server.said()


def test_a_worker_whose_parent_dies_while_it_starts_ends_quietly(library: Library) -> None:
    command = [sys.executable, "-m", "thud", "serve", "--port", "0", *library.flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        within(60, lambda: len(children.read_text().split()) == 2)  # Python's resource tracker is the first
        maps = Path(f"/proc/{children.read_text().split()[-1]}/maps")
        within(60, lambda: "numpy" in maps.read_text())  # it has heard what it is to do, and loads
        process.kill()
        assert process.communicate(timeout=30)[1] == ""  # which the worker has open until it ends


@pytest.mark.parametrize("late", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_come_late_change_nothing(library: Library, late: signal.Signals) -> None:
    with running(library, says=True) as server:
        server.process.send_signal(signal.SIGTERM)
        while server.process.poll() is None:
            server.process.send_signal(late)
            time.sleep(0.001)


def test_what_does_not_end_is_ended(library: Library) -> None:
    with (
        running(library, "--stop-seconds", "1", says=True) as server,
        socket.create_connection(server.address, timeout=30) as connection,
    ):
        connection.sendall(
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
        assert connection.recv(100).startswith(b"HTTP/1.1 503")
