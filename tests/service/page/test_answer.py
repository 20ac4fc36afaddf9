"""A picture is given, and what is in it and sounds for it are shown."""

import re
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import LIBRARY_SIZE, Server
from tests.service.page.driving import choose, opened
from tests.tiny_bundle import write_shade


def test_it_says_what_to_do(page: Page) -> None:
    expect(page).to_have_title("Thud")
    expect(page.get_by_role("heading", name="Which surface do you want to hear?")).to_be_visible()
    expect(page.locator("#answer")).to_be_hidden()


def test_a_chosen_picture_gives_ten_sounds(page: Page, picture: Path, client: httpx.Client) -> None:
    choose(page, picture)

    expect(page.locator(".result")).to_have_count(10)
    expect(page.get_by_alt_text("The picture you chose")).to_be_visible()
    expect(page.get_by_role("heading", name="10 sounds", exact=True)).to_be_focused()
    answer = client.post("/recommend", files={"image": picture.read_bytes()}).json()
    for number, result in enumerate(answer["results"]):
        item = page.locator(".result").nth(number)
        material = result["material"]["name"] if result["material"] else None
        expect(item.get_by_role("heading")).to_have_text(result["title"])
        expect(item.locator(".material")).to_have_text(material or "no material given")
        expect(item.locator(".score-number")).to_have_text(f"{result['score']:.2f}")
        expect(item.locator(".download")).to_have_attribute("href", result["url"])
        words = [f"Play sound {number + 1}: ", f"{material}, " if material else "", result["title"]]
        expect(item.locator(".play")).to_have_attribute(
            "aria-label", "".join(words) + f", score {result['score']:.2f}"
        )
    expect(page.get_by_role("status")).to_have_text(re.compile("^10 sounds found"))
    expect(page.locator("#materials")).to_be_hidden()  # the bundle has no heads


def test_the_materials_of_the_picture_are_shown(page_with_heads: Page, tmp_path: Path) -> None:
    page = page_with_heads
    write_shade(tmp_path / "bright.png", 252)
    choose(page, tmp_path / "bright.png")

    expect(page.get_by_role("heading", name="What is in the picture?")).to_be_visible()
    # Wood: sigmoid(5 - 3) of the tiny heads, carpet: sigmoid(3 - 4); all others are below the 5% that are shown.
    expect(page.locator("#likeliest li")).to_have_text([re.compile(r"wood\s+88%"), re.compile(r"carpet\s+27%")])
    bars = page.locator("#likeliest .bar").evaluate_all(
        "bars => bars.map((bar) => parseFloat(getComputedStyle(bar, '::before').width) / bar.clientWidth)"
    )
    assert bars == [pytest.approx(0.88, abs=0.01), pytest.approx(0.27, abs=0.01)]
    expect(page.locator("#unrecognised")).to_be_hidden()
    said = "In the picture: wood 88 percent, carpet 27 percent."
    expect(page.get_by_role("status")).to_have_text(re.compile(rf"^{said} 10 sounds found"))
    expect(page.locator("#preview")).to_have_attribute("alt", f"The picture you chose. {said}")


def test_the_objects_of_the_picture_and_the_sounds_that_name_one(
    browser: Browser, server_with_objects: Server, complaints: list[str], tmp_path: Path
) -> None:
    Image.new("RGB", (80, 60), (250, 120, 120)).save(tmp_path / "red.png")
    with opened(browser, server_with_objects, complaints) as page:
        choose(page, tmp_path / "red.png")
        expect(page.locator("#objects")).to_have_text(re.compile(r"^Objects: bottle 9\d%\.$"))
        expect(page.get_by_role("status")).to_have_text(
            re.compile(r"^Objects: bottle 9\d percent\. 10 sounds found")
        )
        named = page.locator(".result", has_text="names: bottle")
        expect(named).to_have_count(3)
        expect(named.get_by_role("heading")).to_have_text([re.compile("Bottle Clink")] * 3)
        Image.new("RGB", (80, 60), (100, 250, 100)).save(tmp_path / "green.png")
        page.get_by_role("button", name="Another picture").click()
        choose(page, tmp_path / "green.png")
        expect(page.locator(".result")).to_have_count(10)
        expect(page.locator("#objects")).to_be_hidden()


def test_every_sound_shows_its_match(page_with_heads: Page, picture: Path) -> None:
    page = page_with_heads
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    answer = httpx.post(f"{page.url}recommend", files={"image": picture.read_bytes()}, timeout=60).json()

    shown = {
        row.get_attribute("data-id"): row.locator(".score").inner_text() for row in page.locator(".result").all()
    }
    for result in answer["results"]:
        match = "<1%" if result["match"] < 0.01 else f"{100 * result['match']:.0f}%"
        assert shown[result["id"]].split() == ["match", match]


def test_a_picture_without_a_known_material_is_told_so(page_with_heads: Page, tmp_path: Path) -> None:
    page = page_with_heads
    write_shade(tmp_path / "dark.png", 3)
    words = "No material was recognised in this picture; these are the nearest sounds all the same."
    choose(page, tmp_path / "dark.png")

    expect(page.get_by_text(words).and_(page.locator("#unrecognised"))).to_be_visible()
    expect(page.locator("#likeliest li")).to_have_count(0)
    expect(page.locator(".result")).to_have_count(10)
    expect(page.get_by_role("status")).to_contain_text(f"{words} 10 sounds found")

    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator(".result")).to_have_count(20)
    expect(page.get_by_role("status")).to_have_text(re.compile("^20 sounds found"))  # not said again

    write_shade(tmp_path / "bright.png", 252)
    page.get_by_role("button", name="Another picture", exact=True).click()
    choose(page, tmp_path / "bright.png")
    expect(page.locator("#likeliest li")).to_have_count(2)
    expect(page.locator("#unrecognised")).to_be_hidden()


def test_more_sounds(page: Page, picture: Path) -> None:
    choose(page, picture)
    more = page.get_by_role("button", name="Show more sounds")
    for shown in (20, 30, LIBRARY_SIZE):
        more.click()
        expect(page.locator(".result")).to_have_count(shown)
        expect(page.locator(".play").nth(shown - 10 if shown % 10 == 0 else 30)).to_be_focused()
    expect(more).to_be_hidden()
    assert len(set(page.locator(".download").evaluate_all("links => links.map(a => a.href)"))) == LIBRARY_SIZE


def test_another_picture(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)

    page.get_by_role("button", name="Another picture", exact=True).click()
    expect(page.get_by_role("heading", name="Which surface do you want to hear?")).to_be_visible()
    expect(page.locator("#file")).to_be_focused()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
