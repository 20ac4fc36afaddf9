"""What the service says of itself: metrics, the log, the times of a request."""

import gzip
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service.conftest import LIBRARY_SIZE, Encode, Library, Server, running
from tests.service.test_limits import answer_to
from tests.service.test_queue import slow_picture
from tests.waiting import within

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read_metrics(client: httpx.Client) -> Samples:
    """Every sample by its name and labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route(library: Library, encode: Encode) -> None:
    with running(library) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        sound = client.get("/sounds?limit=1").json()["sounds"][0]["url"]
        for _ in range(3):
            client.get(sound)
        client.post("/recommend", files={"image": encode()})
        client.post("/recommend", files={"image": b"nonsense"})
        client.get("/no/such/thing")
        client.request("BREW", "/livez")
        client.get("/page/page.js")
        answer_to(server, b"hello\r\n\r\n")

        # A request counts when its answer has been sent, which its client may learn of first.
        page = {"route": "/page", "method": "GET", "status": "200"}
        within(10, lambda: value(read_metrics(client), "thud_requests_total", **page) == 1)
        samples = read_metrics(client)

    def requests(route: str, method: str, status: int) -> float:
        return value(samples, "thud_requests_total", route=route, method=method, status=str(status))

    assert requests("/sounds/{sound_id}", "GET", 200) == 3
    assert requests("/sounds", "GET", 200) == 1
    assert requests("/recommend", "POST", 200) == 1
    assert requests("/recommend", "POST", 415) == 1
    assert requests("none", "GET", 404) == 1
    assert requests("/page", "GET", 200) == 1
    assert value(samples, "thud_rejected_total", reason="format") == 1
    assert value(samples, "thud_rejected_total", reason="malformed") >= 1
    for stage in ("queue", "decode", "network", "search"):
        assert value(samples, "thud_stage_seconds_count", stage=stage) == 1
    assert value(samples, "thud_library_sounds") == LIBRARY_SIZE
    assert value(samples, "thud_queue_length") == value(samples, "thud_computing") == 0
    assert [labels for (name, labels), one in samples.items() if name == "thud_loaded" and one == 1] != []
    routes = {dict(labels)["route"] for name, labels in samples if name == "thud_requests_total"}
    assert not any("no/such" in route or "BREW" in str(route) for route in routes)


def test_the_queue_is_measured(library: Library) -> None:
    with (
        running(library, "--threads", "1", "--queue-seconds", "0.2") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        picture = slow_picture()
        asked = [pool.submit(client.post, "/recommend", content=picture) for _ in range(8)]
        seen = []
        while not all(one.done() for one in asked):
            samples = read_metrics(client)
            seen.append((value(samples, "thud_queue_length"), value(samples, "thud_computing")))
        refused = sum(one.result().status_code == 503 for one in asked)
        # Between two pictures none is computed for a moment.
        assert {computing for _, computing in seen} <= {0, 1}
        assert any(waiting and computing for waiting, computing in seen)
        within(10, lambda: value(read_metrics(client), "thud_computing") == 0)
        assert value(read_metrics(client), "thud_rejected_total", reason="queue_full") == refused > 0


def test_a_client_that_goes_while_it_waits_is_computed_for_no_more(library: Library) -> None:
    slow = slow_picture()
    head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(slow)
    with (
        running(library, "--threads", "1", "--queue-seconds", "60") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def waiting(number: int) -> bool:
            return value(read_metrics(client), "thud_queue_length") == number

        asked = [pool.submit(client.post, "/recommend", content=slow) for _ in range(4)]
        within(30, lambda: waiting(3))
        with socket.create_connection(server.address, timeout=30) as connection:
            connection.sendall(head + slow)
            within(30, lambda: waiting(4))
        within(30, lambda: value(read_metrics(client), "thud_rejected_total", reason="client_gone") == 1)
        assert [one.result().status_code for one in asked] == [200] * 4
        assert value(read_metrics(client), "thud_stage_seconds_count", stage="decode") == 4


def test_an_answer_says_where_its_time_went(client: httpx.Client, encode: Encode) -> None:
    timing = client.post("/recommend", files={"image": encode()}).headers["server-timing"]

    assert re.fullmatch(
        r"queue;dur=[\d.]+, room;dur=[\d.]+, decode;dur=[\d.]+, network;dur=[\d.]+, search;dur=[\d.]+", timing
    )


def test_a_line_for_each_request(server: Server, client: httpx.Client) -> None:
    client.get("/livez?a=%0Ab", headers={"X-Request-ID": "find-me"})

    within(10, lambda: any("find-me" in line for line in server.requests))
    line = next(line for line in server.requests if "find-me" in line)
    assert re.fullmatch(r'\d{4}-.* 127\.0\.0\.1 "GET /livez\?a=%0Ab" 200 \d+ [\d.]+ ms find-me\n', line), line


def test_what_is_refused_before_it_is_a_request_is_counted_and_logged(library: Library) -> None:
    flags = ["--header-seconds", "1", "--max-connections", "1", "--log-format", "json"]
    with running(library, *flags) as server:
        bad = answer_to(server, b"hello\r\n\r\n")[1]["request_id"]
        large = answer_to(server, b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n")[1]["request_id"]
        late = answer_to(server, b"GET / HTTP/1.1\r\nA: ")[1]["request_id"]
        with socket.create_connection(server.address, timeout=30) as busy:
            busy.sendall(
                b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
            )
            assert busy.recv(100).startswith(b"HTTP/1.1 100")
            many = answer_to(server)[1]["request_id"]
        with httpx.Client(base_url=server.url, timeout=30) as client:
            within(10, lambda: client.get("/livez").status_code == 200)
            samples = read_metrics(client)
        within(10, lambda: any(many in line for line in server.requests))
        said = {line["request_id"]: line for line in map(json.loads, server.requests)}
    for identity, status, reason in (
        (bad, 400, "malformed"),
        (large, 431, "head_too_large"),
        (late, 408, "slow_head"),
        (many, 503, "connections"),
    ):
        line = said[identity]
        assert (line["status"], line["reason"], line["client"]) == (status, reason, "127.0.0.1")
        assert value(samples, "thud_rejected_total", reason=reason) >= 1


def test_the_log_as_json(library: Library) -> None:
    with running(library, "--log-format", "json") as server:
        httpx.get(f"{server.url}/nothing", headers={"X-Request-ID": "find-me"}, timeout=60)
        within(10, lambda: any("find-me" in line for line in server.requests))
        said = json.loads(next(line for line in server.requests if "find-me" in line))
    assert said.pop("time").endswith("+00:00")
    assert said.pop("seconds") > 0
    assert said.pop("bytes") > 0
    assert said == {
        "level": "info",
        "logger": "thud.access",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/nothing",
        "status": 404,
        "request_id": "find-me",
    }


@pytest.mark.parametrize(("trusted", "client"), [("localhost", "203.0.113.9"), ("192.0.2.1", "127.0.0.1")])
def test_a_proxy_is_believed_where_it_is_trusted_also_by_name(library: Library, trusted: str, client: str) -> None:
    def ask() -> bool:
        httpx.get(f"{server.url}/livez", headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60)
        return f'{client} "GET /livez"' in "".join(server.requests)

    with running(library, "--trusted-proxies", trusted) as server:
        within(10, ask)


class _Collector(BaseHTTPRequestHandler):
    """Takes what an OpenTelemetry exporter sends."""

    seen: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_a_span_of_each_request_is_sent(library: Library) -> None:
    key = "a-key-0123456789"
    with HTTPServer(("127.0.0.1", 0), _Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{collector.server_port}"
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
            env |= {"THUD_API_KEYS": key, "THUD_TRUSTED_PROXIES": "127.0.0.1"}
            with running(library, "--tracing", "true", env=env) as server:
                said = {"X-API-Key": key, "X-Forwarded-For": key, "User-Agent": f"me {key}", "Host": key}
                assert (
                    httpx.get(f"{server.url}/sounds?api_key=mislaid", headers=said, timeout=60).status_code == 422
                )
                assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
                within(20, lambda: bool(_Collector.seen))
        finally:
            collector.shutdown()
    paths, bodies = zip(*_Collector.seen, strict=True)
    assert set(paths) == {"/v1/traces"}
    assert b"/sounds" in b"".join(bodies)
    assert b"/livez" not in b"".join(bodies)
    assert b"api_key=***" in b"".join(bodies)
    assert b"me ***" in b"".join(bodies)
    assert b"mislaid" not in b"".join(bodies)
    assert key.encode() not in b"".join(bodies)
