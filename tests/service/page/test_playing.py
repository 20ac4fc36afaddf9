"""Sounds are played from their hit on, one at a time."""

import re
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.service.conftest import Library
from tests.service.page.driving import choose, expect_only, playing, wait_until, wait_until_heard


def make_sounds_slow(page: Page, rate: float = 0.07) -> None:
    """So slow that one is not over before the test has looked."""
    page.locator("#player").evaluate(
        "(player, rate) => { player.defaultPlaybackRate = player.playbackRate = rate }", rate
    )


def test_a_sound_plays_from_its_hit_and_pauses_and_ends(page: Page, picture: Path, client: httpx.Client) -> None:
    choose(page, picture)
    button = page.locator(".play").first
    make_sounds_slow(page)
    hit = client.post("/recommend", files={"image": picture.read_bytes()}).json()["results"][0]["hit"]

    page.locator("#player").evaluate(
        "player => { player.addEventListener('playing', () => { window.from = player.currentTime }) }"
    )
    button.click()
    wait_until_heard(page)
    wait_until(page, "window.from !== undefined", "it never played")
    assert page.evaluate("window.from") >= hit - 0.01
    expect(button).to_have_attribute("aria-label", re.compile("^Pause sound 1"))
    button.click()
    expect(button).to_have_attribute("aria-label", re.compile("^Play sound 1"))
    assert not playing(page)

    make_sounds_slow(page, 1)
    button.click()
    expect(page.locator("#player")).not_to_have_attribute("src", re.compile("."))  # it came to its end
    expect(button).to_have_attribute("aria-label", re.compile("^Play sound 1"))

    page.get_by_role("button", name="Loop").click()
    page.locator("#player").evaluate(
        "player => { player.addEventListener('seeked', () => { window.again = (window.again ?? 0) + 1 }) }"
    )
    button.click()
    wait_until(page, "window.again >= 3", "it did not begin again")
    page.keyboard.press("Escape")
    assert not playing(page)


def test_one_sound_plays_at_a_time_and_the_best_after_one_another(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    make_sounds_slow(page)
    sounding = page.locator(".result[data-sounding]")

    page.locator(".play").nth(0).click()
    expect(sounding).to_have_count(1)
    page.locator(".play").nth(4).click()
    expect(page.locator(".result").nth(4)).to_have_attribute("data-sounding", "")
    expect(sounding).to_have_count(1)
    assert playing(page)
    page.locator(".play").nth(4).click()
    expect(sounding).to_have_count(0)

    make_sounds_slow(page, 1)
    page.evaluate(
        """() => {
            window.heard = [];
            const player = document.querySelector("#player");
            player.addEventListener("playing", () => heard.push(player.src.split("/").at(-1)));
        }"""
    )
    page.get_by_role("button", name="Play the best").click()
    wait_until(page, "window.heard.length >= 3", "the next sound did not play")
    shown = [row.get_attribute("data-id") for row in page.locator(".result").all()]
    assert page.evaluate("window.heard")[:3] == shown[:3]


def test_levels_are_matched(page: Page, picture: Path, client: httpx.Client) -> None:
    page.add_init_script(
        """
        const connect = AudioNode.prototype.connect;
        AudioNode.prototype.connect = function (...to) {
            if (this instanceof GainNode) window.level = this.gain;
            return connect.apply(this, to);
        };
        """
    )
    page.reload()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    loudness = client.post("/recommend", files={"image": picture.read_bytes()}).json()["results"][0]["loudness"]
    make_sounds_slow(page)
    page.locator(".play").first.click()
    wait_until_heard(page)
    assert abs(page.evaluate("window.level.value") - 10 ** (min(30, -20 - loudness) / 20)) < 0.01
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Play all sounds equally loud").uncheck()
    assert page.evaluate("window.level.value") == 1


def test_a_sound_plays_under_the_mouse_where_that_is_set(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    make_sounds_slow(page)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Hear a sound of the list while the mouse is on it").check()
    page.get_by_role("button", name="Done").click()
    page.locator(".title").nth(2).hover()
    expect(page.locator(".result").nth(2)).to_have_attribute("data-sounding", "")
    page.get_by_role("heading", name="Thud").hover()
    expect(page.locator(".result[data-sounding]")).to_have_count(0)


def test_the_waveform_is_drawn_and_plays_from_where_it_is_clicked(page: Page, picture: Path) -> None:
    choose(page, picture)
    wave = page.locator(".wave").first
    expect(wave.locator("path.rest")).to_have_attribute("d", re.compile("^M0.00 "))
    make_sounds_slow(page)
    size = wave.bounding_box()
    assert size is not None
    wave.click(position={"x": size["width"] * 0.5, "y": size["height"] / 2})
    wait_until_heard(page)
    share = page.locator("#player").evaluate("player => player.currentTime / player.duration")
    assert 0.45 < share < 0.7


def test_a_sound_that_is_gone(page: Page, picture: Path, library: Library, complaints: list[str]) -> None:
    choose(page, picture)
    url = page.locator(".download").first.get_attribute("href")
    assert url is not None
    path = library.sounds / httpx.get(f"{page.url.rstrip('/')}{url}/info", timeout=60).json()["path"]
    aside = path.rename(path.with_suffix(".aside"))
    try:
        page.locator(".play").first.click()
        expect(page.locator(".result .trouble").first).to_contain_text("no longer in the library")
    finally:
        aside.rename(path)
    expect_only(complaints, "status of 410")
    page.locator(".play").first.click()
    wait_until_heard(page)
