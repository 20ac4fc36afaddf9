"""What goes wrong is said where the person looks, with a way on, and nothing is lost."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import Library, Server, running
from tests.service.page.driving import choose, expect_only, held_back, opened, problem, wait_until_heard

OFFERED = "JPEG, PNG, WebP or AVIF"
KEY = "a-key-of-sixteen-or-more"


def test_a_file_that_is_no_picture(page: Page, picture: Path, complaints: list[str]) -> None:
    text = picture.with_name("notes.txt")
    text.write_text("not a picture")
    choose(page, text)

    expect(page.get_by_role("heading", name="That file cannot be read as a picture")).to_be_focused()
    expect(page.locator("#problem-detail")).to_contain_text(OFFERED)
    expect(page.locator("#preview-missing")).to_have_text("notes.txt")
    expect(page.get_by_role("button", name="Send it again")).to_be_hidden()
    expect_only(complaints, "status of 415")

    page.get_by_role("button", name="Try another picture").click()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)


def test_a_file_that_is_too_large(page: Page, picture: Path, complaints: list[str]) -> None:
    large = picture.with_name("large.txt")
    large.write_bytes(b"\0" * 40_000_000)
    choose(page, large)

    expect(page.get_by_role("heading", name="That picture is too large")).to_be_visible()
    expect(page.locator("#problem-detail")).to_contain_text("33,554,432 bytes")
    expect_only(complaints, "status of 413")


@pytest.mark.parametrize(
    ("status", "title"), [(413, "That picture is too large"), (408, "The connection was too slow")]
)
def test_a_picture_that_was_not_scaled_down_is_then(
    page: Page, picture: Path, complaints: list[str], status: int, title: str
) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Scale pictures down before they are sent").uncheck()
    page.get_by_role("button", name="Done").click()
    page.route("**/recommend", lambda route: route.fulfill(**problem(status, "too much")), times=1)
    choose(page, picture)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator("#problem-detail")).to_contain_text("Let the page scale it down before it is sent.")
    page.get_by_role("button", name="Scale it down and send it").click()
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, f"status of {status}")


def test_a_service_that_is_gone(page: Page, picture: Path, complaints: list[str]) -> None:
    page.route("**/recommend", lambda route: route.abort())
    choose(page, picture)
    expect(page.get_by_role("heading", name="The service cannot be reached")).to_be_visible()
    expect_only(complaints, "ERR_FAILED")

    page.unroute("**/recommend")
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator(".result")).to_have_count(10)


def test_a_service_that_is_busy_for_a_moment(page: Page, picture: Path, complaints: list[str]) -> None:
    page.route("**/recommend", lambda route: route.fulfill(**problem(503, **{"Retry-After": "1"})), times=1)
    choose(page, picture)
    expect(page.locator("#answer-note")).to_have_text("The service cannot answer now. Trying again in 1 s.")
    expect(page.locator(".result")).to_have_count(10)
    page.route("**/recommend", lambda route: route.fulfill(**problem(429, "too often", **{"Retry-After": "60"})))
    page.get_by_role("button", name="Another picture").click()
    choose(page, picture)
    expect(page.get_by_role("heading", name="That was too often")).to_be_visible()
    expect(page.get_by_role("button", name="Send it again")).to_be_visible()
    expect_only(complaints, "status of ")


def test_the_sounds_stay_where_more_or_others_cannot_be_had(
    page: Page, picture: Path, complaints: list[str]
) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    page.route("**/recommend?*", lambda route: route.abort())
    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator("#more-trouble")).to_contain_text("The service cannot be reached")
    page.locator(".more-like").first.click()
    expect(page.locator("#change-trouble")).to_contain_text("The service cannot be reached")
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, "ERR_FAILED")

    page.unroute("**/recommend?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#told button")).to_have_count(1)
    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator(".result")).to_have_count(20)


@pytest.fixture(scope="module")
def locked(library: Library) -> Iterator[Server]:
    with running(library, env={"THUD_API_KEYS": KEY}) as server:
        yield server


def test_a_service_that_wants_a_key(browser: Browser, locked: Server, complaints: list[str], picture: Path) -> None:
    with opened(browser, locked, complaints) as page:
        choose(page, picture)
        expect(page.get_by_role("heading", name="This service wants a key")).to_be_visible()
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("a wrong key")
        page.keyboard.press("Enter")
        expect(page.locator("#key")).to_have_value("")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        expect(page.locator(".result")).to_have_count(10)
        expect_only(complaints, "status of 401")
        page.locator(".play").first.click()
        wait_until_heard(page)
        with page.expect_download() as download:
            page.locator(".download").first.click()
        assert download.value.suggested_filename.endswith((".wav", ".flac"))
        page.get_by_label("Choose sound 1:").check()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as zip").click()
        assert download.value.suggested_filename == "sounds.zip"
        page.reload()  # the key is kept for the tab
        page.get_by_role("link", name="Library").click()
        expect(page.locator("#library-sounds .result")).to_have_count(20)


def test_a_service_that_goes_away_between_picture_and_touch(
    browser: Browser, library_with_heads: Library, complaints: list[str], picture: Path
) -> None:
    with running(library_with_heads) as server, opened(browser, server, complaints) as page:
        page.route("**/clip?*", lambda route: route.abort())
        choose(page, picture)
        note = page.locator("#touch-note")
        expect(note).to_contain_text("could not be had: The service cannot be reached.")
        expect(page.locator(".result")).to_have_count(10)
        page.unroute("**/clip?*")
        page.get_by_role("button", name="Look again").click()
        expect(note).to_contain_text("Touch the picture to hear it.")
        expect(page.get_by_role("button", name="Look again")).to_be_hidden()
        server.process.terminate()
        server.process.wait()
        # What was fetched before still sounds; what needs the service says so, and nothing is lost.
        page.locator("#stage").click()
        expect(page.get_by_role("status")).to_have_text(re.compile(", hit"))
        page.locator(".more-like").first.click()
        expect(page.locator("#change-trouble")).to_contain_text("The service cannot be reached")
        expect(page.locator(".result")).to_have_count(10)
        expect_only(complaints, "ERR_")


def test_an_answer_from_something_else(page: Page, picture: Path, complaints: list[str]) -> None:
    """A proxy or the page of a network that wants a login may answer in the service's place."""
    page.route("**/recommend", lambda route: route.fulfill(status=200, body="<p>Log in first</p>"), times=1)
    choose(page, picture)
    expect(page.get_by_role("heading", name="The answer cannot be read")).to_be_visible()
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator(".result")).to_have_count(10)
    page.route("**/sounds?*", lambda route: route.fulfill(status=200, body="<p>Log in first</p>"), times=1)
    page.get_by_role("link", name="Library").click()
    expect(page.locator("#library-trouble")).to_contain_text("The answer cannot be read.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#library-sounds .result")).to_have_count(20)


@pytest.mark.parametrize("status", [401, 408, 429, 503])
def test_no_error_is_a_dead_end(page: Page, picture: Path, complaints: list[str], status: int) -> None:
    page.route("**/recommend", lambda route: route.fulfill(**problem(status)), times=1)
    choose(page, picture)
    page.get_by_role("button", name="Try another picture").click()
    expect(page.locator("#chooser")).to_be_visible()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, f"status of {status}")


def test_a_hasty_person(page: Page, picture: Path) -> None:
    """What is clicked while something else is asked for undoes neither."""
    page.locator(".sample").first.dblclick()
    choose(page, picture)
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    answer = page.locator("#answer")
    held = held_back(page, "**/recommend?cursor=*")
    page.get_by_role("button", name="Show more sounds").click()
    page.locator(".more-like").first.click()  # before there are more
    expect(page.locator("#told button")).to_have_count(1)
    expect(page.locator(".result")).to_have_count(10)
    assert len(held) == 1
    page.unroute("**/recommend?cursor=*")
    page.get_by_role("button", name="Show more sounds").dblclick()
    expect(page.locator(".result")).to_have_count(20)

    held_back(page, "**/recommend?more=*")
    page.locator(".more-like").nth(1).click()
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Show more sounds")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()  # before it is answered
    expect(page.locator("#told")).to_be_hidden()
    expect(answer).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Show more sounds")).to_be_enabled()


def test_settings_that_cannot_be_kept(browser: Browser, server: Server, complaints: list[str]) -> None:
    full = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') };"
    with opened(browser, server, complaints, script=full) as page:
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Single keys").uncheck()
        words = "This browser keeps no settings; they last until you close the page."
        expect(page.locator("#settings-note")).to_have_text(words)
        expect(page.get_by_label("Single keys")).not_to_be_checked()
