"""One browser for all tests of the page: Debian's Chromium, driven by Playwright."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.conftest import Encode, Server
from tests.service.page.driving import CHROMIUM, PATIENCE, opened


# Not for the whole session: while Playwright is at work, no other test of this process could run an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("the browser chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            timeout=PATIENCE,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complains of. A test that provokes an error takes it out."""
    return []


@pytest.fixture
def page(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Page]:
    with opened(browser, server, complaints) as page:
        yield page


@pytest.fixture
def page_with_heads(browser: Browser, server_with_heads: Server, complaints: list[str]) -> Iterator[Page]:
    with opened(browser, server_with_heads, complaints) as page:
        yield page


@pytest.fixture
def picture(tmp_path: Path, encode: Encode) -> Path:
    file = tmp_path / "kettle.jpg"
    file.write_bytes(encode("JPEG", size=(320, 240)))
    return file
