"""Everything that the benchmark of serving measures, in the order in which it is measured."""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.http.inputs import write_index, write_photographs
from benchmarks.http.load import Load, Measured
from benchmarks.http.servers import ROOT, Server, apply_load, module, output_of, serving, thud
from benchmarks.machine import machine
from benchmarks.serve.resnet18 import write_resnet18
from benchmarks.serve.results import (
    BEFORE,
    CEILINGS,
    LARGE,
    SAME,
    SHIPPED,
    SMALL,
    USUAL,
    Cell,
    Key,
    Limits,
    Report,
    Stages,
    ratio_name,
)
from benchmarks.soak import soak
from index.answers.search import SoundIndex
from model import PRETRAINED
from model.bundle import Bundle, load_bundle
from model.picture import decode_picture, enough_for, fit_picture, picture_array
from model.runtime import TowerRuntime
from model.threads import available_cpus

K = 10
_OPEN_CONNECTIONS = 900
"""At a rate: more than may wait for an answer, fewer than the service takes."""

Rounds = dict[Key, list[Cell]]


@dataclass(frozen=True)
class Plan:
    """How much to measure; `before` is the checkout of another commit, or None.

    A load lasts `seconds`, or `requests` where they are not 0.
    """

    photographs: Path | None
    before: Path | None
    sounds: int
    seconds: float
    rounds: int
    soak: int
    requests: int = 0
    warm_up: float = Load.warm_up
    pictures: int = 8
    concurrencies: tuple[int, ...] = (1, 8, 64, 256)
    small: tuple[int, int] = (640, 480)
    large: tuple[int, int] = (4000, 3000)


def measure(plan: Plan, scratch: Path) -> Report:
    """Measure every side; files are made in `scratch`."""
    kinds = {
        name: write_photographs(plan.photographs, *size, plan.pictures, scratch / name)
        for name, size in ((SMALL, plan.small), (LARGE, plan.large))
    }
    resnet = write_resnet18(scratch / "resnet18", [Path(file).read_bytes() for file in kinds[SMALL]])
    bundles = {SAME: resnet, SHIPPED: load_bundle(PRETRAINED)}
    indexes = {
        name: write_index(bundle, plan.sounds, scratch / f"index-{bundle.id}") for name, bundle in bundles.items()
    }
    commands = {name: (thud(bundle.folder, indexes[name]), ROOT) for name, bundle in bundles.items()}
    if plan.before is not None:
        commands[BEFORE] = (thud(bundles[SHIPPED].folder, indexes[SHIPPED]), plan.before)
    commands[USUAL] = ([*module("benchmarks.serve.usual_way"), "--port", "0", "--sounds", str(plan.sounds)], ROOT)
    cells: Rounds = {}
    with ExitStack() as servers:
        running = {
            name: servers.enter_context(serving(command, scratch / f"{name}.log", code))
            for name, (command, code) in commands.items()
        }
        rounds = [(kind, number) for kind in kinds for number in range(plan.rounds)]
        for kind, _ in tqdm(rounds, desc="rounds", leave=False):
            for name, bundle in bundles.items():
                rate = _ceiling(bundle.folder, indexes[name], kinds[kind], plan.seconds)
                cells.setdefault((kind, CEILINGS[name], available_cpus()), []).append(Cell(rate=rate))
            for connections in plan.concurrencies:
                for name, server in running.items():
                    found = _closed(server, kinds[kind], connections, plan)
                    cells.setdefault((kind, name, connections), []).append(found)
        medians = {key: Cell.median(found) for key, found in cells.items()}
        limits = {
            kind: _limits(running[SHIPPED], files, plan, medians[kind, SHIPPED, 8].rate)
            for kind, files in kinds.items()
        }
    return Report(
        conditions=_conditions(plan, kinds),
        sounds=plan.sounds,
        cells=medians,
        ratios=_ratios(cells),
        seconds_to_ready={name: server.seconds_to_ready for name, server in running.items()},
        limits=limits,
        soak=soak(plan.soak, bundles[SHIPPED], indexes[SHIPPED], kinds[SMALL], scratch / "soak.log"),
        stages={
            (kind, name): _stages(bundle, indexes[name], files, medians[kind, name, 8].cpu_ms)
            for kind, files in kinds.items()
            for name, bundle in bundles.items()
        },
    )


def _ceiling(bundle: Path, index: Path, pictures: list[str], seconds: float) -> float:
    """Pictures a second of the plain loop."""
    options = ["--bundle", str(bundle), "--index", str(index), "--seconds", str(seconds)]
    return float(json.loads(output_of([*module("benchmarks.serve.ceiling"), *options, *pictures]))["rate"])


def _closed(server: Server, pictures: list[str], connections: int, plan: Plan) -> Cell:
    """What a server does for clients of which each sends its next request when it has its answer."""
    cpu = server.cpu_seconds()
    load = Load(server.port, pictures, connections, plan.seconds, requests=plan.requests, warm_up=plan.warm_up)
    found = apply_load(load)
    p50, p95, p99 = np.quantile(found.milliseconds.get("200", [math.nan]), (0.5, 0.95, 0.99))
    return Cell(
        rate=found.rate(),
        p50=float(p50),
        p95=float(p95),
        p99=float(p99),
        refused=found.rate(503),
        errors=sum(count for status, count in found.in_time.items() if status not in ("200", "503")),
        resident_mb=server.resident_mb(),
        cpu_ms=1000 * (server.cpu_seconds() - cpu) / max(1, found.all_answers),
    )


def _limits(server: Server, pictures: list[str], plan: Plan, capacity: float) -> Limits:
    """Latency at 80 % of capacity, and what is answered and refused at four times the capacity."""

    def found(rate: float, evenly: bool = False, timeout: float = Load.timeout) -> Measured:
        seconds = 3 * plan.seconds
        load = Load(server.port, pictures, _OPEN_CONNECTIONS, seconds, rate, evenly, 0, plan.warm_up, timeout)
        return apply_load(load)

    return Limits.of(
        capacity, found(0.8 * capacity), found(0.8 * capacity, evenly=True), found(4 * capacity, timeout=30.0)
    )


def _ratios(cells: Rounds) -> dict[tuple[str, str], tuple[float, float]]:
    """Of Thud's requests a second at concurrency 8, over another side's in the same round: median and least."""
    found = {}
    for kind in (SMALL, LARGE):
        for name, ceiling in CEILINGS.items():
            ours = [cell.rate for cell in cells[kind, name, 8]]
            others = {(kind, ceiling, available_cpus()), (kind, USUAL, 8)}
            if name == SHIPPED:
                others.add((kind, BEFORE, 8))
            for key in sorted(others & cells.keys()):
                ratios = np.array(ours) / [cell.rate for cell in cells[key]]
                found[kind, ratio_name(name, key[1])] = (float(np.median(ratios)), float(ratios.min()))
    return found


def _stages(bundle: Bundle, index_folder: Path, files: list[str], served: float) -> Stages:
    """CPU milliseconds of a request by stage, on one thread, beside the `served` ones of the server."""
    towers, index = TowerRuntime(bundle), SoundIndex.open(index_folder, bundle)
    spec = bundle.spec.picture
    pictures = [Path(file).read_bytes() for file in files]
    decoded = [decode_picture(data, enough=enough_for(spec.size)) for data in pictures]
    arrays = [picture_array(data, spec.size, spec.resize)[None] for data in pictures]
    embeddings = [towers.embed_pictures(array).embedding[0] for array in arrays]
    found = {
        "decode": _cpu_ms(lambda n: decode_picture(pictures[n], enough=enough_for(spec.size)), len(pictures)),
        "resize": _cpu_ms(lambda n: fit_picture(decoded[n], spec.size, spec.resize), len(pictures)),
        "network": _cpu_ms(lambda n: towers.embed_pictures(arrays[n]), len(pictures)),
        "search": _cpu_ms(lambda n: index.search(embeddings[n], K), len(pictures)),
    }
    index.close()
    return Stages(found, served)


def _cpu_ms(call: Callable[[int], object], pictures: int, rounds: int = 5) -> float:
    """Median CPU time of this thread."""
    took = []
    for number in range(rounds * pictures):
        began = time.thread_time()
        call(number % pictures)
        took.append(time.thread_time() - began)
    return 1000 * float(np.median(took))


def _conditions(plan: Plan, kinds: dict[str, list[str]]) -> list[str]:
    packages = ("onnxruntime", "faiss-cpu", "pillow", "fastapi", "uvicorn", "torch", "torchvision")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    sizes = (
        f"{kind} ({np.median([Path(file).stat().st_size for file in files]) / 1000:,.0f} kB)"
        for kind, files in kinds.items()
    )
    source = "enlarged photographs with noise" if plan.photographs else "drawn"
    return [
        f"{machine()}; load average of the last minute at the end {os.getloadavg()[0]:.1f}, "
        "the benchmark's own included.",
        f"Python {sys.version.split()[0]}, {versions}.",
        f"Pictures: {', '.join(sizes)}, {source}; JPEG, quality 90, 4:2:0.",
        f"{plan.sounds:,} sounds, k = {K}; {plan.rounds} rounds of {plan.seconds:g} s a side.",
    ]
