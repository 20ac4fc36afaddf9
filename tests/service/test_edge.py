"""What holds for every answer: its id, who may ask, and from which pages."""

import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from service.access import as_sent
from service.settings import SettingsError, read_settings
from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_limits import answer_to

KEYS = ("first-key-0123456789", "second-key-0123456789")
ACCENTED, CYRILLIC = "schlüssel-0123456789", "ключ-0123456789abc"


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/sounds", "/recommend", "/page/page.js"])
def test_an_id_is_taken_and_given_back(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"X-Request-ID": "my-own.ID_7"})

    assert response.headers["x-request-id"] == "my-own.ID_7"
    if response.status_code >= 400:
        assert response.json()["request_id"] == "my-own.ID_7"


@pytest.mark.parametrize("given", [None, "", "has space", "x" * 129, "a;b", "{}"])
def test_an_id_is_made_where_none_can_be_taken(client: httpx.Client, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given}

    first, second = (client.get("/nothing", headers=headers).headers["x-request-id"] for _ in range(2))

    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert first != second


def test_what_is_no_http_gets_an_id_too(server: Server) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", answer_to(server, b"hello\r\n\r\n")[1]["request_id"])


@pytest.fixture(scope="module")
def locked(library: Library) -> Iterator[httpx.Client]:
    """A client of a server that wants keys and lets one other origin in."""
    env = {"THUD_API_KEYS": ", ".join((*KEYS, ACCENTED, CYRILLIC)), "THUD_CORS_ORIGINS": "https://a.example"}
    with running(library, env=env) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/docs", "/openapi.json", "/page/style/base.css"])
def test_probes_and_documents_need_no_key(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/sounds", "/materials", "/nothing", "/readyz?verbose", "/readyz?%76erbose=1"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer first-key"},
        {"Authorization": "Basic first-key-0123456789"},
        {"X-API-Key": "first-key-0123456789 "[:-2]},
        {"X-API-Key": ", ".join(KEYS)},
    ],
)
def test_without_a_key_nothing_else_is_answered(locked: httpx.Client, path: str, headers: dict[str, str]) -> None:
    response = locked.get(path, headers=headers)

    check_problem(response, 401, "needs a key")
    assert response.headers["www-authenticate"] == "Bearer"


def test_without_a_key_no_picture_is_taken(locked: httpx.Client, encode: Encode) -> None:
    check_problem(locked.post("/recommend", files={"image": encode()}), 401)


@pytest.mark.parametrize("key", KEYS)
def test_with_a_key(locked: httpx.Client, encode: Encode, key: str) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert locked.post("/recommend", files={"image": encode()}, headers=headers).status_code == 200


def test_space_around_a_key_is_not_part_of_it(locked: httpx.Client) -> None:
    for header in (b"X-API-Key: %s \t", b"Authorization: Bearer  %s "):
        with socket.create_connection((locked.base_url.host, locked.base_url.port or 80), 10) as connection:
            head = b"GET /materials HTTP/1.0\r\nHost: a\r\n" + header % KEYS[0].encode()
            connection.sendall(head + b"\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("key", [ACCENTED.encode(), ACCENTED.encode("latin-1"), CYRILLIC.encode()])
def test_a_key_may_have_any_letters(locked: httpx.Client, key: bytes) -> None:
    for headers in ({b"Authorization": b"Bearer " + key}, {b"X-API-Key": key}):
        assert locked.get("/materials", headers=headers).status_code == 200
        almost = {name: value[:-1] + b"?" for name, value in headers.items()}
        assert locked.get("/materials", headers=almost).status_code == 401


def test_a_key_is_taken_as_the_bytes_that_were_set() -> None:
    # So an environment in another encoding than the system's reaches Python.
    key = b"cl\xe9-0123456789abc".decode("utf-8", "surrogateescape")

    assert read_settings({"api_keys": key}).keys == [key]
    assert as_sent(key) == [b"cl\xe9-0123456789abc"]


@pytest.mark.parametrize("sign", ["\n", "\t", "\x7f", "\u200b", "\xa0", "\ufeff"])
def test_a_key_that_could_not_be_sent_is_refused_and_not_repeated(sign: str) -> None:
    with pytest.raises(SettingsError, match="cannot be seen") as refused:
        read_settings({"api_keys": f"{KEYS[0]},second-key{sign}0123456789"})
    assert "second" not in str(refused.value)


def test_keys_are_described(locked: httpx.Client, client: httpx.Client) -> None:
    document = locked.get("/openapi.json").json()

    assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
    assert document["paths"]["/sounds"]["get"]["security"] == [{"bearer": []}, {"key": []}]
    assert "security" not in document["paths"]["/livez"]["get"]
    assert document["paths"]["/metrics"]["get"]["security"] == [{"bearer": []}, {"key": []}]
    assert document["paths"]["/readyz"]["get"]["security"] == [{}, {"bearer": []}, {"key": []}]
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]
    for key in KEYS:
        assert key not in locked.get("/openapi.json").text


def test_a_key_that_is_easy_to_guess_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="16 characters") as refused:
        read_settings({"api_keys": f"{KEYS[0]},secret"})
    assert "secret" not in str(refused.value)
    assert KEYS[0] not in repr(read_settings({"api_keys": KEYS[0]}))


def test_pages_of_other_origins(locked: httpx.Client, client: httpx.Client) -> None:
    ask = {"Origin": "https://a.example"}
    preflight = ask | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}

    allowed = locked.options("/recommend", headers=preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://a.example")
    for changed in ({"Origin": "https://b.example"}, {"Access-Control-Request-Method": "DELETE"}):
        refused = locked.options("/recommend", headers=preflight | changed)
        check_problem(refused, 400, "CORS")
        assert "Origin" in refused.headers["vary"]
    for path in ("/livez", "/nothing", "/sounds"):  # errors too, so that the page can read them
        answer = locked.get(path, headers=ask)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert (
        "access-control-allow-origin" not in locked.get("/livez", headers={"Origin": "https://b.example"}).headers
    )
    assert "access-control-allow-origin" not in client.get("/livez", headers=ask).headers


def test_errors_of_the_connection_and_of_the_application_look_alike(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = b""
        while part := connection.recv(65_536):
            head += part
    assert b"\r\ncache-control: no-store\r\n" in head.lower()
    assert b'"request_id"' in head
