"""The page, used in a real browser: Debian's Chromium, driven by Playwright."""

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.service.conftest import LIBRARY_SIZE, Encode, Library, Server
from tests.tiny_bundle import write_shade

CHROMIUM = shutil.which("chromium")
OFFERED = "JPEG, PNG or WebP"

expect.set_options(timeout=60_000)  # a browser on a busy machine takes its time

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complains of. A test that provokes an error takes it out."""
    return []


@contextmanager
def opened(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Page]:
    page = browser.new_page()
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url)
    yield page
    page.close()
    assert complaints == []


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


def choose(page: Page, file: Path) -> None:
    page.get_by_label("Choose a picture").set_input_files(file)


def playing(page: Page) -> bool:
    return bool(page.locator("#player").evaluate("player => Boolean(player.src) && !player.paused"))


def make_sounds_endless(page: Page, endless: bool = True) -> None:
    page.locator("#player").evaluate("(player, endless) => { player.loop = endless }", endless)


def wait_until_heard(page: Page) -> None:
    # Page.wait_for_function would need the eval that the page's policy forbids.
    for _ in range(500):
        if page.locator("#player").evaluate("player => player.currentTime > 0"):
            return
        page.wait_for_timeout(20)
    pytest.fail("the sound was never heard")


def test_it_says_what_to_do(page: Page) -> None:
    expect(page).to_have_title("Thud")
    expect(page.get_by_role("heading", name="Which surface do you want to hear?")).to_be_visible()
    expect(page.locator(".answer")).to_be_hidden()


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
        expect(item.get_by_role("link")).to_have_attribute("href", result["url"])
        words = [f"Play sound {number + 1}: ", f"{material}, " if material else "", result["title"]]
        expect(item.get_by_role("button")).to_have_attribute(
            "aria-label", "".join(words) + f", score {result['score']:.2f}"
        )
    expect(page.get_by_role("status")).to_have_text(re.compile("^10 sounds found"))
    expect(page.locator(".materials")).to_be_hidden()  # the bundle has no heads


def test_the_materials_of_the_picture_are_shown(page_with_heads: Page, tmp_path: Path) -> None:
    page = page_with_heads
    write_shade(tmp_path / "bright.png", 252)
    choose(page, tmp_path / "bright.png")

    expect(page.get_by_role("heading", name="What is in the picture")).to_be_visible()
    # Wood: sigmoid(5 - 3) of the tiny heads, carpet: sigmoid(3 - 4); all others are below the 5% that are shown.
    expect(page.locator(".likeliest li")).to_have_text([re.compile(r"wood\s+88%"), re.compile(r"carpet\s+27%")])
    bars = page.locator(".likeliest .bar").evaluate_all(
        "bars => bars.map((bar) => parseFloat(getComputedStyle(bar, '::before').width) / bar.clientWidth)"
    )
    assert bars == [pytest.approx(0.88, abs=0.01), pytest.approx(0.27, abs=0.01)]
    expect(page.locator("#unrecognised")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text(
        re.compile(r"^In the picture: wood 88%, carpet 27%\. 10 sounds found")
    )


def test_the_objects_of_the_picture_and_the_sounds_that_name_one(
    browser: Browser, server_with_objects: Server, complaints: list[str], tmp_path: Path
) -> None:
    Image.new("RGB", (80, 60), (250, 120, 120)).save(tmp_path / "red.png")
    with opened(browser, server_with_objects, complaints) as page:
        choose(page, tmp_path / "red.png")
        expect(page.locator("#objects")).to_have_text(re.compile(r"^Objects: bottle 9\d%\.$"))
        expect(page.get_by_role("status")).to_have_text(re.compile(r"^Objects: bottle 9\d%\. 10 sounds found"))
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
    answer = httpx.post(f"{page.url}recommend", files={"image": picture.read_bytes()}).json()

    for number, result in enumerate(answer["results"]):
        item = page.locator(".result").nth(number)
        shown, spoken = "<1%", "under 1%"
        if result["match"] >= 0.01:
            shown = spoken = f"{100 * result['match']:.0f}%"
        expect(item.locator(".score")).to_have_text(re.compile(rf"^\s*match {shown}\s*$"))
        expect(item.get_by_role("button")).to_have_attribute("aria-label", re.compile(f", match {spoken}$"))


def test_a_picture_without_a_known_material_is_told_so(page_with_heads: Page, tmp_path: Path) -> None:
    page = page_with_heads
    write_shade(tmp_path / "dark.png", 3)
    words = "No material was recognised in this picture; these are the nearest sounds all the same."
    page.set_viewport_size({"width": 360, "height": 740})
    choose(page, tmp_path / "dark.png")

    expect(page.get_by_text(words).and_(page.locator("#unrecognised"))).to_be_visible()
    expect(page.locator(".likeliest li")).to_have_count(0)
    expect(page.locator(".result")).to_have_count(10)
    expect(page.get_by_role("status")).to_contain_text(f"{words} 10 sounds found")

    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator(".result")).to_have_count(20)
    expect(page.get_by_role("status")).to_have_text(re.compile("^20 sounds found"))  # not said again

    write_shade(tmp_path / "bright.png", 252)
    page.get_by_role("button", name="Another picture", exact=True).click()
    choose(page, tmp_path / "bright.png")
    expect(page.locator(".likeliest li")).to_have_count(2)
    expect(page.locator("#unrecognised")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_sound_plays_and_pauses(page: Page, picture: Path) -> None:
    choose(page, picture)
    button = page.locator(".play").first
    make_sounds_endless(page)

    button.click()
    wait_until_heard(page)
    expect(button).to_have_attribute("aria-label", re.compile("^Pause sound 1"))
    button.click()
    expect(button).to_have_attribute("aria-label", re.compile("^Play sound 1"))
    assert not playing(page)

    make_sounds_endless(page, False)
    button.click()
    expect(page.locator("#player")).not_to_have_attribute("src", re.compile("."))  # it came to its end
    expect(button).to_have_attribute("aria-label", re.compile("^Play sound 1"))
    assert not playing(page)


def test_one_sound_plays_at_a_time(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    make_sounds_endless(page)

    page.locator(".play").nth(0).click()
    expect(page.locator(".result[data-sounding]")).to_have_count(1)
    page.locator(".play").nth(4).click()
    expect(page.locator(".result").nth(4)).to_have_attribute("data-sounding", "")
    expect(page.locator(".result[data-sounding]")).to_have_count(1)
    assert playing(page)

    page.locator(".play").nth(4).click()
    expect(page.locator(".result[data-sounding]")).to_have_count(0)
    assert not playing(page)


def test_the_keyboard_is_enough(page: Page, picture: Path) -> None:
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    make_sounds_endless(page)

    page.keyboard.press("3")
    expect(page.locator(".result").nth(2)).to_have_attribute("data-sounding", "")
    page.keyboard.press("0")
    expect(page.locator(".result").nth(9)).to_have_attribute("data-sounding", "")
    page.keyboard.press("Escape")
    expect(page.locator(".result[data-sounding]")).to_have_count(0)

    page.keyboard.press("Tab")
    expect(page.locator(".play").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".result").first).to_have_attribute("data-sounding", "")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Download sound 1:")).to_be_focused()

    page.get_by_label("Number keys play the first ten").uncheck()
    page.keyboard.press("5")
    expect(page.locator(".result").first).to_have_attribute("data-sounding", "")


def test_more_sounds(page: Page, picture: Path) -> None:
    choose(page, picture)
    more = page.get_by_role("button", name="Show more sounds")
    for shown in (20, 30, LIBRARY_SIZE):
        more.click()
        expect(page.locator(".result")).to_have_count(shown)
    expect(more).to_be_hidden()
    assert len(set(page.locator(".result a").evaluate_all("links => links.map(a => a.href)"))) == LIBRARY_SIZE


def test_a_sound_is_downloaded_under_its_name(page: Page, picture: Path) -> None:
    choose(page, picture)
    with page.expect_download() as download:
        page.locator(".download").first.click()
    assert download.value.suggested_filename.endswith((".wav", ".flac"))


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(page: Page, picture: Path, way: str) -> None:
    data = base64.b64encode(picture.read_bytes()).decode()
    page.evaluate(
        """([way, data]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
            const event = way === "paste"
                ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
        }""",
        [way, data],
    )
    expect(page.locator(".result")).to_have_count(10)


def test_another_picture(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)

    page.get_by_role("button", name="Another picture", exact=True).click()
    expect(page.locator(".result")).to_have_count(0)
    expect(page.get_by_role("heading", name="Which surface do you want to hear?")).to_be_visible()
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)


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


def test_a_picture_that_is_too_large(page: Page, picture: Path, complaints: list[str]) -> None:
    large = picture.with_name("large.jpg")
    large.write_bytes(picture.read_bytes() + b"\0" * 40_000_000)
    choose(page, large)

    expect(page.get_by_role("heading", name="That picture is too large")).to_be_visible()
    expect(page.locator("#problem-detail")).to_contain_text("33,554,432 bytes")
    expect_only(complaints, "status of 413")


def test_a_service_that_is_gone(page: Page, picture: Path, complaints: list[str]) -> None:
    page.route("**/recommend", lambda route: route.abort())
    choose(page, picture)
    expect(page.get_by_role("heading", name="The service cannot be reached")).to_be_visible()
    expect_only(complaints, "ERR_FAILED")

    page.unroute("**/recommend")
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator(".result")).to_have_count(10)


def test_a_service_that_is_busy_for_a_moment(page: Page, picture: Path, complaints: list[str]) -> None:
    busy = {"status": 503, "headers": {"Retry-After": "1"}, "content_type": "application/problem+json"}
    page.route("**/recommend", lambda route: route.fulfill(**busy, body="{}"), times=1)
    choose(page, picture)
    expect(page.locator("#answer-note")).to_have_text("The service cannot answer now. Trying again in 1 s.")
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, "status of 503")


def test_the_sounds_stay_when_there_are_no_more_to_be_had(page: Page, picture: Path, complaints: list[str]) -> None:
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    page.route("**/recommend?*", lambda route: route.abort())
    page.get_by_role("button", name="Show more sounds").click()
    expect(page.locator("#answer-note")).to_contain_text("The service cannot be reached")
    expect(page.locator(".result")).to_have_count(10)
    expect_only(complaints, "ERR_FAILED")


def test_a_sound_that_is_gone(page: Page, picture: Path, library: Library, complaints: list[str]) -> None:
    choose(page, picture)
    url = page.locator(".download").first.get_attribute("href")
    assert url is not None
    path = library.sounds / httpx.get(f"{page.url.rstrip('/')}{url}/info").json()["path"]
    aside = path.rename(path.with_suffix(".aside"))
    try:
        page.locator(".play").first.click()
        expect(page.locator(".trouble").first).to_contain_text("no longer in the library")
    finally:
        aside.rename(path)
    expect_only(complaints, "status of 410")
    page.locator(".play").first.click()
    wait_until_heard(page)


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page, picture: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        choose(page, picture)
        expect(page.locator(".result")).to_have_count(10)


def test_the_documentation_can_send_a_picture(page: Page, server: Server, picture: Path) -> None:
    page.goto(f"{server.url}/docs")
    page.locator("#operations-recommending-recommend_recommend_post").click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table td.response-col_status:not(.col_header)")).to_contain_text("200")


def expect_only(complaints: list[str], words: str) -> None:
    """The console complained of this alone; it is taken out."""
    assert complaints
    assert all(words in complaint for complaint in complaints), complaints
    complaints.clear()
