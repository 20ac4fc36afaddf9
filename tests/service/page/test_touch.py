"""The picture is touched, and sounds without asking the service again."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import Server
from tests.service.page.driving import choose, expect_only, opened, wait_until

log = logging.getLogger(__name__)  # seen with --log-cli-level=INFO

# Notes when the picture is touched and when a sound of it begins, by the same clock.
NOTING = """
    window.touches = [];
    window.sounds = [];
    addEventListener("pointerdown", (event) => touches.push(event.timeStamp), true);
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (...when) {
        sounds.push({ at: performance.now(), grain: when[2] !== undefined, strength });
        return start.apply(this, when);
    };
    // A grain rises to its level, which here is that of a sound of the wanted loudness.
    let strength = null;
    const rise = AudioParam.prototype.linearRampToValueAtTime;
    AudioParam.prototype.linearRampToValueAtTime = function (value, when) {
        strength = value;
        return rise.call(this, value, when);
    };
"""

WAITS = """
    touches.map((touch) => Math.min(...sounds.map(({ at }) => at).filter((at) => at >= touch)) - touch)
"""


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A picture that is bright, and so of wood to the tiny bundle, on the left, and dark on the right."""
    pixels = np.full((240, 320, 3), 250, np.uint8)
    pixels[np.arange(240) // 16 % 2 == 0] = 244
    pixels[:, 200:] = 3
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


@pytest.fixture
def touchable(browser: Browser, server_with_heads: Server, complaints: list[str], halves: Path) -> Iterator[Page]:
    """A page on which the picture can be touched; `page.requests` are those from then on."""
    with opened(browser, server_with_heads, complaints, script=NOTING) as page:
        choose(page, halves)
        expect(page.locator("#stage[data-ready]")).to_be_visible()
        yield page


def box(page: Page) -> tuple[float, float, float, float]:
    at = page.locator("#stage").bounding_box()
    assert at is not None
    return at["x"], at["y"], at["width"], at["height"]


def sounds(page: Page) -> int:
    return int(page.evaluate("sounds.length"))


def test_a_tap_sounds_at_once_and_without_a_request(touchable: Page) -> None:
    page = touchable
    x, y, width, height = box(page)
    asked: list[str] = []
    # The browser fetches the page's icon when it likes.
    page.on("request", lambda request: None if "icon.svg" in request.url else asked.append(request.url))

    for across in (0.1, 0.2, 0.1, 0.3):
        page.mouse.click(x + across * width, y + 0.3 * height)

    assert sounds(page) >= 4
    # It says more of how busy the machine is than of the page, so nothing is asserted of it.
    log.info("milliseconds from touch to sound: %s", page.evaluate(WAITS))
    assert asked == []
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^wood, \d\d percent, hit\s*$"))
    expect(page.locator("#mark")).to_have_attribute("data-text", re.compile(r"^wood \d\d%$"))


def test_a_stroke_scratches_and_faster_is_louder(touchable: Page) -> None:
    page = touchable

    def stroke(milliseconds: int) -> tuple[int, float]:
        """How many grains a stroke over the picture has that takes so long, and how strong they are.

        The events are made in the page, because a busy machine would deliver real ones late.
        """
        page.evaluate(
            """milliseconds => {
                sounds.length = 0;
                const stage = document.querySelector("#stage");
                const box = stage.getBoundingClientRect();
                const send = (kind, across, buttons, time) => {
                    const at = { clientX: box.left + across * box.width, clientY: box.top + 0.5 * box.height };
                    const event = new PointerEvent(kind, { ...at, buttons, pointerId: 1, bubbles: true });
                    Object.defineProperty(event, "timeStamp", { value: time });
                    stage.dispatchEvent(event);
                };
                stage.setPointerCapture = () => {};
                send("pointerdown", 0.05, 1, 0);
                for (let step = 1; step <= 20; step++) {
                    send("pointermove", 0.05 + 0.025 * step, 1, step * milliseconds / 20);
                }
                send("pointerup", 0.55, 0, milliseconds);
            }""",
            milliseconds,
        )
        grains = page.evaluate("sounds.filter(({ grain }) => grain)")
        return len(grains), max(grain["strength"] for grain in grains)

    (many, soft), (_, loud) = stroke(2000), stroke(250)
    assert many == 20
    assert loud > 1.5 * soft


def test_the_arrow_keys_are_enough(touchable: Page) -> None:
    page = touchable
    status = page.get_by_role("status")
    page.keyboard.press("t")
    expect(page.locator("#stage")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(status).to_have_text(re.compile(r"^wood, \d\d percent; row \d, column 1\s*$"))
    before = sounds(page)
    for key in ("Enter", "Space"):
        page.keyboard.press(key)
        expect(status).to_have_text(re.compile(r"^wood, \d\d percent, hit\s*$"))
    assert sounds(page) == before + 2
    page.keyboard.press("Shift+ArrowDown")
    expect(status).to_have_text(re.compile(r"^wood, \d\d percent, scratch; row \d, column 1\s*$"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(status).to_have_text(re.compile(r"^nothing clear; row \d, column 3\s*$"))
    assert sounds(page) > before + 3


def test_what_is_where_is_shown_and_said(touchable: Page) -> None:
    page = touchable
    expect(page.locator("#touch-note")).to_have_text(re.compile(r"^Touch the picture to hear it\. Wood [>\d]+%"))
    legend = page.locator("#legend button")
    expect(legend.first).to_have_text(re.compile(r"wood\s+[>\d]+%"))
    expect(page.locator("#overlay")).to_be_hidden()
    page.get_by_role("button", name="What is where").click()
    expect(page.locator("#overlay")).to_be_visible()
    expect(page.locator("#labels")).to_have_text("wood")
    # Coloured where there is wood, and not where nothing is clear.
    left, right = page.locator("#overlay").evaluate(
        """canvas => {
            const row = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1).data;
            return [0.1, 0.95].map((x) => row[4 * Math.floor(x * canvas.width) + 3]);
        }"""
    )
    assert left > 100
    assert right == 0
    page.get_by_role("button", name="What is where").click()
    expect(page.locator("#overlay")).to_be_hidden()


def test_a_picture_whose_places_cannot_be_told_apart_still_sounds(
    browser: Browser, server: Server, complaints: list[str], picture: Path
) -> None:
    with opened(browser, server, complaints, script=NOTING) as page:
        page.route(
            "**/recommend/map*",
            lambda route: route.fulfill(
                status=422,
                content_type="application/problem+json",
                body='{"detail": "the picture is too small for places"}',
            ),
        )
        choose(page, picture)
        expect(page.locator("#touch-note")).to_have_text(
            "Touch the picture to hear it. Its places are not told apart: The picture is too small for places."
        )
        page.locator("#stage").click()
        assert sounds(page) >= 1
        expect(page.locator("#map-again")).to_be_hidden()
        expect_only(complaints, "status of 422")


def test_a_map_that_could_not_be_had_is_asked_for_again(
    browser: Browser, server_with_heads: Server, complaints: list[str], halves: Path
) -> None:
    with opened(browser, server_with_heads, complaints) as page:
        page.route("**/recommend/map*", lambda route: route.abort())
        choose(page, halves)
        expect(page.locator("#touch-note")).to_contain_text("The service cannot be reached")
        expect_only(complaints, "ERR_FAILED")
        page.unroute("**/recommend/map*")
        page.get_by_role("button", name="Look again").click()
        expect(page.locator("#legend button").first).to_be_visible()
        expect(page.get_by_role("button", name="Look again")).to_be_hidden()


def test_sounds_that_do_not_decode_are_told_and_the_others_play(
    browser: Browser, server_with_heads: Server, complaints: list[str], halves: Path
) -> None:
    with opened(browser, server_with_heads, complaints, script=NOTING) as page:
        page.route("**/clip?*", lambda route: route.fulfill(status=200, body="no sound"), times=1)
        choose(page, halves)
        expect(page.locator("#touch-note")).to_contain_text("1 of its sounds cannot be played here.")
        wait_until(page, "document.querySelector('#stage').dataset.ready !== undefined", "no sound is ready")
        page.locator("#stage").click(position={"x": 20, "y": 20})
        assert sounds(page) >= 1
