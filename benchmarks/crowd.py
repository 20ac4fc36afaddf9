"""A crowd of clients that ask again at once, and whether others notice: probes, and who lists sounds.

    python -m benchmarks.crowd [PHOTOGRAPHS] [--clients 1000] [--seconds 12] [--before CHECKOUT]

A real `thud serve` with the shipped bundle and 1,000 sounds. Each client sends a photograph of 640x480 (drawn ones
without PHOTOGRAPHS) as soon as it has its answer, whatever that is. Twice a second, others ask for /livez, /readyz
and /sounds, each on a connection of its own. `failed`: connections that broke. With --before, the code of another
checkout serves first, with this one's bundle and index.
"""

import asyncio
import json
import resource
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import click
import httpx
import numpy as np

from benchmarks.http.inputs import write_index, write_photographs
from benchmarks.http.load import Load, Measured
from benchmarks.http.servers import ROOT, Server, apply_load, serving, thud
from benchmarks.machine import machine
from model import PRETRAINED
from model.bundle import load_bundle
from model.option_types import FiniteRange

_SOUNDS = 1000
_OTHERS = ("/livez", "/readyz", "/sounds?limit=1")
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


async def others_of(server: Server, enough: threading.Event) -> tuple[Counter[str], list[float]]:
    """What the others are answered until it is `enough`, and the seconds of each answer."""
    answers: Counter[str] = Counter()
    seconds: list[float] = []
    while not enough.is_set():
        for path in _OTHERS:
            began = time.monotonic()
            try:
                async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS) as client:
                    status = str((await client.get(f"http://127.0.0.1:{server.port}{path}")).status_code)
            except httpx.HTTPError as error:
                status = type(error).__name__
            answers[f"{path.partition('?')[0]} {status}"] += 1
            seconds.append(time.monotonic() - began)

        await asyncio.sleep(_PAUSE_SECONDS)
    return answers, seconds


def crowd(server: Server, pictures: list[str], clients: int, seconds: float) -> dict[str, object]:
    """What the crowd and the others are answered."""
    enough = threading.Event()
    measured: list[Measured] = []

    def load() -> None:
        try:
            measured.append(apply_load(Load(server.port, pictures, clients, seconds)))
        finally:
            enough.set()

    thread = threading.Thread(target=load)
    thread.start()
    answers, others = asyncio.run(others_of(server, enough))
    thread.join()
    (found,) = measured
    took = found.milliseconds.get("200", [float("nan")])
    return {
        "answered a second": round(found.rate(200), 1),
        "refused a second": round(found.rate(503), 1),
        "failed": sum(count for status, count in found.in_time.items() if status not in ("200", "503")),
        "answers, p99 ms": round(float(np.quantile(took, 0.99))),
        "others": dict(answers),
        "others, median s": round(float(np.median(others)), 2),
        "others, p95 s": round(float(np.quantile(others, 0.95)), 2),
        "others, slowest s": round(max(others), 2),
        "memory MB": round(server.resident_mb()),
    }


@click.command()
@click.argument("photographs", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--clients", default=1000, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=12.0, show_default=True, type=FiniteRange(min=0.1))
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(photographs: Path | None, clients: int, seconds: float, before: Path | None) -> None:
    """Measure and print, as JSON."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bundle = load_bundle(PRETRAINED)
    found: dict[str, object] = {"machine": machine(), "clients": clients, "seconds": seconds}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        pictures = write_photographs(photographs, 640, 480, 8, scratch / "pictures")
        command = thud(bundle.folder, write_index(bundle, _SOUNDS, scratch / "index"))
        for side, code in (("before", before and before.resolve()), ("now", ROOT)):
            if code is not None:
                with serving(command, scratch / f"{side}.log", code) as server:
                    found[side] = crowd(server, pictures, clients, seconds)
    click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
