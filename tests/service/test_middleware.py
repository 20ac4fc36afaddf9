"""The headers that every answer has, and what a browser makes of them."""

import http.client
import socket

import httpx
import pytest

from tests.service.conftest import Library, Server, running


def check_headers(headers: httpx.Headers | http.client.HTTPMessage) -> None:
    """Each once, and none that lets anybody put the answer into a frame."""
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    names = [name.lower() for name in headers]
    assert all(names.count(name) == 1 for name in names)
    assert "cache-control" in names


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/redoc", "/openapi.json", "/livez", "/readyz", "/metrics", "/materials", "/nothing"),
        *("/page/page.js", "/page/nothing", "/static-offline-docs/swagger-ui.css", "/sounds?limit=0"),
        *("/recommend", "/sounds/00112233445566778899", "/sounds/00112233445566778899/info"),
    ],
)
def test_every_answer_has_them(client: httpx.Client, method: str, path: str) -> None:
    check_headers(client.request(method, path).headers)


def test_so_have_audio_its_parts_and_what_has_not_changed(client: httpx.Client) -> None:
    address = client.get("/sounds?limit=1").json()["sounds"][0]["url"]
    whole = client.get(address)
    changes: list[dict[str, str]] = [
        {},
        {"Range": "bytes=0-9"},
        {"Range": "bytes=99999999-"},
        {"If-None-Match": whole.headers["etag"]},
        {"If-Match": '"other"'},
    ]

    found = [client.get(address, headers=headers) for headers in changes]

    assert [answer.status_code for answer in found] == [200, 206, 416, 304, 412]
    for answer in found:
        check_headers(answer.headers)
    assert "immutable" in whole.headers["cache-control"]


def test_so_have_refusals_of_middlewares(library: Library) -> None:
    flags = ["--max-body-bytes", "1024", "--rate", "0.001", "--burst", "1", "--root-path", "/thud"]
    env = {"THUD_API_KEYS": "a-key-0123456789", "THUD_CORS_ORIGINS": "https://a.example"}
    with running(library, *flags, env=env) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        key = {"X-API-Key": "a-key-0123456789"}
        asked = {"Origin": "https://b.example", "Access-Control-Request-Method": "GET"}
        found = [
            client.get("/sounds"),
            client.post("/recommend", content=b"x" * 1025, headers=key),
            client.post("/recommend", content=b"x", headers=key),
            client.options("/sounds", headers=asked),
            client.options("/sounds", headers=asked | {"Origin": "https://a.example"}),
            client.get("/thud"),
            client.get("/docs"),
        ]

    assert [answer.status_code for answer in found] == [401, 413, 429, 400, 200, 307, 200]
    for answer in found:
        check_headers(answer.headers)
    assert "script-src 'self' 'unsafe-inline'" in found[-1].headers["content-security-policy"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["no HTTP", "no host", "long", "connect"],
)
def test_so_has_what_is_refused_before_it_is_a_request(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request_bytes)
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()

    assert response.status in (400, 414)
    assert response.headers["cache-control"] == "no-store"
    check_headers(response.headers)


@pytest.mark.parametrize(
    "path", ["/", "/page/style/base.css", "/page/icon.svg", "/static-offline-docs/favicon.png"]
)
def test_a_browser_asks_before_it_uses_a_copy(client: httpx.Client, path: str) -> None:
    first = client.get(path)

    assert first.headers["cache-control"] == "no-cache"
    if path != "/":
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"], again.content) == (304, "no-cache", b"")
