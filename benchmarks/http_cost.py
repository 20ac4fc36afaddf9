"""What three choices of the service spare a request: the direct route, freed memory that is kept, a frozen heap.

    python benchmarks/http_cost.py [--requests 1000] [--rounds 5] [--seconds 2]

The first: microseconds of the event loop's thread for one POST /recommend of 640x480 through the whole application,
without sockets and without computing, caches warm. The second: CPU milliseconds of a real server for one of 12
megapixels, 8 at a time. The third: p99 of 640x480 in milliseconds, at three quarters of what the server answers,
arriving evenly. Both sides take turns in each round; medians.
"""

import argparse
import asyncio
import gc
import logging
import logging.config
import math
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from client import form
from fastapi.routing import APIRoute
from load import Load
from photographs import photographs, write_photographs
from processes import apply_load, serving
from starlette.types import Message, Scope
from synthetic_index import write_index

import service.routes.recommend
import service.server.process
from model import PRETRAINED
from model.bundle import load_bundle
from service.app import create_app
from service.logs import log_config
from service.metrics import Metrics
from service.routes.recommend import DirectRoute
from service.server.process import keep_freed_memory
from service.server.signals import early_signals
from service.settings import Settings, read_settings
from service.state import state_of
from service.upload import picture_in_form

_BOUNDARY = "5d1f8a3c"
_CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
_SERVE = {"as it is": "--serve", "returned": "--serve-and-return", "thawed": "--serve-thawed"}
"""The first argument of a process that is a server: as it is, without kept memory, and without a frozen heap."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000, help="of 640x480, of each side in each round")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a server, of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        index = write_index(load_bundle(PRETRAINED), 2000, scratch / "index")
        route = asyncio.run(_route(Settings(bundle=PRETRAINED, index=index), arguments.requests, arguments.rounds))
        memory, frozen = _served(index, arguments.seconds, arguments.rounds, scratch)
    print(f"{'':38} {'with':>8} {'without':>8} {'with / without':>15}")
    for what, (ours, other) in (
        ("direct route: loop, us", route),
        ("freed memory kept: 12 MP, CPU ms", memory),
        ("heap frozen: p99, ms", frozen),
    ):
        print(f"{what:38} {ours:8.2f} {other:8.2f} {ours / other:15.3f}")


async def _route(settings: Settings, requests: int, rounds: int) -> tuple[float, float]:
    """Microseconds of the loop for a request with the direct route, and with FastAPI's own."""
    body = b"".join(form(photographs(None, 640, 480, 1)[0], _BOUNDARY))
    logging.config.dictConfig(log_config(as_json=False))
    logging.getLogger("thud.access").handlers = [logging.NullHandler()]
    taken: dict[type[APIRoute], list[float]] = {DirectRoute: [], APIRoute: []}
    for _ in range(rounds):
        for route, found in taken.items():
            found.append(await _loop_us(settings, route, body, requests))
    return median(taken[DirectRoute]), median(taken[APIRoute])


def _served(
    index: Path, seconds: float, rounds: int, scratch: Path
) -> tuple[tuple[float, float], tuple[float, float]]:
    """With and without: CPU milliseconds with kept memory, p99 in milliseconds with a frozen heap."""
    large = write_photographs(None, 4000, 3000, 4, scratch / "large")
    small = write_photographs(None, 640, 480, 4, scratch / "small")
    cpu: dict[str, list[float]] = {"as it is": [], "returned": []}
    p99: dict[str, list[float]] = {"as it is": [], "thawed": []}
    with ExitStack() as servers:
        running = {}
        for side, flag in _SERVE.items():
            command = [sys.executable, __file__, flag, str(index)]
            running[side] = servers.enter_context(serving(side, command, scratch / f"{side}.log"))
        rate = 0.75 * min(apply_load(Load(server.port, small, 8, seconds)).rate() for server in running.values())
        for _ in range(rounds):
            for side, found in cpu.items():
                before = running[side].cpu_seconds()
                answers = apply_load(Load(running[side].port, large, 8, seconds)).all_answers
                found.append(1000 * (running[side].cpu_seconds() - before) / max(1, answers))
            for side, found in p99.items():
                load = Load(running[side].port, small, 256, 2 * seconds, rate=max(1.0, rate), evenly=True)
                found.append(float(np.quantile(apply_load(load).milliseconds.get("200", [math.nan]), 0.99)))
    return (
        (median(cpu["as it is"]), median(cpu["returned"])),
        (median(p99["as it is"]), median(p99["thawed"])),
    )


def _serve(flag: str, index: str) -> None:
    """Be a server."""
    if flag == _SERVE["returned"]:
        if service.server.process.serve.__globals__.get("keep_freed_memory") is not keep_freed_memory:
            raise SystemExit("the server keeps freed memory in a way that is not known here")
        vars(service.server.process)["keep_freed_memory"] = lambda threads: None
    elif flag == _SERVE["thawed"]:
        gc.freeze = lambda: None
    settings = read_settings({"index": index})
    ours, _parent = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, ours, _parent:
        port = listener.getsockname()[1]
        # In this process, which is changed: a worker would be one that is not.
        service.server.process.serve(
            settings,
            listener,
            lambda precision: print(f"listens on http://127.0.0.1:{port}; {precision}", flush=True),
            early_signals(),
            ours.fileno(),
        )


async def _loop_us(settings: Settings, route: type[APIRoute], body: bytes, requests: int) -> float:
    """Microseconds of this thread for one request."""
    vars(service.routes.recommend)["DirectRoute"] = route
    app = create_app(settings, Metrics())
    if type(app.router.routes[0]) is not route:
        raise SystemExit("the application has another route than the one to measure")
    async with app.router.lifespan_context(app):
        recommender: Any = state_of(app).served.recommender
        answer = recommender.recommend(picture_in_form(body, _CONTENT_TYPE, settings), 10)
        recommender.recommend = lambda *_, **__: answer
        for number in range(requests + requests // 5):
            if number == requests // 5:
                began = time.thread_time()
            await _ask(app, body)
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


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in _SERVE.values():
        _serve(*sys.argv[1:])
    else:
        main()
