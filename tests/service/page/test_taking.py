"""Sounds are taken away: one, several as a zip, a link, dragged into another program."""

import re
import zipfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.service.page.driving import choose, expect_only


def test_a_sound_is_downloaded_under_its_name(page: Page, picture: Path) -> None:
    choose(page, picture)
    with page.expect_download() as download:
        page.locator(".download").first.click()
    assert download.value.suggested_filename.endswith((".wav", ".flac"))


def test_chosen_sounds_are_downloaded_as_a_zip(page: Page, picture: Path, complaints: list[str]) -> None:
    choose(page, picture)
    expect(page.locator("#chosen")).to_be_hidden()
    for number in (1, 3):
        page.get_by_label(re.compile(f"^Choose sound {number}:")).check()
    expect(page.locator("#chosen-count")).to_have_text("2 sounds chosen")
    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator(".result")).to_have_count(20)
    expect(page.get_by_label(re.compile("^Choose sound 3:"))).to_be_checked()

    with page.expect_download() as download:
        page.get_by_role("button", name="Download as zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
    assert len([name for name in names if name.endswith((".wav", ".flac"))]) == 2
    assert any("attribution" in name.lower() for name in names)

    page.route(
        "**/sounds.zip?*", lambda route: route.fulfill(status=503, body='{"detail": "4 zips are sent already"}')
    )
    page.get_by_role("button", name="Download as zip").click()
    expect(page.locator("#chosen-trouble")).to_contain_text("4 zips are sent already.")
    expect_only(complaints, "status of 503")
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#chosen")).to_be_hidden()
    expect(page.get_by_label(re.compile("^Choose sound 3:"))).not_to_be_checked()


def test_a_link_leads_to_a_sound_and_those_like_it(page: Page, picture: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, picture)
    first = page.locator(".result").first
    title = first.locator(".title").inner_text()
    first.get_by_role("button", name=re.compile("^Copy a link")).click()
    expect(first.locator(".trouble")).to_have_text("The link is copied.")
    link = page.evaluate("navigator.clipboard.readText()")

    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("heading", name=f"{title}, and sounds like it")).to_be_visible()
    expect(page.locator("#library-sounds .result")).to_have_count(21)
    expect(page.locator("#library-sounds .title").first).to_have_text(title)


def test_a_sound_is_dragged_out_as_a_file(page: Page, picture: Path, client: httpx.Client) -> None:
    choose(page, picture)
    row = page.locator(".result").first
    with page.expect_response("**/info"):
        row.locator(".title").hover()
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    dragged = row.evaluate(
        """row => {
            const dataTransfer = new DataTransfer();
            row.dispatchEvent(new DragEvent("dragstart", { dataTransfer, bubbles: true }));
            return dataTransfer.getData("DownloadURL");
        }"""
    )
    kind, name, address = re.fullmatch(r"([^:]+):([^:]+):(.+)", dragged).groups()  # type: ignore[union-attr]
    sent = client.get(address)
    assert sent.headers["content-type"] == kind
    assert name in sent.headers["content-disposition"]
