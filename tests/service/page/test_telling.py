"""What a person tells the page is carried into the next answer, and can be taken back."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, Route, expect

from tests.service.page.driving import choose, expect_only
from tests.tiny_bundle import write_shade


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    write_shade(tmp_path / "bright.png", 252)
    return tmp_path / "bright.png"


def asked_of(page: Page) -> list[dict[str, list[str]]]:
    """The parameters of each search from now on."""
    asked: list[dict[str, list[str]]] = []

    def note(request: Any) -> None:
        address = urlparse(request.url)
        if address.path == "/recommend":
            asked.append(parse_qs(address.query))

    page.on("request", note)
    return asked


def ids(page: Page) -> list[str | None]:
    return [row.get_attribute("data-id") for row in page.locator("#sounds .result").all()]


def test_this_is_carpet(page_with_heads: Page, bright: Path) -> None:
    page = page_with_heads
    asked = asked_of(page)
    choose(page, bright)
    expect(page.locator(".result")).to_have_count(10)
    before = ids(page)
    chip = page.get_by_role("button", name="This is carpet, 27 percent")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    assert asked[-1] == {"shows": ["carpet"]}
    page.get_by_label("It is something else").select_option("metal")
    expect(page.get_by_role("button", name="This is metal")).to_have_attribute("aria-pressed", "true")
    assert asked[-1] == {"shows": ["carpet", "metal"]}
    expect(page.locator(".material", has_text="metal").first).to_be_visible()

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="This is metal")).to_have_count(0)
    page.keyboard.press("u")
    expect(chip).to_have_attribute("aria-pressed", "false")
    assert ids(page) == before
    assert len(asked) == 3  # to undo needs no request
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()


def test_more_and_less_like_a_sound(page: Page, picture: Path) -> None:
    asked = asked_of(page)
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    first, second = ids(page)[:2]
    assert first is not None
    title = page.locator(f".result[data-id='{second}'] .title").inner_text()
    page.get_by_role("button", name=re.compile("^Less like sound 1:")).click()
    expect(page.locator("#told")).to_contain_text("less like")
    assert first not in ids(page)
    assert asked[-1] == {"less": [first]}
    page.locator(f".result[data-id='{second}']").get_by_role("button", name=re.compile("^More like")).click()
    expect(page.get_by_role("button", name=f"Take back: more like {title}")).to_be_visible()
    assert asked[-1] == {"more": [second], "less": [first]}
    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator(".result")).to_have_count(20)
    assert asked[-1].keys() == {"more", "less", "cursor"}
    page.get_by_role("button", name=f"Take back: more like {title}").click()
    expect(page.locator("#told button")).to_have_count(1)
    assert asked[-1] == {"less": [first]}


def test_filters_and_variety(page: Page, picture: Path) -> None:
    asked = asked_of(page)
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    form = page.locator("#answer-filters")
    form.locator("summary").click()
    # With the number of sounds that the library has.
    expect(form.get_by_label("Material").locator("option[value=glass]")).to_have_text("glass (8)")
    form.get_by_label("Material").select_option("glass")
    form.get_by_label("Variety").select_option("0.6")
    form.get_by_label("At most, s").fill("0.9")
    form.get_by_role("button", name="Apply").click()
    expect(page.locator("#told button")).to_have_text(["only glass", "at most 0.9 s", "variety 0.6"])
    assert asked[-1] == {"material": ["glass"], "max_duration": ["0.9"], "diversity": ["0.6"]}
    assert set(page.locator(".material").all_inner_texts()) == {"glass"}
    expect(form.locator("summary")).to_have_text("Filters (3)")
    form.get_by_label("At most, s").fill("0.01")
    form.get_by_role("button", name="Apply").click()
    expect(page.locator("#answer-note")).to_have_text("No sound of the library meets the filters.")
    form.get_by_role("button", name="Clear").click()
    expect(page.locator(".result")).to_have_count(10)
    assert asked[-1] == {}


def test_a_filter_that_is_refused_leaves_what_stands(page: Page, picture: Path, complaints: list[str]) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    form = page.locator("#answer-filters")
    form.locator("summary").click()
    form.get_by_label("At least, s").fill("3")
    form.get_by_label("At most, s").fill("2")
    form.get_by_role("button", name="Apply").click()
    expect(page.locator("#change-trouble")).to_contain_text("duration")
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, "status of 422")


def test_groups_and_weak_sounds(page_with_heads: Page, bright: Path) -> None:
    """Of an answer in which seven sounds fit hardly, three of the others are of another material."""
    page = page_with_heads

    def changed(route: Route) -> None:
        answer = route.fetch().json()
        for number, result in enumerate(answer["results"]):
            result["match"] = (0.8, 0.7, 0.6, 0.5)[number] if number < 4 else 0.05
            result["material"] = {"id": 15, "name": "wood"} if number % 2 else {"id": 3, "name": "metal"}
        route.fulfill(json=answer)

    page.route("**/recommend", changed)
    choose(page, bright)
    visible = page.locator(".result").filter(visible=True)
    expect(visible).to_have_count(4)
    weak = page.get_by_role("button", name="Show 6 weak ones")
    expect(weak).to_have_attribute("aria-expanded", "false")
    page.get_by_role("button", name="By material").click()
    expect(page.locator(".group > h3")).to_have_text(["metal 2 sounds", "wood 2 sounds"])
    page.keyboard.press("7")  # a weak one, which is folded away
    expect(page.locator(".result[data-sounding]")).to_have_count(0)
    weak.click()
    expect(visible).to_have_count(10)
    page.get_by_role("button", name="Hide weak ones").click()
    expect(visible).to_have_count(4)
