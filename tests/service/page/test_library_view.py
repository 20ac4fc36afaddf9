"""The library is looked through without a picture."""

import re
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.service.conftest import LIBRARY_SIZE
from tests.service.page.driving import expect_only, held_back, wait_until_heard


def test_all_sounds_page_by_page(page: Page, complaints: list[str]) -> None:
    page.get_by_role("link", name="Library").click()
    rows = page.locator("#library-sounds .result")
    expect(rows).to_have_count(20)
    expect(page.get_by_role("heading", name=f"{LIBRARY_SIZE} sounds")).to_be_visible()
    more = page.locator("#library-more")
    page.route("**/sounds?*", lambda route: route.abort())
    more.click()
    expect(page.locator("#library-trouble")).to_contain_text("The service cannot be reached")
    expect(rows).to_have_count(20)
    expect_only(complaints, "ERR_FAILED")
    page.unroute("**/sounds?*")
    page.get_by_role("button", name="Try again").click()
    expect(rows).to_have_count(LIBRARY_SIZE)
    expect(page.locator("#library-sounds .play").nth(20)).to_be_focused()
    expect(more).to_be_hidden()
    page.keyboard.press("3")
    wait_until_heard(page)


def test_words_and_filters_and_the_way_back(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#words")).to_be_focused()
    expect(page.locator("#library-sounds .result").first).to_be_visible()
    page.keyboard.type("schoner")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="1 sound with “schoner”")).to_be_visible()
    page.locator("#words").fill("pan")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="32 sounds with “pan”")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="1 sound with “schoner”")).to_be_visible()
    expect(page.locator("#words")).to_have_value("schoner")
    page.locator("#words").fill("pan")
    form = page.locator("#library-filters")
    form.locator("summary").click()
    form.get_by_label("Material").select_option("wood")
    form.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="8 sounds with “pan”")).to_be_visible()
    assert set(page.locator("#library-sounds .material").all_inner_texts()) == {"wood"}
    first = page.locator("#library-sounds .title").first.inner_text()
    page.get_by_role("button", name=re.compile("^More like sound 1:")).click()
    expect(page.get_by_role("heading", name=f"{first}, and sounds like it")).to_be_visible()
    page.get_by_role("link", name="Picture").click()
    expect(page.locator("#chooser")).to_be_visible()


def test_more_of_what_is_no_longer_searched_for(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    rows = page.locator("#library-sounds .result")
    expect(rows).to_have_count(20)
    held = held_back(page, "**/sounds?*cursor=*")
    page.locator("#library-more").click()
    page.locator("#words").fill("schoner")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    for route in held:
        route.continue_()
    page.locator("#words").fill("no such sound")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="0 sounds with “no such sound”")).to_be_visible()
    expect(rows).to_have_count(0)
    expect(page.locator("#library-more")).to_be_hidden()


def test_a_link_to_a_sound_that_is_no_longer_there(page: Page, complaints: list[str]) -> None:
    page.goto(f"{page.url}#sound/{'0' * 20}")
    expect(page.locator("#library-trouble")).to_contain_text("The library has no such sound any more.")
    expect_only(complaints, "status of 404")
    page.goto(page.url.partition("#")[0] + f"#library?q={quote('glass pan')}")
    expect(page.get_by_role("heading", name="8 sounds with “glass pan”")).to_be_visible()
    expect(page.locator("#library-trouble")).to_be_hidden()
