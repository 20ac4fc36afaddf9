"""Ways to give a picture, and what is sent of it."""

import base64
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.service.conftest import Server
from tests.service.page.driving import choose

log = logging.getLogger(__name__)  # seen with --log-cli-level=INFO

OTHER_SITE = "https://pictures.example/cat.jpg"


def give(page: Page, way: str, files: list[bytes], texts: dict[str, str] | None = None) -> None:
    """Paste or drop files and texts (by media type)."""
    page.evaluate(
        """([way, files, texts]) => {
            const transfer = new DataTransfer();
            for (const data of files) {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
            }
            for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
            const event = way === "paste"
                ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
        }""",
        [way, [base64.b64encode(data).decode() for data in files], texts or {}],
    )


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(page: Page, picture: Path, way: str) -> None:
    give(page, way, [picture.read_bytes()])
    expect(page.locator(".result")).to_have_count(10)


def test_an_address_is_dropped(page: Page, picture: Path, server: Server) -> None:
    refused = page.locator("#refused")
    give(page, "drop", [], {"text/html": f'<img src="{OTHER_SITE}">', "text/uri-list": OTHER_SITE})
    expect(refused).to_contain_text("That is the address of a picture on another site")
    expect(page.locator("#chooser")).to_be_visible()
    give(page, "paste", [], {"text/plain": "a sentence"})
    expect(refused).to_contain_text("There is no picture in that.")
    give(page, "drop", [], {"text/uri-list": f"{server.url}/livez"})
    expect(refused).to_contain_text("That address does not lead to a picture.")
    page.get_by_role("button", name="All right").click()
    expect(refused).to_be_hidden()

    encoded = base64.b64encode(picture.read_bytes()).decode()
    give(page, "drop", [], {"text/html": f'<img src="data:image/jpeg;base64,{encoded}">'})
    expect(page.locator(".result")).to_have_count(10)


def test_words_may_be_dropped_into_a_field(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    page.locator("#words").evaluate(
        """field => {
            const dataTransfer = new DataTransfer();
            dataTransfer.setData("text/plain", "glass");
            const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            window.taken = !field.dispatchEvent(event);
        }"""
    )
    assert not page.evaluate("window.taken")
    expect(page.locator("#refused")).to_be_hidden()


def test_the_samples_sound(page: Page) -> None:
    samples = page.locator(".sample img")
    expect(samples).to_have_count(4)
    assert all(
        samples.evaluate_all(
            "images => Promise.all(images.map((one) => one.decode().then(() => one.naturalWidth === 320)))"
        )
    )
    page.get_by_role("button", name="Rock in water").click()
    expect(page.locator(".result")).to_have_count(10)


def sent_by(page: Page) -> list[bytes]:
    sent: list[bytes] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/recommend"):
            sent.append(request.post_data_buffer or b"")

    page.on("request", note)
    return sent


def _photo(size: tuple[int, int], kind: str, **options: Any) -> bytes:
    """A noisy picture, red above and blue below, so that it is large and its upper side known."""
    pixels = np.random.default_rng(0).integers(0, 90, (size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 2, :, 0] += 150
    pixels[size[1] // 2 :, :, 2] += 150
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_a_picture_is_scaled_down_upright_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise by 90 degrees
    large = _photo((2400, 1800), "JPEG", quality=95, exif=turned)
    assert len(large) > 3_000_000
    (tmp_path / "large.jpg").write_bytes(large)
    # What the service does not read, but the browser does.
    (tmp_path / "small.avif").write_bytes(_photo((64, 48), "AVIF"))
    sent = sent_by(page)

    choose(page, tmp_path / "large.jpg")
    expect(page.locator(".result")).to_have_count(10)
    assert len(sent[0]) < 150_000
    upright = Image.open(io.BytesIO(sent[0])).convert("RGB")
    assert upright.size == (384, 512)
    left, right = (upright.getpixel((x, 256)) for x in (20, 360))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[2] > left[0]  # what was below is left
    assert right[0] > right[2]

    page.get_by_role("button", name="Another picture").click()
    choose(page, tmp_path / "small.avif")
    expect(page.locator(".result")).to_have_count(10)
    assert Image.open(io.BytesIO(sent[1])).format == "JPEG"

    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Scale pictures down before they are sent").uncheck()
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Another picture").click()
    choose(page, tmp_path / "large.jpg")
    expect(page.locator(".result")).to_have_count(10)
    assert sent[2] == large


def test_a_small_picture_is_sent_as_it_is(page: Page, picture: Path) -> None:
    sent = sent_by(page)
    choose(page, picture)
    expect(page.locator(".result")).to_have_count(10)
    assert sent == [picture.read_bytes()]


def test_a_large_picture_over_a_slow_line_is_answered(page: Page, tmp_path: Path) -> None:
    """Fifty kilobytes a second: as it is, this picture would take more than 100 s."""
    (tmp_path / "large.jpg").write_bytes(_photo((3000, 2250), "JPEG", quality=95))
    assert (tmp_path / "large.jpg").stat().st_size > 5_000_000
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 40, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.evaluate(
        """() => {
            window.seen = [];
            const progress = document.querySelector("#progress");
            new MutationObserver(() => seen.push(progress.value)).observe(progress, { attributes: true });
            document.addEventListener("change", () => { window.began = performance.now(); }, true);
            new MutationObserver((_, observer) => {
                if (!document.querySelector(".result")) return;
                window.took = performance.now() - began;
                observer.disconnect();
            }).observe(document.querySelector("#sounds"), { childList: true });
        }"""
    )
    choose(page, tmp_path / "large.jpg")
    expect(page.locator(".result")).to_have_count(10)
    log.info("milliseconds from the choice to the sounds: %s", page.evaluate("window.took"))
    assert any(0 < share < 1 for share in page.evaluate("window.seen"))
