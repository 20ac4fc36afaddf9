"""The proxy: nginx with the repository's own configuration, in front of a real `thud serve`."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.picture_format import PictureLimits
from tests.service.conftest import Encode, Library, Server, running
from tests.service.nginx import NGINX, Proxy, proxying
from tests.waiting import within

pytestmark = pytest.mark.skipif(
    NGINX is None and not os.environ.get("CI"), reason="the web server nginx is not installed"
)

ROOT = Path(__file__).parents[2]
LIMIT = PictureLimits.max_bytes
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    with proxying(server.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def proxied(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=60) as client:
        yield client


def exchange(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection, method=request.split(b" ")[0].decode())
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def check_problem(status: int, headers: dict[str, str], body: bytes, wanted: int) -> dict[str, Any]:
    """The answer is a problem of this status as the service would say it."""
    problem: dict[str, Any] = json.loads(body)
    assert (status, problem["status"]) == (wanted, wanted)
    assert (problem["type"], headers["content-type"]) == ("about:blank", "application/problem+json")
    assert problem["title"] != "Error"
    assert problem["request_id"] == headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert ("retry-after" in headers) == (wanted in (502, 503, 504))
    return problem


# The health checks -----------------------------------------------------------------------------------------


def health_check(dockerfile: str) -> list[str]:
    """The command of the image's HEALTHCHECK."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", "")
    (found,) = re.findall(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    command: list[str] = json.loads(found)
    return command


def check_of_the_proxy(port: int) -> int:
    """What the check of the proxy's image ends with, for a proxy on another port."""
    command = [word.replace("127.0.0.1/8080", f"127.0.0.1/{port}") for word in health_check("proxy/Dockerfile")]
    assert command[2] != health_check("proxy/Dockerfile")[2]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def check_of_the_service(host: str, port: str) -> int:
    """What the check of the service's image ends with, where the service was told this."""
    python, *arguments = health_check("Dockerfile")
    assert python == "python"
    environment = os.environ | {"THUD_HOST": host, "THUD_PORT": port}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False).returncode


def test_both_images_are_healthy_where_all_is_well(server: Server, proxy: Proxy) -> None:
    port = str(server.address[1])

    assert check_of_the_proxy(proxy.port) == 0
    assert [check_of_the_service(host, port) for host in ("0.0.0.0", "127.0.0.1", "::", "")] == [0] * 4


def test_an_image_without_its_service_is_not_healthy() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with proxying(f"http://127.0.0.1:{port}") as proxy:
            assert check_of_the_proxy(proxy.port) != 0
            status, headers, body = exchange(proxy.port, b"GET /readyz HTTP/1.0\r\n\r\n")
        assert check_of_the_service("0.0.0.0", str(port)) != 0

    check_problem(status, headers, body, 502)


@pytest.mark.parametrize("port", ["tcp://10.43.7.1:8000", "", "8000"])
def test_the_check_asks_the_default_port_where_the_variable_is_none(port: str) -> None:
    command = health_check("Dockerfile")[-1]
    asked = "import http.client; http.client.HTTPConnection.connect = lambda self: print(self.host, self.port); "
    run = subprocess.run(
        [sys.executable, "-c", asked + command],
        env=os.environ | {"THUD_HOST": "::", "THUD_PORT": port},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.stdout == "127.0.0.1 8000\n"


# Requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.0",
        b"HEAD /livez HTTP/1.0",
        b"GET /livez HTTP/1.0\r\nConnection: keep-alive",
        b"GET /livez HTTP/1.0\r\nHost: thud.example:8080",
        b"GET /livez HTTP/1.1\r\nHost: [::1]:8080",
        b"GET http://thud.example:81/livez HTTP/1.0",
        b"GET http://thud.example:81/livez HTTP/1.1\r\nHost: thud.example:81",
        b"GET http://thud.example HTTP/1.1\r\nHost: thud.example",
    ],
)
def test_whatever_host_was_asked(proxy: Proxy, head: bytes) -> None:
    status, _, body = exchange(proxy.port, head + b"\r\n\r\n")

    assert (status, bool(body)) == (200, not head.startswith(b"HEAD"))


def test_a_picture_of_a_client_that_names_no_host(proxy: Proxy, encode: Encode) -> None:
    picture = encode()
    head = f"POST /recommend?k=3 HTTP/1.0\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"

    status, _, body = exchange(proxy.port, head.encode() + picture)

    assert (status, json.loads(body)["returned"]) == (200, 3)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /proxy-problem HTTP/1.0\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 404),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1), 413),
        (b"GET /?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    ],
)
def test_what_the_proxy_itself_refuses_is_a_problem(proxy: Proxy, request_: bytes, wanted: int) -> None:
    check_problem(*exchange(proxy.port, request_), wanted)


def test_the_problems_of_both_have_the_same_headers(proxy: Proxy, client: httpx.Client) -> None:
    of_the_service = client.get("/nothing").headers
    of_the_proxy = httpx.get(f"{proxy.url}/proxy-problem", timeout=60).headers

    own = {"date", "content-length", "x-request-id"}
    assert {name: of_the_proxy.get(name) for name in of_the_service if name not in own} == {
        name: value for name, value in of_the_service.items() if name not in own
    }


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_limit_is_judged_and_a_larger_one_refused(proxied: httpx.Client, chunked: bool) -> None:
    def body(size: int) -> Any:
        return iter([bytes(size - LIMIT // 2), bytes(LIMIT // 2)]) if chunked else bytes(size)

    judged = proxied.post("/recommend", content=body(LIMIT), headers=JPEG)
    refused = proxied.post("/recommend", content=body(LIMIT + 1), headers=JPEG)

    assert (judged.status_code, "not a JPEG" in judged.json()["detail"]) == (415, True)
    assert (refused.status_code, f"{LIMIT:,} bytes" in refused.json()["detail"]) == (413, True)


def test_an_answer_before_the_end_of_the_body_reaches_the_client(proxied: httpx.Client) -> None:
    for _ in range(2):
        refused = proxied.post("/recommend", content=bytes(LIMIT), headers={"Content-Type": "text/plain"})

        assert (refused.status_code, "text/plain" in refused.json()["detail"]) == (415, True)


def test_a_request_has_an_id(proxied: httpx.Client) -> None:
    assert proxied.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    own = proxied.get("/livez", headers={"X-Request-ID": 'a"b'}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", own)
    assert proxied.get("/livez").headers["x-request-id"] != own


def test_what_a_client_says_about_its_address_is_not_believed_and_its_query_not_logged(
    proxied: httpx.Client, proxy: Proxy, server: Server
) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    assert proxied.get("/materials?api_key=a-secret", headers=forged).status_code == 422

    until = time.monotonic() + 30
    while "/materials " not in proxy.log.read_text() and time.monotonic() < until:
        time.sleep(0.02)  # nginx writes its line after the answer
    (line,) = [line for line in proxy.log.read_text().splitlines() if "/materials " in line]
    assert line.startswith("127.0.0.1 ")
    assert "a-secret" not in line
    assert not [line for line in server.requests if "203.0.113.7" in line]


def test_a_query_is_not_logged_where_the_service_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with proxying(f"http://127.0.0.1:{port}") as proxy:
        exchange(proxy.port, b"GET /materials?api_key=a-secret HTTP/1.1\r\nHost: x\r\n\r\n")
        within(10, lambda: "/materials " in proxy.log.read_text())
        said = proxy.log.read_text()
    assert (" 502 " in said, "a-secret" in said) == (True, False)


def test_the_page_comes_compressed_and_sounds_do_not(proxied: httpx.Client) -> None:
    page = proxied.get("/")
    assert page.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href)="(page/[^"]+\.(?:js|css)[^"]*)"', page.text)
    assert addresses
    for address in addresses:
        answer = proxied.get(f"/{address}")
        # Below a kilobyte it would not pay.
        assert len(answer.content) < 1024 or answer.headers["content-encoding"] == "gzip"
    sounds = proxied.get("/sounds")
    assert sounds.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in proxied.get(sounds.json()["sounds"][0]["url"]).headers


# Slow uploads ----------------------------------------------------------------------------------------------


def upload(proxy: Proxy, sent: int, address: str = "127.0.0.1") -> socket.socket:
    """An upload of the largest size of which so many bytes come."""
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=60, source_address=(address, 0))
    head = f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {LIMIT}\r\n\r\n"
    connection.sendall(head.encode() + bytes(sent))
    return connection


def test_slow_uploads_fill_nothing_and_end_in_time(library: Library, encode: Encode) -> None:
    with running(library, "--deadline-seconds", "3") as server, proxying(server.url) as proxy, ExitStack() as held:
        slow = [held.enter_context(contextlib.closing(upload(proxy, 2**20))) for _ in range(24)]
        for address in ("127.0.0.1", "127.0.0.2"):
            transport = httpx.HTTPTransport(local_address=address)
            with httpx.Client(base_url=proxy.url, transport=transport, timeout=60) as client:
                assert client.post("/recommend", content=encode(), headers=JPEG).status_code == 200
        assert proxy.stored() == []
        # The service's own words: it has seen the bytes, and so counted them.
        for connection in slow:
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == 408
            assert json.loads(response.read())["title"] == "Request Timeout"


def test_uploads_of_one_address_are_bounded_and_other_requests_are_not(proxy: Proxy, encode: Encode) -> None:
    with ExitStack() as held, httpx.Client(base_url=proxy.url, timeout=60) as client:
        for _ in range(256 + 16):  # one or another may come while a place is taken by what asks below
            held.enter_context(contextlib.closing(upload(proxy, 1, "127.0.0.3")))
        until = time.monotonic() + 30
        while (answer := refused_at("127.0.0.3", proxy))[0] != 503 and time.monotonic() < until:
            time.sleep(0.05)  # nginx has not read all heads yet
        check_problem(*answer, 503)
        assert answer[1]["retry-after"] == "1"
        assert client.post("/recommend", content=encode(), headers=JPEG).status_code == 200
        transport = httpx.HTTPTransport(local_address="127.0.0.3")
        with httpx.Client(base_url=proxy.url, transport=transport, timeout=60) as same:
            assert [same.get(path).status_code for path in ("/livez", "/readyz", "/sounds")] == [200] * 3


def refused_at(address: str, proxy: Proxy) -> tuple[int, dict[str, str], bytes]:
    """The answer to a small upload from this address."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=proxy.url, transport=transport, timeout=60) as client:
        answer = client.post("/recommend", content=b"x", headers=JPEG)
        return answer.status_code, dict(answer.headers), answer.content
