"""A server on this machine that speaks the documented interface of Freesound."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from index.fetching.freesound import Freesound

KEY = "k" * 40
ACCESS = "a" * 30
DEEDS = {
    "Creative Commons 0": "http://creativecommons.org/publicdomain/zero/1.0/",
    "Attribution": "https://creativecommons.org/licenses/by/4.0/",
    "Attribution NonCommercial": "https://creativecommons.org/licenses/by-nc/3.0/",
}


@cache  # Ogg numbers its streams at random
def struck(number: int, kind: str = "OGG") -> bytes:
    time = np.arange(16_000) / 16_000
    sound = 0.5 * np.exp(-20 * time) * np.sin(2 * np.pi * (300 + 40 * number) * time)
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format=kind)
    return file.getvalue()


@dataclass
class Site:
    """What the server has, what it was asked, and by path what it does in place of answering."""

    sounds: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    instead: dict[str, list[Callable[[BaseHTTPRequestHandler], None]]] = field(default_factory=dict)
    url: str = ""

    def add(self, count: int, licence: str = "Creative Commons 0", **fields: Any) -> None:
        for _ in range(count):
            number = len(self.sounds) + 1
            base = f"{self.url}/data/previews/{number}"
            self.sounds.append(
                {
                    "id": number,
                    "url": f"https://freesound.org/people/anna/sounds/{number}/",
                    "name": f"Wood Impact {number}.wav",
                    "tags": ["wood", "impact"],
                    "description": "a plank\r\nfalls; twice",
                    "license": DEEDS[licence],
                    "type": "wav",
                    "filesize": len(struck(number, "WAV")),
                    "duration": 1.0,
                    "username": "anna b",
                    "previews": {"preview-hq-ogg": f"{base}-hq.ogg", "preview-hq-mp3": f"{base}-hq.mp3"},
                    "filter": licence,
                    **fields,
                }
            )

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    """The interface, as it is documented."""

    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        authorization = self.headers.get("Authorization", "")
        self.site.asked.append((address.path, query, authorization))
        if waiting := self.site.instead.get(address.path):
            waiting.pop(0)(self)
        elif address.path.startswith("/data/previews/"):
            number = int(re.findall(r"\d+", address.path)[0])
            self.reply(200, struck(number), "audio/ogg")
        elif authorization not in (f"Token {KEY}", f"Bearer {ACCESS}"):
            self.reply(401, {"detail": "Invalid token"})
        elif address.path == "/apiv2/search/text/":
            self.search(query)
        elif found := re.fullmatch(r"/apiv2/sounds/(\d+)/download/", address.path):
            if authorization.startswith("Token"):
                self.reply(401, {"detail": "Authentication credentials were not provided."})
            else:
                self.reply(200, struck(int(found[1]), "WAV"), "audio/x-wav")
        else:
            self.reply(404, {"detail": "Not found"})

    def search(self, query: dict[str, str]) -> None:
        allowed = re.findall(r'"([^"]+)"', query.get("filter", "")) or list(DEEDS)
        found = [one for one in self.site.sounds if one["filter"] in allowed]
        size, page = min(150, int(query.get("page_size", "15"))), int(query.get("page", "1"))
        part = found[(page - 1) * size : page * size]
        if page > 1 and not part:
            self.reply(404, {"detail": "Not found"})
            return
        more = page * size < len(found)
        wanted = query.get("fields", "id,name,tags,username,license").split(",")
        results = [{name: one[name] for name in wanted if name in one} for one in part]
        self.reply(200, {"count": len(found), "next": f"{self.site.url}/x" if more else None, "results": results})

    def reply(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "*")
    made = Site()
    handler = type("OfThisSite", (Handler,), {"site": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def thud_fetch(
    site: Site, out: Path, *options: str, token: str | None = KEY, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUD_")} | environment
    if token is not None:
        env["THUD_FREESOUND_TOKEN"] = token
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "thud",
            "fetch",
            "freesound",
            "wood impact",
            str(out),
            "--api",
            f"{site.url}/apiv2",
            *options,
        ],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def connection(site: Site, *, oauth: bool = False) -> Iterator[tuple[Freesound, list[str], list[float]]]:
    """A connection that does not really wait; what it said, and how long it waited."""
    said: list[str] = []
    slept: list[float] = []
    token = ACCESS if oauth else KEY
    with Freesound(token, oauth=oauth, api=f"{site.url}/apiv2/", say=said.append, sleep=slept.append) as made:
        yield made, said, slept


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def throttled(detail: str, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(
            429,
            {"detail": f"Request was throttled because of exceeding a request limit rate ({detail})"},
            **headers,
        )

    return answer


def status(code: int, body: Any = None, kind: str = "application/json") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.reply(code, body or {"detail": "no"}, kind)

    return answer


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Half of a sound, then the connection is gone."""
    content = struck(1)
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/ogg")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.close_connection = True
