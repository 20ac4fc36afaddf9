"""The files of the page: all of them allowed, small, and never of two versions."""

import asyncio
import gzip
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from playwright.sync_api import Browser, Page
from setuptools import Distribution
from setuptools.command.build_py import build_py
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from service.middleware import EveryAnswer
from service.routes.page import PageFiles, page_files, page_response
from tests.service.conftest import Server

PAGE = Path(__file__).parents[3] / "service" / "page"


def test_every_module_is_loaded_from_the_start_and_may_be_kept(client: httpx.Client) -> None:
    text = client.get("/").text
    named = re.findall(r'(?:src|href)="(page/[0-9a-f]{16}/([^"]+))"', text)
    assert {name for _, name in named} == set(page_files(PAGE)) - {"index.html"}
    for address, _ in named:
        answer = client.get(f"/{address}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    older = client.get(f"/page/{'0' * 16}/page.js")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    assert older.content == (PAGE / "page.js").read_bytes()


def test_the_page_is_small() -> None:
    samples = list(PAGE.rglob("*.webp"))
    assert sum(file.stat().st_size for file in samples) < 40_000
    assert sum(len(gzip.compress(file.read_bytes())) for file in page_files(PAGE).values()) < 150_000


def test_its_folders_import_one_way() -> None:
    """As docs/page.md draws them: a module imports from its own folder and from those that stand before it."""
    order = ["common", "api", "sound", "picture", "asking", "touch", "results", "views", ""]
    files = page_files(PAGE)
    for name in (name for name in files if name.endswith(".js")):
        for imported in re.findall(r'^(?:import|\}).*"(\..*)";$', files[name].read_text("utf-8"), re.MULTILINE):
            there = os.path.normpath(Path(name).parent / imported)
            assert there in files, f"{name} imports {imported}"
            own, other = (order.index(name.rpartition("/")[0]) for name in (name, there))
            assert other <= own, f"{name} imports {imported}"


def test_a_wheel_holds_all_of_it() -> None:
    root = PAGE.parents[1]
    distribution = Distribution()
    distribution.parse_config_files([str(root / "pyproject.toml")])
    command = build_py(distribution)
    command.manifest_files = {}
    command.finalize_options()
    found = {Path(file).resolve() for file in command.find_data_files("service", str(root / "service"))}
    assert found >= {file.resolve() for file in page_files(PAGE).values()}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A page and its files on a free port, as the service sends its own."""

    async def shown(request: Request) -> Response:
        return page_response(folder)

    app = EveryAnswer(Starlette(routes=[Route("/", shown), Mount("/page", PageFiles(directory=folder))]))
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def write(path: Path, text: str) -> None:
    """Write a file as a new version would come: whole, by its name, and dated long ago."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.utime(new, (1_000_000_000, 1_000_000_000))
    new.replace(path)


def test_the_tag_of_a_file_is_of_its_content(tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    with serving(tmp_path) as address, httpx.Client(base_url=address, timeout=60) as client:
        tags = []
        for text in ("one", "two", "one"):
            write(script, text)
            tags.append(client.get("/page/page.js").headers["etag"])
        changed = client.get("/page/page.js", headers={"If-None-Match": tags[1]})

    assert tags[0] == tags[2] != tags[1]
    assert (changed.status_code, changed.text) == (200, "one")


def test_a_new_module_runs_at_the_next_visit(browser: Browser, tmp_path: Path) -> None:
    """Also one that only another module names, and that the browser may keep for ever."""
    (tmp_path / "index.html").write_text(
        '<!doctype html><title>-</title><script src="page/{version}/page.js" type="module"></script>'
    )
    (tmp_path / "within").mkdir()
    (tmp_path / "page.js").write_text('import { title } from "./within/inner.js"; document.title = title;')
    with serving(tmp_path) as address:
        opened = browser.new_page()
        titles = []
        for title in ("old", "old", "new"):
            write(tmp_path / "within" / "inner.js", f'export const title = "{title}";')
            opened.goto("about:blank")
            opened.goto(address)
            titles.append(opened.title())
        write(tmp_path / "within" / "inner.js", 'export const title = "tab";')
        opened.reload()
        titles.append(opened.title())
        opened.close()

    assert titles == ["old", "old", "new", "tab"]


def test_the_documentation_works_under_its_policy(page: Page, server: Server, picture: Path) -> None:
    page.goto(f"{server.url}/docs")
    page.locator("#operations-recommending-recommend_recommend_post").click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response-col_status").filter(has_text="200").wait_for()


def test_a_sound_that_is_opened_by_itself_plays(page: Page, client: httpx.Client, server: Server) -> None:
    address = client.get("/sounds?limit=1").json()["sounds"][0]["url"]

    page.goto(server.url + address)

    page.wait_for_function("document.querySelector('video, audio').readyState === 4")
