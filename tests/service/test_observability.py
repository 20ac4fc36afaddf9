"""What clients say in the log: on one line, of bounded length, without keys."""

import re
import socket
from collections.abc import Iterator
from functools import partial
from unittest.mock import Mock
from urllib.parse import quote, unquote_to_bytes
from uuid import uuid4

import httpx
import pytest

from service.observability import Logged
from tests.service.conftest import Library, Server, running
from tests.waiting import within

KEYS = ("first-key-0123456789", "first-key-0123456789-longer", "clé-à-0123456789abc", "with space 0123456789")


@pytest.fixture(scope="module")
def locked(library: Library) -> Iterator[Server]:
    env = {"THUD_API_KEYS": ",".join(KEYS), "THUD_TRUSTED_PROXIES": "127.0.0.1"}
    with running(library, env=env) as server:
        yield server


def line_of(server: Server, target: bytes, *lines: bytes) -> str:
    """The line of the log about a GET of this target with these header lines."""
    mark = uuid4().hex
    head = [b"GET " + target + b" HTTP/1.1", b"Host: x", b"Connection: close", b"X-Request-ID: " + mark.encode()]
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(b"\r\n".join([*head, *lines, b"", b""]))
        assert connection.recv(100).startswith(b"HTTP/1.1 ")
    within(10, lambda: any(mark in line for line in server.requests))
    [line] = [line for line in server.requests if mark in line]
    return line


@pytest.mark.parametrize(
    "said",
    [
        *(b"1.2.3.4", b"fe80::1%eth0", b"unknown", b"_hidden", b'1.2.3.4 "GET /admin" 200', b'"', b"a b"),
        *(b"\xff\xfe\xc2\x85\xc2\x9b31m", b"x" * 20_000, b"1.2.3.4:" + b"9" * 5000, b"\xc3\xa9" * 300),
    ],
)
def test_a_client_is_one_short_word(locked: Server, said: bytes) -> None:
    line = line_of(locked, b"/livez", b"X-Forwarded-For: " + said)

    assert re.fullmatch(r'[-\d]+ [:,\d]+ [!#-~]{1,70} "GET /livez" 200 \d+ [\d.]+ ms [0-9a-f]{32}\n', line), line


@pytest.mark.parametrize(
    "target",
    [
        *(
            b'/livez"x',
            b"/livez\\x",
            b"/livez?a=%0d%0a%1b[31m",
            b"/livez/%0AFAKE",
            b"/livez?a='<b>",
            b"/" + b"x" * 8000,
        ),
        b"/livez?" + b"&".join([b"a=1"] * 2000),
    ],
)
def test_an_address_stays_within_its_quotes(locked: Server, target: bytes) -> None:
    line = line_of(locked, target)

    found = re.fullmatch(r'[-\d]+ [:,\d]+ 127\.0\.0\.1 "GET ([!#-~]+)" \d{3} \d+ [\d.]+ ms [0-9a-f]{32}\n', line)
    assert found is not None, line
    assert len(found[1]) <= 515


@pytest.mark.parametrize(
    "name", ["api_key", "X-API-Key", "access_token", "password", "q", "k", "material", "a", ""]
)
@pytest.mark.parametrize("key", [*KEYS, "a-wrong-key-0123456789"])
def test_a_key_in_the_query_is_not_logged(name: str, key: str) -> None:
    for sent in (
        quote(key),
        quote(quote(key)),
        key.replace(" ", "+"),
        "".join(f"%{byte:02X}" for byte in key.encode()),
    ):
        said = address(f"/livez?verbose&{name}{'=' if name else ''}{sent}&limit=3")
        assert said in (f"/livez?verbose&{name}=***&limit=3", "/livez?verbose&***&limit=3"), said


def test_a_key_in_the_path_is_not_logged(locked: Server) -> None:
    for key in KEYS:
        assert address(f"/sounds/{quote(key)}/info") == "/sounds/***/info"
    assert '"GET /sounds/***"' in line_of(locked, f"/sounds/{KEYS[1]}".encode())
    assert not any("0123456789" in line for line in locked.requests)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", ["{}", "1.2.3.4, {}", "{}:80", "x{}x"])
def test_a_key_in_place_of_a_client_is_not_logged(locked: Server, key: str, form: str) -> None:
    for encoding in ("utf-8", "latin-1"):
        line = line_of(locked, b"/livez", b"X-Forwarded-For: " + form.format(key).encode(encoding))
        assert "***" in line
        assert "0123456789" not in line


def is_logged(server: Server, mark: str) -> bool:
    return any(mark in line for line in server.requests)


@pytest.mark.parametrize("given", [KEYS[0], KEYS[1], f"a.{KEYS[0]}-b"])
def test_a_key_in_place_of_an_id_is_not_logged(locked: Server, given: str) -> None:
    for path in ("/livez", "/sounds", "/nothing"):
        answer = httpx.get(locked.url + path, headers={"X-Request-ID": given}, timeout=60)
        identity = answer.headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", identity)
        assert KEYS[0] not in answer.text
        within(10, partial(is_logged, locked, identity))
    assert not any(KEYS[0] in line for line in locked.requests)


def test_a_key_in_other_words_is_not_shown() -> None:
    logged = Logged([*KEYS, "ключ-0123456789"])
    for key in (*KEYS, "ключ-0123456789", KEYS[2].encode().decode("latin-1")):
        assert logged.text(f"agent/{key}") == "agent/***"
    for said in ("", "curl/8.1 (é)", "100%", "%41", "日本", "\ud800"):
        assert logged.text(said) == said


def test_an_address_is_decoded_no_more_often_where_there_are_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Mock(wraps=unquote_to_bytes)
    monkeypatch.setattr("service.observability.unquote_to_bytes", decode)
    keys = [f"key-0123456789-{number:03}" for number in range(100)]
    scope = {"raw_path": b"/sounds/%2541" + keys[7].encode(), "path": "", "query_string": b""}

    assert Logged(keys).address(scope) == "/sounds/%2541***"
    assert decode.call_count <= 4


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("k=5&box=0.123456789,0.1,0.5,0.25", None),
        ("id=00112233445566778899&material=metal&limit=3", None),
        ("verbose", None),
        ("page=2&sort=name", None),
        ("material=metal;api_key=short", "material=metal;api_key=***"),
        ("API%5Fkey=x&PassWord=x&sig=x", "API%5Fkey=***&PassWord=***&sig=***"),
        ("material=" + "x" * 200, "material=***"),
        ("c2VjcmV0a2V5MTIzNDU2Nzg5==", "***=="),
    ],
)
def test_a_query_without_a_secret_is_logged(query: str, said: str | None) -> None:
    assert address(f"/sounds?{query}") == f"/sounds?{said or query}"


def address(target: str) -> str:
    path, _, query = target.partition("?")
    return Logged(KEYS).address({"path": path, "raw_path": path.encode(), "query_string": query.encode("latin-1")})
