"""Pictures of the page in its states, for docs/page.md.

    python -m tests.service.page.screenshots docs/page [--index demo/index] [--only NAME]

A real `thud serve` with the bundle that ships and the library of `make demo`, Chromium, and the page's own samples,
which are drawn. What happens elsewhere (a key that is wanted, a slow line, a service that is away) is put in the
place of the service's answer. Files that are there are replaced.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.http.servers import serving, thud
from model import PRETRAINED
from tests.service.page.driving import CHROMIUM, PATIENCE, choose, problem

SAMPLE = "Rock in water"
WIDE = {"viewport": {"width": 1180, "height": 760}}
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 1.5,
}
ERROR = {"viewport": {"width": 900, "height": 560}}
QUALITY = 72


def _sample(page: Page) -> None:
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.locator("#stage[data-ready]")).to_be_visible()
    page.wait_for_load_state("networkidle")  # the waveforms, which a narrow screen has not


def _touched(page: Page) -> None:
    _sample(page)
    page.get_by_role("button", name="What is where").click()
    page.locator("#stage").hover(position={"x": 240, "y": 150})
    page.mouse.down()


def _tapped(page: Page) -> None:
    _sample(page)
    page.get_by_role("button", name="What is where").tap()
    page.locator("#stage").tap(position={"x": 180, "y": 130})


def _told(page: Page) -> None:
    _sample(page)
    page.locator("#likeliest button").first.click()
    page.locator(".more-like").first.click()
    page.locator("#answer-filters summary").click()
    expect(page.locator("#told button")).to_have_count(1)
    page.locator(".choose").nth(0).check()
    page.locator(".choose").nth(1).check()


def _no_sounds(page: Page) -> None:
    _sample(page)
    page.locator("#answer-filters summary").click()
    page.locator("#answer-filters").get_by_label("Tag").fill("brass band")
    page.locator("#answer-filters").get_by_role("button", name="Apply").click()
    expect(page.locator("#answer-note")).to_contain_text("No sound")


def _library(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    page.locator("#words").fill("glass")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="with “glass”")).to_be_visible()
    expect(page.locator(".wave svg").first).to_be_attached()


def _settings(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()


def _no_picture(page: Page) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "notes.txt"
        file.write_text("not a picture")
        choose(page, file)
        expect(page.locator("#problem")).to_be_visible()


def _too_large(page: Page) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "forty-megabytes.tif"
        file.write_bytes(bytes(40_000_000))
        choose(page, file)
        expect(page.locator("#problem")).to_be_visible()


def _answered(page: Page, status: int, detail: str = "") -> None:
    page.route("**/recommend", lambda route: route.fulfill(**problem(status, detail)))
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.locator("#problem")).to_be_visible()


def _as_it_is(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Scale pictures down before they are sent").uncheck()
    page.get_by_role("button", name="Done").click()
    _answered(page, 408)


def _away(page: Page) -> None:
    page.route("**/recommend", lambda route: route.abort())
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.locator("#problem")).to_be_visible()


def _elsewhere(page: Page) -> None:
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.setData("text/uri-list", "https://pictures.example/cat.jpg");
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator("#refused")).to_be_visible()


def _gone_before_touch(page: Page) -> None:
    page.route("**/clip?*", lambda route: route.abort())
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.locator("#touch-note")).to_contain_text("could not be had")
    page.route("**/recommend?*", lambda route: route.abort())
    page.locator(".more-like").first.click()
    expect(page.locator("#change-trouble")).to_be_visible()


def _not_played(page: Page) -> None:
    _sample(page)
    page.route(
        "**/sounds/*", lambda route: route.fulfill(**problem(410, "the file has changed since it was indexed"))
    )
    page.locator(".play").first.click()
    expect(page.locator(".result .trouble").first).not_to_be_empty()


@dataclass(frozen=True)
class Shot:
    """A state: how the page comes into it, and the options of the browser's context."""

    name: str
    do: Callable[[Page], None]
    options: dict[str, Any] = field(default_factory=lambda: WIDE)


DARK = {"color_scheme": "dark"}

SHOTS = (
    Shot("begin", lambda page: None),
    Shot("answer", _sample),
    Shot("touch", _touched),
    Shot("touch-dark", _touched, WIDE | DARK),
    Shot("told", _told),
    Shot("library-dark", _library, WIDE | DARK),
    Shot("settings", _settings),
    Shot("phone-begin", lambda page: None, PHONE),
    Shot("phone-touch", _tapped, PHONE),
    Shot("phone-dark", _tapped, PHONE | DARK),
    Shot("forced-colours", _touched, WIDE | DARK | {"forced_colors": "active"}),
    Shot("no-sounds", _no_sounds, ERROR),
    Shot("error-no-picture", _no_picture, ERROR),
    Shot("error-too-large", _too_large, ERROR),
    Shot("error-key", partial(_answered, status=401), ERROR),
    Shot("error-slow", _as_it_is, ERROR),
    Shot("error-busy", partial(_answered, status=503, detail="too many pictures are being computed"), ERROR),
    Shot("error-away", _away, ERROR),
    Shot("error-elsewhere", _elsewhere, ERROR),
    Shot("error-between", _gone_before_touch, {"viewport": {"width": 1180, "height": 640}}),
    Shot("error-sound", _not_played, ERROR),
)


def take(browser: Browser, address: str, shot: Shot, folder: Path) -> int:
    """Bring a new page into the state and write what is seen of it; returns the bytes."""
    context = browser.new_context(reduced_motion="reduce", **shot.options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    shot.do(page)
    page.wait_for_timeout(300)
    image = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    file = folder / f"{shot.name}.webp"
    image.convert("RGB").save(file, quality=QUALITY, method=6)
    return file.stat().st_size


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--index", default=Path("demo/index"), show_default=True, type=click.Path(exists=True, path_type=Path)
)
@click.option("--only", multiple=True, help="the name of a state; several can be given")
def main(folder: Path, index: Path, only: tuple[str, ...]) -> None:
    """Write the screenshots into FOLDER."""
    if CHROMIUM is None:
        raise click.ClickException("the browser chromium is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(thud(PRETRAINED, index), Path(scratch) / "log") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for shot in SHOTS:
            if not only or shot.name in only:
                size = take(browser, f"http://127.0.0.1:{server.port}", shot, folder)
                click.echo(f"{shot.name}: {size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
