"""What a connection may send and how slowly: heads, forms, addresses, and clients that take their time."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.settings import Settings
from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.waiting import within

SLOW = 500


@pytest.fixture(scope="module")
def hasty(library: Library) -> Iterator[Server]:
    """A server that waits for nobody for long."""
    flags = ["--header-seconds", "3", "--deadline-seconds", "8", "--send-seconds", "1", "--linger-seconds", "4"]
    flags += ["--keep-alive-seconds", "3"]
    with running(library, *flags) as server:
        yield server


def answer_to(server: Server, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem that come back for these bytes."""
    with socket.create_connection(server.address, timeout=30) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:  # refused already
                break
        response = http.client.HTTPResponse(connection)
        response.begin()
        problem: dict[str, Any] = json.loads(response.read())
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["connection"] == "close"
        assert problem["status"] == response.status
        return response.status, problem


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: minus one\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"CONNECT host:443 HTTP/1.1\r\nHost: host\r\n\r\n",
    ],
    ids=["text", "tls", "version", "not ascii", "no colon", "length", "two lengths", "connect"],
)
def test_what_is_no_http_is_a_problem_too(server: Server, garbage: bytes) -> None:
    assert answer_to(server, garbage)[0] == 400


def test_a_long_address(server: Server) -> None:
    status, problem = answer_to(server, b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (status, "8,192" in problem["detail"]) == (414, True)


@pytest.mark.parametrize(
    "head",
    [b"A: " + b"x" * 40_000 + b"\r\n\r\n", b"A: x\r\n" * 8000 + b"\r\n"],
    ids=["one", "many"],
)
def test_long_headers(server: Server, head: bytes) -> None:
    status, problem = answer_to(server, b"GET / HTTP/1.1\r\nHost: x\r\n", head)

    assert (status, "32,768" in problem["detail"]) == (431, True)


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\nA"])
def test_an_endless_head_is_not_kept(server: Server, start: bytes) -> None:
    status, _ = answer_to(server, start, *[b"x" * 65_536] * 100)

    assert status in (400, 414, 431)  # 400 where the parser itself has a bound


def test_an_endless_trailer_is_not_kept(server: Server) -> None:
    head = b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: "
    with socket.create_connection(server.address, timeout=30) as connection, pytest.raises(ConnectionError):
        connection.sendall(head)
        while True:
            connection.sendall(b"x" * 65_536)


def test_requests_sent_far_ahead_are_not_kept(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        answers = b""
        while part := connection.recv(65_536):
            answers += part
        assert 100 <= answers.count(b"HTTP/1.1 200 OK\r\n") < 1000
        # The last answer says why the others are none.
        assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200 OK\r\n") + 1
        assert b"HTTP/1.1 400 Bad Request\r\n" in answers
        assert b"ahead of their answers" in answers


def test_headers_of_usual_size_and_a_body_in_one_piece(server: Server, encode: Encode) -> None:
    picture = encode(size=(600, 400))
    cookie = {"Cookie": "x" * 20_000, "Content-Type": "image/jpeg"}

    for _ in range(2):
        assert httpx.post(f"{server.url}/recommend", content=picture, headers=cookie, timeout=60).status_code == 200


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (form(*[b'Content-Disposition: form-data; name="a"\r\n\r\nx'] * 17), 413, "16 parts"),
        (form(b"A: x\r\n" * 9 + b"\r\nx"), 400, "header"),
        (form(b"A: " + b"x" * 5000 + b"\r\n\r\nx"), 400, "header"),
        (form(b'Content-Disposition: form-data; name="image"; filename="x"\r\n\r\nx', end=b""), 400, "cut short"),
    ],
    ids=["parts", "headers", "header", "no end"],
)
def test_a_form_over_the_limits(client: httpx.Client, body: bytes, status: int, words: str) -> None:
    response = client.post("/recommend", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    check_problem(response, status, words)


SMALLEST = {
    "--max-url-bytes": "256",
    "--max-header-bytes": "1024",
    "--max-parts": "2",
    "--max-part-headers": "2",
    "--max-part-header-bytes": "256",
}


@pytest.fixture(scope="module")
def strict(library: Library) -> Iterator[Server]:
    """A server with the smallest limits of heads and forms, and one part more than the picture's."""
    with running(library, *(word for setting in SMALLEST.items() for word in setting)) as server:
        yield server


def test_the_limits_of_heads_are_settings(strict: Server) -> None:
    assert httpx.get(f"{strict.url}/livez?{'x' * 240}", timeout=60).status_code == 200
    assert httpx.get(f"{strict.url}/livez", headers={"A": "x" * 700}, timeout=60).status_code == 200

    status, problem = answer_to(strict, b"GET /livez?" + b"x" * 260 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, "256" in problem["detail"]) == (414, True)
    status, problem = answer_to(strict, b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1100 + b"\r\n\r\n")
    assert (status, "1,024" in problem["detail"]) == (431, True)


def test_the_limits_of_forms_are_settings(strict: Server, encode: Encode) -> None:
    note, headers = b'Content-Disposition: form-data; name="a"\r\n', b"B: x\r\n"
    picture = b'Content-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + encode()

    def send(*parts: bytes) -> httpx.Response:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        return httpx.post(f"{strict.url}/recommend", content=form(*parts), headers=headers, timeout=60)

    assert send(note + headers + b"\r\nx", picture).status_code == 200
    assert send(note + b"B: " + b"x" * 200 + b"\r\n\r\nx", picture).status_code == 200
    check_problem(send(note + b"\r\nx", note + b"\r\nx", picture), 413, "more than 2 parts")
    check_problem(send(note + 2 * headers + b"\r\nx", picture), 400, "header")
    check_problem(send(note + b"B: " + b"x" * 300 + b"\r\n\r\nx", picture), 400, "header")


def test_other_fields_of_a_form_are_passed_over_but_for_parameters(client: httpx.Client, encode: Encode) -> None:
    answer = client.post("/recommend", data={"note": "x" * 100_000}, files={"image": encode()})

    assert answer.status_code == 200
    for path, data in (("/recommend", {"k": "3"}), ("/recommend/map", {"material": "wood", "note": "x"})):
        answer = client.post(path, data=data, files={"image": encode()})
        check_problem(answer, 422, f"{next(iter(data))} stands in the form; it belongs in the address")


def test_a_head_that_does_not_end(hasty: Server) -> None:
    status, problem = answer_to(hasty, b"GET / HTTP/1.1\r\nA: ")

    assert (status, "3 s" in problem["detail"]) == (408, True)


def test_a_body_that_does_not_end(hasty: Server) -> None:
    with socket.create_connection(hasty.address, timeout=30) as connection:
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head + b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        while connection.recv(65_536):  # it is closed, although the body never ends
            pass


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_that_says_nothing_is_closed(hasty: Server, sent: bytes) -> None:
    with socket.create_connection(hasty.address, timeout=30) as connection:
        connection.sendall(sent)
        while connection.recv(65_536):
            pass


def test_line_ends_do_not_keep_a_connection(hasty: Server) -> None:
    with socket.create_connection(hasty.address, timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65_536)
        connection.settimeout(0.2)

        def closed() -> bool:
            try:
                connection.sendall(b"\r\n")
                return not connection.recv(65_536)
            except TimeoutError:
                return False
            except OSError:
                return True

        within(30, closed)


def test_a_client_that_does_not_read_its_answers(hasty: Server) -> None:
    def counted() -> bool:
        return 'reason="slow_reader"' in httpx.get(f"{hasty.url}/metrics", timeout=60).text

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(hasty.address)
        sent, end = 0, time.monotonic() + 60
        while not counted():
            assert time.monotonic() < end
            # Never further ahead than is allowed, so that it is the reading that the server waits for.
            if "".join(hasty.requests).count("/openapi.json") >= sent:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
                sent += 50
        with pytest.raises(ConnectionError):  # it has been thrown out
            while True:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")


def test_hundreds_of_slow_clients(hasty: Server, encode: Encode) -> None:
    """A byte a second each, half of them in the head and half in the body, while others are answered as ever."""

    async def slow(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(*hasty.address)
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n"
        writer.write(head + (b"\r\n" if number % 2 else b"A: "))
        try:
            while True:
                writer.write(b"x")
                with contextlib.suppress(TimeoutError):
                    return await asyncio.wait_for(reader.readuntil(b"\r\n"), 1)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def crowd() -> list[bytes]:
        clients = [asyncio.ensure_future(slow(number)) for number in range(SLOW)]
        async with httpx.AsyncClient(base_url=hasty.url, timeout=30) as client:
            while not all(one.done() for one in clients):
                for path in ("/livez", "/readyz", "/sounds"):
                    assert (await client.get(path)).status_code == 200
                assert (await client.post("/recommend", files={"image": encode()})).status_code == 200
                await asyncio.sleep(0.1)
        return [one.result() for one in clients]

    assert set(asyncio.run(crowd())) == {b"HTTP/1.1 408 Request Timeout\r\n"}


def test_too_many_connections(library: Library) -> None:
    with running(library, "--max-connections", "3", "--deadline-seconds", "300") as server:
        # Those that say nothing give way.
        idle = [socket.create_connection(server.address, timeout=30) for _ in range(10)]
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
        for connection in idle:
            connection.close()
        # Those that are in the middle of a request do not, where each client has but one.
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        head += b"X-Forwarded-For: 203.0.113.%d\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        busy = [socket.create_connection(server.address, timeout=30) for _ in range(3)]
        for number, connection in enumerate(busy):
            connection.sendall(head % number)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        refused = httpx.get(f"{server.url}/sounds", timeout=60)
        check_problem(refused, 503, "connections")
        assert refused.headers["retry-after"] == "1"
        # Probes have places of their own.
        for path in ("/livez", "/readyz?verbose", "/metrics"):
            probed = httpx.get(f"{server.url}{path}", timeout=60)
            assert (probed.status_code, probed.headers["connection"]) == (200, "close")
        for connection in busy:
            connection.close()


def test_the_limits_stand_in_the_documentation(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()["info"]["description"]

    settings = Settings()
    bounds = re.compile(r"max_.*|.*_seconds|.*_bytes|rate|burst")
    limits = {name for name in Settings.model_fields if bounds.fullmatch(name)}
    for name in limits:
        assert f"`--{name.replace('_', '-')}` | {getattr(settings, name):,}" in description, name
