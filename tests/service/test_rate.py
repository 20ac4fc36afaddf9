"""So many pictures a second for each client."""

import httpx
import pytest

from service import access as rate
from service.access import Buckets
from tests.service.conftest import Encode, Library, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_edge import KEYS
from tests.service.test_metrics import read_metrics, value
from tests.waiting import within

# So slow that nothing comes back while a test runs, on whatever machine.
SLOWLY = ["--rate", "0.001", "--burst", "3"]


def test_whoever_asks_too_often_is_told_when_to_ask_again(library: Library, encode: Encode) -> None:
    picture = encode()
    with (
        running(library, *SLOWLY, "--trusted-proxies", "*") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):

        def ask(address: str) -> httpx.Response:
            return client.post("/recommend", content=picture, headers={"X-Forwarded-For": address})

        assert [ask("192.0.2.1").status_code for _ in range(3)] == [200] * 3
        for _ in range(2):
            refused = ask("192.0.2.1")
            check_problem(refused, 429, "0.001 searches a second", "try again")
            assert 900 < int(refused.headers["retry-after"]) <= 1000
        assert ask("192.0.2.2").status_code == 200
        # Addresses of IPv6 are given out by the network.
        assert [ask(f"2001:db8::{number}").status_code for number in range(1, 5)] == [200, 200, 200, 429]
        assert ask("2001:db8:0:1::1").status_code == 200
        assert [ask(f"::ffff:198.51.100.{number}").status_code for number in range(5)] == [200] * 5
        # Nothing but pictures is counted.
        assert all(client.get("/sounds?limit=1").status_code == 200 for _ in range(5))
        within(10, lambda: value(read_metrics(client), "thud_rejected_total", reason="rate") == 3)


def test_looking_for_words_is_a_search(library: Library) -> None:
    with running(library, *SLOWLY) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        assert [client.get("/sounds?limit=1&q=pan").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert client.get("/sounds?limit=1&q=").status_code == 200
        assert client.get("/sounds?limit=1").status_code == 200


def test_a_key_is_a_client(library: Library, encode: Encode) -> None:
    picture = encode()
    with (
        running(library, *SLOWLY, env={"THUD_API_KEYS": ",".join(KEYS)}) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        for key in KEYS:
            headers = {"X-API-Key": key}
            statuses = [client.post("/recommend", content=picture, headers=headers).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
        assert client.post("/recommend", content=picture).status_code == 401


def test_without_a_rate_nobody_is_counted(client: httpx.Client) -> None:
    assert {client.post("/recommend", content=b"nonsense").status_code for _ in range(40)} == {415}


def test_a_bucket_fills_again() -> None:
    now = 0.0
    buckets = Buckets(rate=2.0, burst=2, now=lambda: now)

    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    now = 0.25
    assert buckets.take("a") == pytest.approx(0.25)
    now = 0.5
    assert buckets.take("a") == 0.0
    now = 100.0  # no fuller than full
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]


def test_clients_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_MOST_CLIENTS", 2)
    buckets = Buckets(rate=1.0, burst=1, now=lambda: 0.0)

    for client in ("a", "b", "a", "c"):
        buckets.take(client)
    assert len(buckets) == 2
    assert buckets.take("a") > 0  # asked more lately than b
    assert buckets.take("b") == 0
