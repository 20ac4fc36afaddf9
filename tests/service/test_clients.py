"""What clients, proxies and balancers send that others do not: each is answered, or told why not."""

import base64
import gzip
import http.client
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem

BOUNDARY = b"a-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}


def form(content: bytes, *headers: str, before: bytes = b"") -> bytes:
    """A form with one part that has these headers."""
    head = "\r\n".join(headers).encode()
    return before + b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\nthe end" % (BOUNDARY, head, content, BOUNDARY)


def sent(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request as it stands: its status, its headers and its body."""
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method=request.partition(b" ")[0].decode())
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


NAMED = 'Content-Disposition: form-data; name="image"'


@pytest.mark.parametrize(
    "headers",
    [
        (NAMED, "Content-Type: image/jpeg"),
        (NAMED, "Content-Type: application/octet-stream"),
        (f"{NAMED}; filename*=UTF-8''%e9%9f%b3.jpg", "Content-Type: image/jpeg"),
        (f"{NAMED}; filename*=UTF-8''%e9%9f%b3.jpg",),
        (f"{NAMED}; FileName=a.jpg",),
        (f'{NAMED}; filename=""', "Content-Transfer-Encoding: binary"),
    ],
)
def test_parts_of_every_kind(client: httpx.Client, encode: Encode, headers: tuple[str, ...]) -> None:
    for before in (b"", b"\r\n", b"This is a message in several parts.\r\n--not-it\r\n"):
        answer = client.post("/recommend", content=form(encode(), *headers, before=before), headers=FORM)
        assert answer.status_code == 200, answer.text


def test_a_part_of_text_is_none(client: httpx.Client, encode: Encode) -> None:
    for headers in ((NAMED,), (NAMED, "Content-Type: text/plain")):
        answer = client.post("/recommend", content=form(encode(), *headers), headers=FORM)
        check_problem(answer, 422, "is text", "if it is a data: URL or in base64, decode it")


def test_a_text_that_stands_for_a_picture_is_told_what_to_do(client: httpx.Client, encode: Encode) -> None:
    address = b"data:image/png;base64," + base64.b64encode(encode())
    as_text = {"content-type": "text/plain;charset=UTF-8"}  # what browsers declare where a script sends a text
    refused = client.post("/recommend", content=address, headers=as_text)
    check_problem(refused, 415, "type text/plain is not accepted", "if it is a data: URL or in base64, decode it")
    refused = client.post("/recommend", files={"image": ("picture.txt", address, "text/plain")})
    check_problem(refused, 415, "a file of type text/plain", "if it is a data: URL or in base64, decode it")
    refused = client.post("/recommend", content=b"%PDF", headers={"content-type": "application/pdf"})
    assert "base64" not in refused.json()["detail"]


def test_a_part_in_base64(client: httpx.Client, encode: Encode) -> None:
    packed = base64.encodebytes(encode())
    coding = "Content-Transfer-Encoding: Base64"
    for headers in ((NAMED, "Content-Type: image/jpeg", coding), (f"{NAMED}; filename=a.jpg", coding)):
        assert client.post("/recommend", content=form(packed, *headers), headers=FORM).status_code == 200
    headers = (f"{NAMED}; filename=a.jpg", coding)
    check_problem(client.post("/recommend", content=form(packed[:-4], *headers), headers=FORM), 400, "base64")
    headers = (f"{NAMED}; filename=a.jpg", "Content-Transfer-Encoding: x-uuencode")
    check_problem(client.post("/recommend", content=form(packed, *headers), headers=FORM), 415, "x-uuencode")


def test_a_body_that_is_compressed_is_told(client: httpx.Client, encode: Encode) -> None:
    for coding in ("gzip", "br", "GZip, identity"):
        headers = {"Content-Type": "image/jpeg", "Content-Encoding": coding}
        answer = client.post("/recommend", content=gzip.compress(encode()), headers=headers)
        check_problem(answer, 415, coding, "without Content-Encoding")
        assert answer.headers["accept-encoding"] == "identity"
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "identity"}
    assert client.post("/recommend", content=encode(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("target", "allowed"),
    [("/", "GET, HEAD, OPTIONS"), ("/recommend", "POST, OPTIONS"), ("*", "GET, HEAD, POST, OPTIONS")],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_options(server: Server, target: str, allowed: str, version: str) -> None:
    host = "Host: a\r\n" if version == "1.1" else ""
    status, headers, body = sent(server, f"OPTIONS {target} HTTP/{version}\r\n{host}\r\n".encode())
    assert (status, body) == (204, b"")
    assert sorted(headers["allow"].split(", ")) == sorted(allowed.split(", "))
    assert "content-type" not in headers
    assert headers["x-request-id"]


def test_options_of_what_there_is_not(client: httpx.Client) -> None:
    check_problem(client.options("/nothing"), 404)
    assert client.options("/page/page.js").status_code == 204


@pytest.mark.parametrize("target", ["/", "/livez", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_checks_in_http_1_0(server: Server, method: str, target: str) -> None:
    assert sent(server, f"{method} {target} HTTP/1.0\r\n\r\n".encode())[0] == 200


@pytest.mark.parametrize(
    "target", ["http://a", "http://a:80", "http://a?x=1", "HTTP://[::1]", "https://a/", "http://a/livez"]
)
def test_an_address_with_a_host(server: Server, target: str) -> None:
    assert sent(server, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())[0] == 200


def test_an_address_that_is_none(server: Server) -> None:
    for target in ("http://", "://a", "a"):
        assert sent(server, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())[0] == 400


def test_connections_are_kept_for_longer_than_balancers_keep_them(server: Server) -> None:
    shown = json.loads(sent(server, b"GET /openapi.json HTTP/1.0\r\n\r\n")[2])["info"]["description"]
    assert "| `--keep-alive-seconds` | 75 |" in shown


@pytest.fixture(scope="module")
def crossed(library: Library) -> Iterator[Server]:
    with running(library, "--cors-origins", "https://a.example") as server:
        yield server


def test_a_page_may_send_any_header(crossed: Server) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    for names in ("cache-control,pragma", "x-requested-with", "traceparent, x-whatever"):
        headers = asked | {"Access-Control-Request-Headers": names}
        answer = httpx.options(f"{crossed.url}/sounds/{'0' * 20}", headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-headers"]) == (200, names)


@pytest.mark.parametrize("prefix", ["/thud", "/a/thud/", "/first, /second"])
def test_the_prefix_that_a_trusted_proxy_says(server: Server, encode: Encode, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix}
    path = prefix.replace(", ", "").rstrip("/")
    answer = httpx.post(f"{server.url}/recommend", files={"image": encode()}, headers=headers)
    url = answer.json()["results"][0]["url"]
    assert url.startswith(f"{path}/sounds/")
    for asked in (url.removeprefix(path), "/page/page.js", "/"):
        assert httpx.get(server.url + asked, headers=headers).status_code == 200
    # A proxy that passes on what a client says, and has rules of its own for paths, is not led past them.
    assert httpx.get(f"{server.url}{path}/metrics", headers=headers).status_code == 404
    assert httpx.get(f"{server.url}/openapi.json", headers=headers).json()["servers"] == [{"url": path}]
    assert f"{path}/openapi.json" in httpx.get(f"{server.url}/docs", headers=headers).text


@pytest.mark.parametrize("prefix", ["", "/", "//evil.example", "/a/../..", "https://evil.example", "/a?b", '/"a'])
def test_a_prefix_that_is_none(server: Server, prefix: str) -> None:
    shown = httpx.get(f"{server.url}/openapi.json", headers={"X-Forwarded-Prefix": prefix}).json()
    assert "servers" not in shown


def test_the_prefix_that_anybody_says(library: Library) -> None:
    with running(library, "--trusted-proxies", "192.0.2.1") as server:
        shown = httpx.get(f"{server.url}/openapi.json", headers={"X-Forwarded-Prefix": "/thud"}).json()
    assert "servers" not in shown


def test_sounds_are_saved_under_names_that_all_clients_know() -> None:
    from service.routes.audio import _disposition

    names = {"音.wav": "sound.wav", "bell ✓.wav": "bell.wav", "tür.wav": "tur.wav", "音": "sound", "♪.音": "sound"}
    names |= {"..wav": "sound.wav", "音 - 音.flac": "sound.flac", "音2.flac": "2.flac"}
    for name, wanted in names.items():
        assert _disposition(name).startswith(f'inline; filename="{wanted}"; filename*='), name
    assert _disposition("a b.wav") == 'inline; filename="a b.wav"'
