"""One connection: what is sent ahead, what breaks off, and answers that come before the request is whole."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from select import select
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.metrics import Metrics
from service.observability import log_refusals
from service.server.protocol import connection_class
from service.settings import Settings
from service.state import state_of
from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_limits import answer_to
from tests.waiting import within

MEGABYTE = 2**20
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
FULL = "the service is busy"


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def upload(size: int, *lines: bytes) -> bytes:
    head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n" % size
    return b"\r\n".join([head + lines[0] if lines else head.rstrip(), b"", b""])


@contextmanager
def stalled(library: Library, **given: Any) -> Iterator[tuple[tuple[str, int], FastAPI, threading.Event]]:
    """A server whose one thread is at work until the event is set: its address, its application and the event."""
    settings = Settings(bundle=library.bundle.folder, index=library.index, threads=1, **given)
    metrics = Metrics()
    app = create_app(settings, metrics)
    protocol = connection_class(settings, log_refusals(metrics))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=settings.keep_alive_seconds,
        )
    )
    begun, go_on = threading.Event(), threading.Event()

    async def serve(listener: socket.socket) -> None:
        async with app.router.lifespan_context(app):
            state_of(app).queue.submit(go_on.wait)
            begun.set()
            await server.serve(sockets=[listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that little lies in the kernel
        address = listener.getsockname()
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener)))
        thread.start()
        try:
            assert begun.wait(60)
            yield address, app, go_on
        finally:
            go_on.set()
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\nhellooo\r\n", b"-1\r\n"], ids=["size", "length", "negative"])
def test_a_broken_chunk_is_told_at_once(server: Server, chunk: bytes) -> None:
    status, problem = answer_to(server, CHUNKED % b"/recommend" + b"3\r\nabc\r\n" + chunk)

    assert (status, "well-formed" in problem["detail"]) == (400, True)


def test_a_broken_chunk_behind_another_request(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(LIVEZ + CHUNKED % b"/recommend" + b"3\r\nabc\r\nzz\r\n")
        answers = connection.makefile("rb").read()

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 400 ") == 1


def test_a_broken_chunk_of_a_body_that_nobody_reads(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(CHUNKED % b"/nothing" + b"3\r\nabc\r\n")
        assert read_answer(connection)[0] == 404
        connection.sendall(b"zz\r\n")
        assert connection.recv(100) == b""  # nothing can be told apart any more


def test_what_is_no_http_behind_a_request_is_told_after_its_answer(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(LIVEZ * 2 + b"hello\r\n\r\n")
        answers = connection.makefile("rb").read()

    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.rindex(b"HTTP/1.1 400 ") > answers.rindex(b"HTTP/1.1 200 ")


def test_an_answer_to_what_was_sent_ahead_is_not_cut_as_idle(library: Library, encode: Encode) -> None:
    picture = encode()
    with (
        running(library, "--max-connections", "1", "--header-seconds", "0.5", "--linger-seconds", "0.5") as server,
        socket.create_connection(server.address, timeout=30) as connection,
    ):
        connection.sendall(LIVEZ + upload(len(picture)) + picture[:100])
        assert read_answer(connection)[0] == 200
        # It gives way to no other, and its body may take longer than a head.
        check_problem(httpx.get(f"{server.url}/sounds", timeout=60), 503, "connections")
        time.sleep(1)
        connection.sendall(picture[100:])
        status, body = read_answer(connection)
        assert (status, json.loads(body)["returned"]) == (200, 10)


def test_the_head_of_a_further_request_does_not_cut_the_answer(library: Library, encode: Encode) -> None:
    picture = encode()
    with (
        stalled(library, queue_seconds=60, max_connections=1) as (address, app, go_on),
        socket.create_connection(address, timeout=30) as connection,
    ):
        connection.sendall(upload(len(picture)) + picture + b"GET /livez HTTP/1.1\r\nHo")
        within(30, lambda: state_of(app).queue.waiting > 0)
        check_problem(httpx.get(f"http://127.0.0.1:{address[1]}/sounds", timeout=60), 503, "connections")
        go_on.set()
        assert read_answer(connection)[0] == 200
        connection.sendall(b"st: x\r\n\r\n")
        assert read_answer(connection)[0] == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"", 400),
        (b"Host: a\r\nHost: a\r\n", 400),
        (b"Host: a\r\nhost: b\r\n", 400),
        (b"Host: a b\r\n", 400),
        (b"Host: a/b\r\n", 400),
        (b"Host:\r\n", 200),
        (b"Host: thud.example:8000\r\n", 200),
        (b"Host: [::1]:8000\r\n", 200),
    ],
)
def test_a_request_has_one_host(server: Server, lines: bytes, status: int) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n" + lines + b"\r\n")
        found, body = read_answer(connection)

    assert found == status
    assert status == 200 or "Host" in json.loads(body)["detail"]


def test_http_1_0_needs_no_host(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


@pytest.fixture(scope="module")
def full(library: Library) -> Iterator[tuple[str, int]]:
    """The address of a server whose queue is full."""
    with stalled(library, queue_seconds=0.01) as (address, _, _):
        yield address


@pytest.mark.parametrize("last", [b"", b"Connection: close"], ids=["kept", "closed"])
def test_whoever_sends_two_megabytes_to_a_full_queue_reads_that_it_is_full(
    full: tuple[str, int], last: bytes
) -> None:
    body = b"x" * (2 * MEGABYTE)

    def ask(_: int) -> tuple[int, str]:
        with socket.create_connection(full, timeout=60) as connection:
            connection.sendall(upload(len(body), *([last] if last else [])) + body[:1000])
            select([connection], [], [])  # the answer is there, and the client goes on sending
            connection.sendall(body[1000:])
            status, problem = read_answer(connection)
            return status, json.loads(problem)["detail"]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(64)))

    assert {status for status, _ in answers} == {503}
    assert all(detail.startswith(FULL) for _, detail in answers)


def test_a_connection_goes_on_after_a_refusal(full: tuple[str, int]) -> None:
    with socket.create_connection(full, timeout=60) as connection:
        for _ in range(5):
            connection.sendall(upload(MEGABYTE // 4) + b"x" * (MEGABYTE // 4))
            status, problem = read_answer(connection)
            assert (status, FULL in problem.decode()) == (503, True)


def test_whoever_is_refused_is_asked_not_to_send_the_rest_of_a_long_body(full: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*full, timeout=60)
    for _ in range(5):
        connection.request("POST", "/recommend", body=b"x" * (2 * MEGABYTE))
        answer = connection.getresponse()
        said = answer.status, int(answer.headers["retry-after"]) >= 1, answer.headers["connection"]
        assert said == (503, True, "close")
        assert FULL in answer.read().decode()
    connection.close()


def test_a_body_that_was_not_asked_for_is_not_taken_for_a_request(full: tuple[str, int]) -> None:
    with socket.create_connection(full, timeout=60) as connection:
        connection.sendall(upload(9, b"Expect: 100-continue"))
        answer = connection.makefile("rb").read()  # to its end

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_refused_body_is_thrown_away_within_bounds(library: Library) -> None:
    flags = ["--max-body-bytes", str(MEGABYTE), "--linger-bytes", str(4 * MEGABYTE)]
    with (
        running(library, *flags) as server,
        socket.create_connection(server.address, timeout=60) as connection,
    ):
        connection.sendall(upload(100 * MEGABYTE))
        assert read_answer(connection)[0] == 413
        with pytest.raises(ConnectionError):
            for _ in range(100):
                connection.sendall(b"x" * MEGABYTE)


def test_whoever_is_one_too_many_reads_it_too(library: Library) -> None:
    body = b"x" * (2 * MEGABYTE)

    def ask(_: int) -> dict[str, Any]:
        with socket.create_connection(server.address, timeout=60) as connection:
            select([connection], [], [])
            connection.sendall(upload(len(body)) + body)
            status, problem = read_answer(connection)
            assert status == 503
            found: dict[str, Any] = json.loads(problem)
            return found

    with (
        running(library, "--max-connections", "1") as server,
        socket.create_connection(server.address, timeout=30) as busy,
    ):
        busy.sendall(upload(9, b"Expect: 100-continue"))
        assert busy.recv(100).startswith(b"HTTP/1.1 100")
        with ThreadPoolExecutor(8) as pool:
            assert all("connections" in problem["detail"] for problem in pool.map(ask, range(16)))
        busy.sendall(b"nonsense!")
        assert read_answer(busy)[0] == 415
        # Those that were turned away take no place, and the one that had its answer a while ago gives way.
        time.sleep(0.5)
        check_problem(httpx.post(f"{server.url}/recommend", content=b"nonsense", timeout=60), 415)


def test_what_a_full_queue_refuses_is_not_counted_as_asked(library: Library, encode: Encode) -> None:
    with stalled(library, queue_seconds=60, rate=0.001, burst=1) as (address, app, go_on):
        base, queue, picture = f"http://{address[0]}:{address[1]}", state_of(app).queue, encode()
        with httpx.Client(base_url=base, timeout=60) as client:
            assert client.get("/livez").status_code == 200  # its one thread is at work from now on
            while not queue.full:
                queue.submit(lambda: None)
            assert client.post("/recommend", content=picture).status_code == 503
            go_on.set()
            within(30, lambda: not queue.full)
            assert [client.post("/recommend", content=picture).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""], ids=["closed", "kept"])
def test_the_end_of_an_answer_does_not_wait_for_ever(library: Library, last: bytes) -> None:
    with (
        stalled(library, send_seconds=0.5, keep_alive_seconds=1) as (address, _, _),
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(address)
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n" + last + b"\r\n")
        time.sleep(3)
        received = 0
        assert len(httpx.get(f"http://{address[0]}:{address[1]}/openapi.json", timeout=60).content) > 20_000
        with pytest.raises(ConnectionResetError):
            while piece := connection.recv(65536):
                received += len(piece)
            raise ConnectionResetError if received < 15_000 else AssertionError(received)
