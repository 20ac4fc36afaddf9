"""What the tests of the page do with the browser."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.service.conftest import Server

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"

PATIENCE = 60_000
"""Milliseconds: a browser on a busy machine takes its time."""

expect.set_options(timeout=PATIENCE)


@contextmanager
def opened(
    browser: Browser, server: Server, complaints: list[str], at: str = "", script: str = "", **options: Any
) -> Iterator[Page]:
    """The page of the server in a browser of its own, in which `script` runs first; `options` are its context's."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    if script:
        page.add_init_script(script)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url + at)
    yield page
    context.close()
    assert complaints == []


def choose(page: Page, file: Path) -> None:
    page.get_by_label("Choose a picture").set_input_files(file)


def expect_only(complaints: list[str], words: str) -> None:
    """The console complained of this alone; it is taken out."""
    assert complaints
    assert all(words in complaint for complaint in complaints), complaints
    complaints.clear()


def problem(status: int, detail: str = "", **headers: str) -> dict[str, Any]:
    """What fulfills a route as the service refuses: problem details with a status."""
    return {
        "status": status,
        "content_type": "application/problem+json",
        "body": json.dumps({"detail": detail}),
        "headers": headers,
    }


def playing(page: Page) -> bool:
    return bool(page.locator("#player").evaluate("player => Boolean(player.src) && !player.paused"))


def held_back(page: Page, address: str) -> list[Route]:
    """What the page asks of this address from now on, which gets no answer by itself."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(address, hold)
    return held


def wait_until(page: Page, expression: str, why: str) -> None:
    """Until the expression is true. Page.wait_for_function would need the eval that the page's policy forbids."""
    until = monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        if monotonic() > until:
            pytest.fail(why)
        page.wait_for_timeout(20)


def wait_until_heard(page: Page) -> None:
    # Before anything of the sound is there, currentTime is where it is to begin.
    heard = (
        "(({ readyState, currentTime }) => readyState > 1 && currentTime > 0)(document.querySelector('#player'))"
    )
    wait_until(page, heard, "the sound was never heard")


def expect_accessible(page: Page, complaints: list[str]) -> None:
    """axe-core finds nothing. What the page's policy forbids axe-core itself is no complaint."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make env")
    before = len(complaints)
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = page.evaluate("axe.run({ preload: false })")
    del complaints[before:]
    assert [
        (one["id"], one["help"], [node["html"][:160] + " " + node["failureSummary"] for node in one["nodes"]])
        for one in found["violations"]
    ] == []
