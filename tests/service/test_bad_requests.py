"""Bad input: each gets a clear problem, and the next good request is answered as ever."""

import http.client
import io
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.service.conftest import Encode, Server

pytestmark = pytest.mark.usefixtures("still_well")

MEGABYTE = 2**20


def check_problem(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """The response is a problem of this status whose detail has these words."""
    problem: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert (response.status_code, problem["status"], problem["type"]) == (status, status, "about:blank")
    assert problem["title"]
    for word in words:
        assert word.lower() in problem["detail"].lower()
    return problem


def bomb(side: int) -> bytes:
    """A PNG of side x side pixels, all black, one bit each."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" * (1 + (side + 7) // 8)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(row * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated_gif() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("P", (64, 64), shade) for shade in (10, 200)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def saved_as(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a text",
        b"\x00" * 1000,
        b"%PDF-1.7 and so on",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        animated_gif(),
        saved_as("BMP"),
        saved_as("TIFF"),
    ],
    ids=["text", "zeros", "pdf", "svg", "gif", "bmp", "tiff"],
)
@pytest.mark.parametrize("in_form", [True, False])
def test_not_a_picture(client: httpx.Client, data: bytes, in_form: bool) -> None:
    if in_form:
        response = client.post("/recommend", files={"image": ("x.jpg", data, "image/jpeg")})
    else:
        response = client.post("/recommend", content=data, headers={"Content-Type": "image/jpeg"})

    check_problem(response, 415, "JPEG, PNG, WebP or AVIF", "convert")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_picture(client: httpx.Client, encode: Encode, kind: str, keep: float) -> None:
    picture = encode(kind, size=(640, 480))

    response = client.post("/recommend", files={"image": picture[: int(len(picture) * keep)]})

    check_problem(response, 422, "broken or cut short")


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8X"])
def test_the_first_bytes_of_a_picture(client: httpx.Client, data: bytes) -> None:
    check_problem(client.post("/recommend", files={"image": data}), 422, "broken or cut short")


def test_a_tiny_picture(client: httpx.Client, encode: Encode) -> None:
    check_problem(client.post("/recommend", files={"image": encode("PNG", size=(1, 1))}), 422, "1x1", "at least")


def test_a_decompression_bomb(client: httpx.Client) -> None:
    response = client.post("/recommend", files={"image": bomb(30_000)})

    check_problem(response, 413, "30000x30000", "52,000,000")


def test_an_empty_picture(client: httpx.Client) -> None:
    problem = check_problem(client.post("/recommend", files={"image": b""}), 422, "empty")

    assert [error["field"] for error in problem["errors"]] == ["body.image"]


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "image/png"}, {"Content-Type": "application/octet-stream"}]
)
def test_an_empty_body(client: httpx.Client, headers: dict[str, str]) -> None:
    check_problem(client.post("/recommend", headers=headers), 422, "empty")


def test_a_missing_field(client: httpx.Client, encode: Encode) -> None:
    response = client.post("/recommend", files={"picture": encode()})

    problem = check_problem(response, 422, "no field image")
    assert [error["field"] for error in problem["errors"]] == ["body.image"]


@pytest.mark.parametrize(("path", "other"), [("/recommend", "sound"), ("/similar", "image")])
def test_a_picture_and_a_sound_in_one_form(client: httpx.Client, encode: Encode, path: str, other: str) -> None:
    response = client.post(path, files={"image": encode(), "sound": encode()})

    problem = check_problem(response, 422, f"has a field {other}, too")
    assert [error["field"] for error in problem["errors"]] == [f"body.{other}"]


def test_a_field_that_is_text(client: httpx.Client, encode: Encode) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nhello\r\n--b--\r\n'
    response = client.post("/recommend", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    check_problem(response, 422, "as a file")


def test_two_pictures(client: httpx.Client, encode: Encode) -> None:
    files = [("image", encode()), ("image", encode("PNG"))]

    check_problem(client.post("/recommend", files=files), 422, "2 fields", "one picture")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"no boundary in here", "multipart/form-data; boundary=b", 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
        (b"--b--\r\n", "multipart/form-data", 400),
        (b"", "multipart/form-data; boundary=b", 422),
    ],
    ids=["not multipart", "no name", "no boundary", "nothing"],
)
def test_a_broken_form(client: httpx.Client, body: bytes, kind: str, status: int) -> None:
    check_problem(client.post("/recommend", content=body, headers={"Content-Type": kind}), status)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "nonsense", ";", "image/jpeg/x"]
)
def test_an_unsupported_content_type(client: httpx.Client, encode: Encode, kind: str) -> None:
    body = client.post("/recommend", content=encode(), headers={"Content-Type": kind})

    check_problem(body, 415, "JPEG, PNG, WebP or AVIF")


def test_a_part_of_an_unsupported_type(client: httpx.Client, encode: Encode) -> None:
    part = client.post("/recommend", files={"image": ("a.txt", encode(), "text/plain")})

    check_problem(part, 415, "text/plain", "JPEG, PNG, WebP or AVIF")


ODD = ("1_0", "٣", "３", "१", "+3", " 3", "3 ", "0x3", "1e1", "²")
"""What is no number, though Python reads most of it."""


@pytest.mark.parametrize("k", ["0", "-1", "1001", str(10**9), "9" * 5000, "ten", "", "1.5", "NaN", *ODD])
def test_k_out_of_range(client: httpx.Client, encode: Encode, k: str) -> None:
    response = client.post("/recommend", params={"k": k}, files={"image": encode()})

    problem = check_problem(response, 422, "k")
    assert [error["field"] for error in problem["errors"]] == ["query.k"]


@pytest.mark.parametrize("path", ["/recommend", "/nothing", "/livez"])
def test_a_body_of_40_megabytes(client: httpx.Client, path: str) -> None:
    headers = {"Content-Type": "image/jpeg"}

    check_problem(client.post(path, content=b"x" * (40 * MEGABYTE), headers=headers), 413, "33,554,432")


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=b"])
def test_a_chunked_body_over_the_limit(client: httpx.Client, kind: str) -> None:
    def chunks() -> Iterator[bytes]:
        if kind.startswith("multipart"):
            yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        for _ in range(40):
            yield b"x" * MEGABYTE

    response = client.post("/recommend", content=chunks(), headers={"Content-Type": kind})

    check_problem(response, 413, "33,554,432")


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 40000000\r\n\r\n"
        )
        assert b" 413 " in connection.recv(100)


def test_a_chunked_body_is_refused_before_its_end(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(33):
            connection.sendall(b"100000\r\n" + b"x" * MEGABYTE + b"\r\n")
        assert b" 413 " in connection.recv(100)


def test_an_upload_that_is_broken_off(server: Server, encode: Encode) -> None:
    # That nothing of it is logged as a crash is checked where the server stops.
    picture = encode()
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            % len(picture)
        )
        connection.sendall(picture[: len(picture) // 2])


@pytest.mark.parametrize(
    "path",
    [
        "/sounds/../../etc/passwd",
        "/sounds/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/sounds/..%2f..%2f..%2fetc%2fpasswd",
        "/sounds/%2e%2e",
        "/sounds/....//....//etc/passwd",
        "/sounds/%00",
        "/sounds//etc/passwd",
        "/sounds/..%5c..%5cwindows",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
    ],
)
def test_a_path_that_climbs_out(server: Server, path: str) -> None:
    # http.client sends the path as it stands; httpx would tidy it up.
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"root:" not in body


def test_a_path_that_does_not_exist(client: httpx.Client) -> None:
    check_problem(client.get("/nothing/here"), 404, "/nothing/here")
    check_problem(client.get("/page/nothing.js"), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/recommend"), ("DELETE", "/sounds"), ("POST", "/page/page.js")]
)
def test_a_method_that_is_not_possible(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)

    check_problem(response, 405, method)
    assert response.headers["allow"]
