"""What three choices of the service spare a request: the direct route, light log records, memory that is kept.

    python benchmarks/http_cost.py [--requests 1000] [--rounds 5]

The first two: microseconds of the event loop's thread for one POST /recommend of 640x480 through the whole
application, without sockets and without computing, caches warm. The third: milliseconds of CPU time to take 12
megapixels out of a form and to decode them, on two threads, in a process of its own. Both sides take turns in each
round; medians.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import service.recommend
from client import form
from fastapi.routing import APIRoute
from photographs import photographs
from starlette.types import Message, Scope
from synthetic_index import write_index

from model.bundle import PRETRAINED, load_bundle
from model.picture import PictureLimits, picture_array
from service.allocator import keep_freed_memory
from service.app import create_app
from service.direct import DirectRoute
from service.edge import with_edge
from service.form import picture_in_form
from service.logs import log_config, spare_log_records
from service.settings import Settings

_BOUNDARY = "5d1f8a3c"
_CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
_PICTURES = 20
"""Of 12 megapixels, in one measurement."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode", choices=("kept", "returned"), help="be the process that decodes")
    arguments = parser.parse_args()
    if arguments.decode:
        print(json.dumps(_decode_ms(kept=arguments.decode == "kept")))
        return
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(
            bundle=PRETRAINED, index=write_index(load_bundle(PRETRAINED), 2000, Path(scratch) / "index")
        )
        rows = asyncio.run(_requests(settings, arguments.requests, arguments.rounds, Path(scratch) / "log"))
    taken: dict[str, list[float]] = {"kept": [], "returned": []}
    for _ in range(arguments.rounds):
        for side, found in taken.items():
            found.append(json.loads(subprocess.check_output([sys.executable, __file__, "--decode", side])))
    rows.append(("12 megapixels, CPU ms", "memory kept", *(median(taken[side]) for side in ("kept", "returned"))))
    print(f"{'':24} {'choice':22} {'with':>8} {'without':>8} {'with / without':>15}")
    for what, choice, ours, other in rows:
        print(f"{what:24} {choice:22} {ours:8.2f} {other:8.2f} {ours / other:15.2f}")


async def _requests(
    settings: Settings, requests: int, rounds: int, log: Path
) -> list[tuple[str, str, float, float]]:
    """Rows of the table for the route and the log records."""
    body = b"".join(form(photographs(None, 640, 480, 1)[0], _BOUNDARY))
    config = log_config(as_json=False)
    with log.open("w") as lines:
        config["handlers"]["stdout"]["stream"] = lines
        logging.config.dictConfig(config)
        # spare_log_records() cannot be undone, so that the side without it comes first.
        direct, solved, light = [], [], []
        for _ in range(rounds):
            direct.append(await _loop_us(settings, DirectRoute, body, requests))
            solved.append(await _loop_us(settings, APIRoute, body, requests))
        spare_log_records()
        for _ in range(rounds):
            light.append(await _loop_us(settings, DirectRoute, body, requests))
    return [
        ("request, loop us", "direct route", median(direct), median(solved)),
        ("request, loop us", "light log records", median(light), median(direct)),
    ]


async def _loop_us(settings: Settings, route: type[APIRoute], body: bytes, requests: int) -> float:
    """Microseconds of this thread for one request."""
    service.recommend.DirectRoute = route  # type: ignore[misc, assignment]
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        recommender = app.state.current.recommender
        answer = recommender.recommend(picture_in_form(body, _CONTENT_TYPE, settings.form_limits), 10)
        recommender.recommend = lambda *_, **__: answer
        edge = with_edge(app, settings, app.state.metrics)
        for number in range(requests + requests // 5):
            if number == requests // 5:
                began = time.thread_time()
            await _ask(edge, body)
        return 1e6 * (time.thread_time() - began) / requests


async def _ask(app: Callable[..., Any], body: bytes) -> None:
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/recommend",
        "raw_path": b"/recommend",
        "query_string": b"k=10",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", _CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    pieces = [body]
    never = asyncio.Event()

    async def receive() -> Message:
        if not pieces:
            await never.wait()
        return {"type": "http.request", "body": pieces.pop(), "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


def _decode_ms(*, kept: bool) -> float:
    """CPU milliseconds to take a picture out of a form and to decode it, on two threads."""
    if kept:
        keep_freed_memory()
    bundle = load_bundle(PRETRAINED)
    settings = Settings(bundle=PRETRAINED, index=PRETRAINED)
    chunks = form(photographs(None, 4000, 3000, 1)[0], _BOUNDARY)

    def decode(_: int) -> None:
        picture = picture_in_form(b"".join(chunks), _CONTENT_TYPE, settings.form_limits)
        picture_array(picture, bundle.spec.picture.size, bundle.spec.picture.resize, PictureLimits())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, range(4)))
        began = time.process_time()
        list(pool.map(decode, range(_PICTURES)))
        return 1000 * (time.process_time() - began) / _PICTURES


if __name__ == "__main__":
    main()
