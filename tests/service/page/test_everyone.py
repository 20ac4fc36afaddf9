"""The page by the keyboard alone, on narrow screens, in high contrast, and as axe-core sees it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import Server
from tests.service.page.driving import choose, expect_accessible, expect_only, opened, wait_until


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """Of wood to the tiny bundle, and with enough contrast to be of anything."""
    pixels = np.full((240, 320, 3), 250, np.uint8)
    pixels[np.arange(240) // 16 % 2 == 0] = 244
    Image.fromarray(pixels).save(tmp_path / "bright.png")
    return tmp_path / "bright.png"


def test_the_keyboard_is_enough(page_with_heads: Page, bright: Path) -> None:
    page = page_with_heads
    for name in ("Thud", "Picture", "Library", "Settings", "Choose a picture"):
        page.keyboard.press("Tab")
        assert name in page.evaluate(
            "document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"
        )
    choose(page, bright)
    expect(page.locator(".result")).to_have_count(10)
    expect(page.locator("#stage[data-ready]")).to_be_visible()
    page.locator("#player").evaluate("player => { player.defaultPlaybackRate = player.playbackRate = 0.07 }")
    sounding = page.locator(".result[data-sounding]")

    page.get_by_role("button", name=re.compile("weak ones$")).press("Enter")
    page.keyboard.press("3")
    expect(page.locator(".result").nth(2)).to_have_attribute("data-sounding", "")
    page.keyboard.press("0")
    expect(page.locator(".result").nth(9)).to_have_attribute("data-sounding", "")
    page.keyboard.press("Escape")
    expect(sounding).to_have_count(0)
    page.keyboard.press("b")
    expect(page.locator(".result").first).to_have_attribute("data-sounding", "")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    expect(page.locator("#loop")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("o")
    expect(page.locator("#overlay")).to_be_visible()

    page.keyboard.press("m")
    expect(page.get_by_role("button", name="This is wood, 88 percent")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#likeliest [aria-pressed=true]")).to_have_count(1)
    expect(page.locator("#likeliest [aria-pressed=true]")).to_be_focused()
    page.keyboard.press("Control+z")
    expect(page.locator("#likeliest [aria-pressed=true]")).to_have_count(0)

    page.locator(".play").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".play").nth(1)).to_be_focused()
    for label in ("More like", "Less like", "Copy a link", "Download", "Choose"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.ariaLabel").startswith(label)
    page.keyboard.press("Space")
    expect(page.locator("#chosen")).to_be_visible()

    page.get_by_role("button", name="Settings").press("Enter")
    page.get_by_label("Single keys").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    expect(sounding).to_have_count(0)


@pytest.mark.parametrize("tall", [640, 740])
def test_the_first_sound_is_seen_on_a_narrow_screen(
    browser: Browser, server_with_heads: Server, complaints: list[str], bright: Path, tall: int
) -> None:
    screen = {"width": 360, "height": tall}
    with opened(browser, server_with_heads, complaints, viewport=screen, has_touch=True, is_mobile=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        choose(page, bright)
        expect(page.locator("#stage[data-ready]")).to_be_visible()
        expect(page.locator(".play").first).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("scrollY") == 0
        page.get_by_role("button", name=re.compile("^What to do with sound 1:")).tap()
        expect(page.locator(".actions").first).to_be_visible()
        page.locator("#stage").tap(position={"x": 30, "y": 30})
        expect(page.get_by_role("status")).to_have_text(re.compile("^wood, .* percent, hit"))
        page.get_by_role("link", name="Library").tap()
        expect(page.locator("#library-sounds .result").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_nothing_is_wider_than_a_very_narrow_screen(
    browser: Browser, server_with_heads: Server, complaints: list[str], bright: Path, tmp_path: Path
) -> None:
    """Whatever is named how: 320 pixels, to which 1280 come at four times the size."""
    name = "a" * 200
    unreadable = tmp_path / f"{name}.txt"
    unreadable.write_text("not a picture")

    def expect_narrow(what: str) -> None:
        cut = page.evaluate(
            """[...document.querySelectorAll("main *")]
                .filter((one) => one.checkVisibility() && !one.closest(".visually-hidden, svg, template"))
                .filter((one) => !one.closest(".legend-row, .materials, .toolbar"))  // moved sideways
                .filter((one) => one.getBoundingClientRect().right > 321)
                .map((one) => one.outerHTML.slice(0, 100))"""
        )
        assert cut == [], what
        assert page.evaluate("document.documentElement.scrollWidth") == 320, what

    with opened(browser, server_with_heads, complaints, viewport={"width": 320, "height": 568}) as page:
        expect_narrow("empty")
        choose(page, unreadable)
        expect(page.locator("#problem")).to_be_visible()
        expect_narrow("an error")
        expect_only(complaints, "status of 415")
        choose(page, bright)
        expect(page.locator(".result").first).to_be_visible()
        page.locator("#answer-filters summary").click()
        page.locator("#answer-filters").get_by_label("Tag").fill(name)
        page.locator("#answer-filters").get_by_role("button", name="Apply").click()
        expect(page.locator("#answer-note")).to_have_text("No sound of the library meets the filters.")
        expect(page.get_by_role("button", name="Play the best")).to_be_disabled()
        expect_narrow("no sounds")
        page.get_by_role("button", name="Take back").click()
        expect(page.locator(".result").first).to_be_visible()
        page.locator(".title").first.evaluate("(title, name) => { title.textContent = name }", name)
        page.locator(".menu").first.click()
        page.locator(".choose").first.check()
        expect_narrow("a long name")
        page.get_by_role("button", name="Settings").click()
        expect_narrow("settings")
        page.get_by_role("button", name="Done").click()
        page.goto(f"{server_with_heads.url}#library?q={name}")
        expect(page.get_by_role("heading", name=re.compile("^0 sounds"))).to_be_visible()
        expect_narrow("the library")


def test_bars_are_seen_in_forced_colours(
    browser: Browser, server_with_heads: Server, complaints: list[str], bright: Path
) -> None:
    with opened(browser, server_with_heads, complaints, forced_colors="active") as page:
        choose(page, bright)
        expect(page.locator(".result")).to_have_count(10)
        colours = page.locator("#likeliest .bar").first.evaluate(
            """bar => [getComputedStyle(bar, "::before"), getComputedStyle(bar.closest("button"))]
                .map((style) => style.backgroundColor)"""
        )
        assert colours[0] != colours[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(
    browser: Browser, server_with_heads: Server, complaints: list[str], bright: Path, scheme: str
) -> None:
    with opened(browser, server_with_heads, complaints, color_scheme=scheme, reduced_motion="reduce") as page:
        expect_accessible(page, complaints)
        choose(page, bright)
        expect(page.locator("#stage[data-ready]")).to_be_visible()
        page.get_by_role("button", name="What is where").click()
        page.locator("#answer-filters summary").click()
        page.get_by_label(re.compile("^Choose sound 1:")).check()
        page.get_by_role("button", name="This is carpet").click()
        expect(page.get_by_role("button", name="Undo")).to_be_visible()
        page.locator("#stage").click()
        expect_accessible(page, complaints)
        page.get_by_role("button", name="Settings").click()
        expect_accessible(page, complaints)
        page.get_by_role("button", name="Done").click()
        page.get_by_role("link", name="Library").click()
        expect(page.locator("#library-sounds .result").first).to_be_visible()
        expect_accessible(page, complaints)
        page.get_by_role("link", name="Picture").click()
        page.get_by_role("button", name="Another picture").click()
        refused = '{"detail": "this needs a key"}'
        page.route("**/recommend", lambda route: route.fulfill(status=401, body=refused))
        choose(page, bright)
        expect(page.locator("#key-form")).to_be_visible()
        expect_accessible(page, complaints)
        expect_only(complaints, "status of 401")


def test_the_picture_may_be_left_while_it_is_asked_about(page: Page, picture: Path) -> None:
    page.route("**/recommend", lambda route: None)  # never answered
    choose(page, picture)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#chooser")).to_be_visible()
    wait_until(page, "document.activeElement.id === 'file'", "the choice is not focused")
