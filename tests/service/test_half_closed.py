"""Clients that close their half of the connection behind their requests, as `nc -N` does, and wait for answers."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.state import state_of
from tests.service.conftest import Encode, Library, Server
from tests.service.test_connection import CHUNKED, LIVEZ, read_answer, stalled, upload
from tests.waiting import within

OLD = b"GET /livez HTTP/1.0\r\n\r\n"


@contextmanager
def half_closed(address: tuple[str, int], sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        yield connection


def test_a_whole_request_is_answered(server: Server, encode: Encode) -> None:
    picture = encode()
    with half_closed(server.address, upload(len(picture)) + picture) as connection:
        status, body = read_answer(connection)
        assert connection.recv(100) == b""

    assert (status, json.loads(body)["returned"]) == (200, 10)


@pytest.mark.parametrize("path", [b"/livez", b"/", b"/page/page.js", b"/sounds", b"/nothing"])
def test_so_is_one_without_a_body(server: Server, path: bytes) -> None:
    with half_closed(server.address, LIVEZ.replace(b"/livez", path)) as connection:
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 404 " if path == b"/nothing" else b"HTTP/1.1 200 ")


def test_so_are_all_that_were_sent_ahead(server: Server, encode: Encode) -> None:
    picture = encode()
    sent = LIVEZ * 3 + upload(len(picture)) + picture + LIVEZ + b"GET /liv"
    with half_closed(server.address, sent) as connection:
        assert connection.makefile("rb").read().count(b"HTTP/1.1 200 OK") == 5


def test_so_is_one_of_http_1_0(server: Server) -> None:
    with half_closed(server.address, OLD) as connection:
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_takes_long_is_waited_for(library: Library, encode: Encode) -> None:
    picture = encode()
    with (
        stalled(library, queue_seconds=60) as (address, _, go_on),
        half_closed(address, upload(len(picture)) + picture) as connection,
        connection.makefile("rb") as answer,
    ):
        # It is there: what is written to it does not fail.
        assert [answer.readline() for _ in range(4)] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"] * 2
        go_on.set()
        assert b"\r\nHTTP/1.1 200 OK\r\n" in b"\r\n" + answer.read()


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_nothing_is_computed_for_one_that_has_left(library: Library, encode: Encode, version: bytes) -> None:
    picture = encode()
    with stalled(library, queue_seconds=60) as (address, app, go_on):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall((upload(len(picture)) + picture).replace(b"HTTP/1.1", version))
            within(30, lambda: state_of(app).queue.waiting > 0)
        within(30, lambda: state_of(app).queue.waiting == 0)  # its thread is at work all the time
        assert not go_on.is_set()


@pytest.mark.parametrize(
    "sent",
    [upload(1000) + b"x" * 999, upload(1000), CHUNKED % b"/recommend" + b"3\r\nabc\r\n"],
    ids=["all but one", "none", "chunked"],
)
def test_an_end_within_a_body_is_told_at_once(server: Server, sent: bytes) -> None:
    with half_closed(server.address, sent) as connection:
        status, body = read_answer(connection)
        assert connection.recv(100) == b""

    problem = json.loads(body)
    assert (status, problem["detail"]) == (400, "the request was broken off before its body was complete")


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /livez HTTP/1.1\r\nHo"])
def test_an_end_before_there_is_a_request_closes(server: Server, sent: bytes) -> None:
    with half_closed(server.address, sent) as connection:
        assert connection.recv(100) == b""
