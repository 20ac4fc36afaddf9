"""Everything that benchmarks/serve.py measures, in the order in which it does."""

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from arithmetic import Arithmetic, arithmetic
from load import Load
from photographs import write_photographs
from processes import Server, apply_load, ceiling, serving, thud, usual_way
from resnet18 import write_resnet18
from serve_results import (
    CEILINGS,
    LARGE,
    SAME,
    SHIPPED,
    SMALL,
    USUAL,
    Cell,
    Limits,
    Report,
    Stages,
    Summary,
    ratio_name,
)
from soak import soak
from synthetic_index import write_index
from tqdm import tqdm

from index.search import SoundIndex
from model import PRETRAINED
from model.bundle import IMAGE_TOWER, Bundle, load_bundle
from model.picture import decode_picture, enough_for, fit_picture, picture_array
from model.runtime import TowerRuntime
from model.threads import available_cpus

K = 10
_OPEN_CONNECTIONS = 256


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    photographs: Path | None
    sounds: int
    seconds: float
    rounds: int
    soak: int
    pictures: int = 8
    concurrencies: tuple[int, ...] = (1, 8, 64)
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
    cells: dict[tuple[str, str, int], list[Cell]] = {}
    ready: dict[str, float] = {}
    with ExitStack() as servers:
        running = {
            name: servers.enter_context(
                serving(name, thud(bundle.folder, indexes[name]), scratch / f"{bundle.id}.log")
            )
            for name, bundle in bundles.items()
        }
        running[USUAL] = servers.enter_context(serving(USUAL, usual_way(plan.sounds), scratch / "usual.log"))
        ready = {name: server.seconds_to_ready for name, server in running.items()}
        rounds = [(kind, number) for kind in kinds for number in range(plan.rounds)]
        for kind, _ in tqdm(rounds, desc="rounds", leave=False):
            for name, bundle in bundles.items():
                rate = ceiling(bundle.folder, indexes[name], kinds[kind], plan.seconds)
                cells.setdefault((kind, CEILINGS[name], available_cpus()), []).append(Cell(rate=rate))
            for connections in plan.concurrencies:
                for name, server in running.items():
                    found = _closed(server, kinds[kind], connections, plan.seconds)
                    cells.setdefault((kind, name, connections), []).append(found)
        limits = {kind: _limits(running[SHIPPED], files, plan, cells, kind) for kind, files in kinds.items()}
    soaked = soak(plan.soak, bundles[SHIPPED], indexes[SHIPPED], kinds[SMALL], scratch / "soak.log")
    return Report(
        conditions=_conditions(plan, kinds),
        sounds=plan.sounds,
        cells={key: Summary.of(found) for key, found in cells.items()},
        ratios=_ratios(cells),
        seconds_to_ready=ready,
        limits=limits,
        soak=soaked,
        stages={
            (kind, name): _stages(bundle, indexes[name], files, cells[kind, name, 8])
            for kind, files in kinds.items()
            for name, bundle in bundles.items()
        },
        arithmetic={name: _arithmetic(bundle) for name, bundle in bundles.items()},
    )


def _closed(server: Server, pictures: list[str], connections: int, seconds: float) -> Cell:
    cpu = server.cpu_seconds()
    found = apply_load(Load(server.port, pictures, connections, seconds))
    answered = found.milliseconds.get("200", [math.nan])
    p50, p95, p99 = np.quantile(answered, (0.5, 0.95, 0.99))
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


def _limits(
    server: Server, pictures: list[str], plan: Plan, cells: dict[tuple[str, str, int], list[Cell]], kind: str
) -> Limits:
    """Latency at 80 % of capacity, and what is answered and refused at four times of it."""
    capacity = Summary.of(cells[kind, SHIPPED, 8]).rate
    seconds = 3 * plan.seconds
    calm, even = (
        apply_load(Load(server.port, pictures, _OPEN_CONNECTIONS, seconds, rate=0.8 * capacity, evenly=evenly))
        for evenly in (False, True)
    )
    flood = apply_load(Load(server.port, pictures, _OPEN_CONNECTIONS, seconds, rate=4 * capacity, timeout=30.0))
    return Limits.of(capacity, calm, even, flood)


def _ratios(cells: dict[tuple[str, str, int], list[Cell]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Median and least over rounds of Thud's requests a second at concurrency 8, to the other side of its round."""
    found = {}
    for kind in (SMALL, LARGE):
        for name, base in CEILINGS.items():
            ours = [cell.rate for cell in cells[kind, name, 8]]
            for other, key in ((base, (kind, base, available_cpus())), (USUAL, (kind, USUAL, 8))):
                ratios = np.array(ours) / [cell.rate for cell in cells[key]]
                found[kind, ratio_name(name, other)] = (float(np.median(ratios)), float(ratios.min()))
    return found


def _stages(bundle: Bundle, index_folder: Path, files: list[str], cells: list[Cell]) -> Stages:
    """CPU milliseconds of a request by stage, on one thread; the rest is what the server uses beyond them."""
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
    return Stages(found, Summary.of(cells).cpu_ms)


def _cpu_ms(call: Callable[[int], object], pictures: int, rounds: int = 5) -> float:
    """Median CPU time of this thread."""
    took = []
    for number in range(rounds * pictures):
        began = time.thread_time()
        call(number % pictures)
        took.append(time.thread_time() - began)
    return 1000 * float(np.median(took))


def _arithmetic(bundle: Bundle) -> tuple[Arithmetic, float]:
    """The network's arithmetic, and its CPU milliseconds a picture."""
    towers = TowerRuntime(bundle)
    side = bundle.spec.picture.size
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    towers.embed_pictures(noise)
    return arithmetic(bundle.file(IMAGE_TOWER)), _cpu_ms(lambda _: towers.embed_pictures(noise), 1, rounds=30)


def _conditions(plan: Plan, kinds: dict[str, list[str]]) -> list[str]:
    versions = ("onnxruntime", "faiss-cpu", "pillow", "fastapi", "uvicorn", "torch", "torchvision")
    sizes = {kind: np.median([Path(file).stat().st_size for file in files]) / 1000 for kind, files in kinds.items()}
    return [
        f"{_processor()}, {available_cpus()} CPUs to use; load average of the last minute at the end "
        f"{os.getloadavg()[0]:.1f}, the benchmark's own included.",
        f"Python {sys.version.split()[0]}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in versions)
        + ".",
        "Pictures: "
        + ", ".join(f"{kind} ({size:,.0f} kB)" for kind, size in sizes.items())
        + (", enlarged photographs with noise" if plan.photographs else ", drawn")
        + "; JPEG, quality 90, 4:2:0.",
        f"{plan.sounds:,} sounds, k = {K}; {plan.rounds} rounds of {plan.seconds:g} s a side.",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a processor")
