"""Reverse proxies that are trusted by name."""

import asyncio
import logging

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from service.server.proxies import TrustedProxies
from tests.service.conftest import Library, running
from tests.waiting import within


def seen_from(proxies: TrustedProxies, address: str, seen: list[str]) -> str:
    """The client that the application sees where one at `address` forwards another."""
    scope = {
        "type": "http",
        "scheme": "http",
        "client": (address, 1),
        "headers": [(b"x-forwarded-for", b"203.0.113.9")],
    }

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        pass

    asyncio.run(proxies(scope, receive, send))
    return seen.pop()


def test_a_name_that_cannot_be_looked_up_keeps_its_addresses(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])

    proxies = TrustedProxies(app, ["edge", "other", "192.0.2.7"])
    caplog.set_level(logging.INFO, "thud")
    logging.getLogger("thud").propagate = True

    proxies.take({"edge": {"192.0.2.1"}, "other": {"192.0.2.2"}}, 0.0)
    assert [seen_from(proxies, f"192.0.2.{n}", seen) for n in (1, 2, 7)] == ["203.0.113.9"] * 3
    assert seen_from(proxies, "192.0.2.3", seen) == "192.0.2.3"

    for now in (10.0, 20.0, 309.0):  # once is said enough
        proxies.take({"other": {"192.0.2.3"}}, now)
    assert [seen_from(proxies, f"192.0.2.{n}", seen) for n in (1, 3, 7)] == ["203.0.113.9"] * 3
    assert seen_from(proxies, "192.0.2.2", seen) == "192.0.2.2"
    assert [record.getMessage() for record in caplog.records] == [
        "the trusted proxy edge cannot be looked up; it is still trusted at 192.0.2.1"
    ]

    proxies.take({"edge": {"192.0.2.4"}, "other": {"192.0.2.3"}}, 320.0)
    assert seen_from(proxies, "192.0.2.4", seen) == "203.0.113.9"
    assert caplog.records[-1].getMessage().endswith("can be looked up again")

    for now in (330.0, 631.0):  # the address may be another's by now
        proxies.take({"other": {"192.0.2.3"}}, now)
    assert seen_from(proxies, "192.0.2.4", seen) == "192.0.2.4"
    assert (
        caplog.records[-1].getMessage()
        == "the trusted proxy edge cannot be looked up; it is not trusted until it can"
    )


def test_a_name_that_never_could_be_looked_up_is_told(library: Library) -> None:
    with running(library, "--trusted-proxies", "no.such.proxy.invalid,127.0.0.1", says=True) as server:

        def forwarded() -> bool:
            httpx.get(f"{server.url}/livez", headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60)
            return '203.0.113.9 "GET /livez"' in "".join(server.requests)

        within(10, forwarded)
        within(30, lambda: "no.such.proxy.invalid cannot be looked up" in server.said())
