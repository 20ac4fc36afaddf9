"""When places run out: probes have theirs, and the slowest gives way."""

import contextlib
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.load import pace
from service.load.pace import Pace, slowest
from service.server.process import _accepted_at_once
from service.settings import Settings
from tests.service.conftest import Encode, Library, Server, running
from tests.service.test_bad_requests import check_problem
from tests.service.test_connection import read_answer, stalled, upload
from tests.service.test_metrics import read_metrics, value
from tests.waiting import within

Address = tuple[str, int]
PROBES = ("/livez", "/readyz", "/metrics")


class Clock:
    """The time that a pace is measured with."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Body:
    """An upload of a client."""

    client_host: str
    pace: Pace | None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "monotonic", clock)
    return clock


def test_nobody_is_slow_at_first_or_where_nothing_waits_for_him(clock: Clock) -> None:
    bodies = [Body("a", Pace()), Body("b", None)]
    clock.now += 4
    assert slowest(bodies) is None
    clock.now += 2
    assert slowest(bodies) is bodies[0]


def test_the_pace_is_that_of_late(clock: Clock) -> None:
    stopped, steady = Body("a", Pace()), Body("b", Pace())
    assert stopped.pace is not None
    assert steady.pace is not None
    stopped.pace.count(30_000_000)
    for _ in range(20):
        clock.now += 1
        steady.pace.count(2000)
        stopped.pace.count(1)
    assert slowest([steady, stopped]) is stopped


def test_the_client_with_most_gives_way_before_a_slower_one(clock: Clock) -> None:
    slow = Body("2001:db8::1", Pace())
    clock.now += 20
    many = [Body(f"2001:db8:1::{number}", Pace()) for number in range(4)]  # one client has all of a network
    clock.now += 1
    assert slowest([slow, *many]) is slow
    assert slowest([slow, *many], most=4) is None
    assert slowest([slow, *many], most=3) in many


@contextmanager
def uploads(address: Address, number: int, head: bytes) -> Iterator[list[socket.socket]]:
    """So many uploads that send a byte and no more."""
    with contextlib.ExitStack() as open_sockets:
        found = []
        for client in range(number):
            connection = open_sockets.enter_context(socket.create_connection(address, timeout=30))
            connection.sendall(head % (client // 200, client % 200) + b"x")
            found.append(connection)
        yield found


SLOW = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 30000\r\n"
FROM_ONE = SLOW + b"X-Unread: %d.%d\r\n\r\n"
FROM_MANY = SLOW + b"X-Forwarded-For: 203.0.%d.%d\r\n\r\n"


@pytest.mark.parametrize("head", [FROM_ONE, FROM_MANY], ids=["one client", "many clients"])
def test_probes_are_answered_whatever_is_uploaded(library: Library, encode: Encode, head: bytes) -> None:
    with (
        running(library, "--max-connections", "50") as server,
        uploads(server.address, 200, head) as slow,
    ):
        for _ in range(3):
            for path in PROBES:
                assert httpx.get(f"{server.url}{path}", timeout=30).status_code == 200
        with httpx.Client(base_url=server.url, timeout=30) as client:
            answer = client.post("/recommend", content=encode(), headers={"X-Forwarded-For": "192.0.2.1"})
            gave_way = value(read_metrics(client), "thud_rejected_total", reason="gave_way")
        if head is FROM_MANY:  # they are too new to be slow
            check_problem(answer, 503, "connections")
            assert gave_way == 0
        else:
            assert answer.status_code == 200
            assert gave_way >= 150
            assert read_answer(slow[0])[0] == 503


def test_a_crowd_of_one_client_takes_no_place_from_who_waits_between_requests(library: Library) -> None:
    with (
        running(library, "--max-connections", "50") as server,
        socket.create_connection(server.address, timeout=30) as kept,
    ):
        for crowd in (0, 100):
            with uploads(server.address, crowd, FROM_ONE) as slow:
                for connection in slow[:1]:
                    assert read_answer(connection)[0] == 503
                kept.sendall(b"GET /materials HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_answer(kept)[0] == 200


@pytest.mark.parametrize("at_once", [True, False], ids=["who ask at once", "who ask later"])
@pytest.mark.parametrize("end", [False, True], ids=["", "while the service stops"])
def test_all_of_a_crowd_read_that_there_are_too_many(library: Library, *, at_once: bool, end: bool) -> None:
    """Also those that wait: nobody's connection is broken off with something unread."""
    request = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000
    with running(library, "--max-connections", "5") as server, ExitStack() as stack:

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection(server.address, timeout=30))

        places = [connected() for _ in range(5)]
        for one in places:
            one.sendall(request[:1000])
        crowd = []
        for _ in range(400):
            crowd.append(connected())
            if at_once:
                crowd[-1].sendall(request)
        for one in () if at_once else crowd:
            one.sendall(request)
        assert httpx.get(f"{server.url}/livez", timeout=30).status_code == 200
        if end:
            for one in places:
                one.close()
            server.process.send_signal(signal.SIGTERM)
        answers = [read_answer(one) for one in crowd]
        if end:
            server.process.wait(30)
    told = Counter(json.loads(problem)["detail"] for _, problem in answers)
    assert told["too many connections; try again in 1 s"] > 300
    # Of one client's connections some give their places to others, which are no pictures.
    assert {status for status, _ in answers} <= {503, 415}


def test_who_leaves_a_crowd_takes_nothing_with_him(library: Library) -> None:
    """Not even a descriptor, for the time that he would have waited."""
    with running(library, "--max-connections", "5") as server:
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(socket.create_connection(server.address, timeout=30))
            assert httpx.get(f"{server.url}/livez", timeout=30).status_code == 200
        within(5, lambda: open_connections(server) < 20)
        assert httpx.get(f"{server.url}/livez", timeout=30).status_code == 200


def open_connections(server: Server) -> int:
    """How many connections to the server the system still has."""
    port = f":{server.address[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] in ("01", "08") for line in lines)  # established, or half-closed


def test_how_many_connections_are_accepted_at_once() -> None:
    """Few beside the places, and one of several processes."""
    bundle, index = Path("bundle"), Path("index")
    found = [
        _accepted_at_once(Settings(bundle=bundle, index=index, max_connections=places))
        for places in (1, 50, 500, 1000, 10_000)
    ]
    assert found == [1, 1, 10, 16, 16]
    assert _accepted_at_once(Settings(bundle=bundle, index=index, workers=2)) == 1


def test_among_slow_uploads_of_many_clients_the_slowest_gives_way(
    library: Library, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_WINDOW_SECONDS", 0.2)
    with (
        stalled(library, max_connections=5) as (address, _, go_on),
        uploads(address, 5, FROM_MANY) as slow,
    ):
        go_on.set()
        slow[0].sendall(20_000 * b"x")
        time.sleep(0.5)
        assert (
            httpx.post(f"http://{address[0]}:{address[1]}/recommend", content=encode(), timeout=60).status_code
            == 200
        )
        slow[0].sendall(9999 * b"x")
        assert read_answer(slow[0])[0] == 415  # it was not the slowest, and is answered as ever
        statuses = []
        for connection in slow[1:]:
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                statuses.append(read_answer(connection)[0])
        assert statuses == [503]


def test_a_stopped_upload_gives_its_memory_to_others(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_WINDOW_SECONDS", 0.2)
    size = 2**20
    with (
        stalled(library, upload_memory_bytes=size, max_body_bytes=size) as (address, _, go_on),
        socket.create_connection(address, timeout=30) as stopped,
        socket.create_connection(address, timeout=30) as other,
    ):
        go_on.set()
        stopped.sendall(upload(size) + (size - 1) * b"x")
        time.sleep(0.5)
        other.sendall(upload(size // 2) + size // 2 * b"x")
        assert read_answer(other)[0] == 415
        status, problem = read_answer(stopped)
        assert (status, b"too many uploads" in problem) == (503, True)
