"""A large index in the service: until it is ready, what memory it takes, what a swap costs the requests beside it.

    python -m benchmarks.swaps FOLDER WORK [--sounds 1000000] [--workers 1] [--json FILE]

FOLDER has `manifest.csv` with the columns kind (`sound` or `image`), path and material. Its recordings, embedded,
become a library as in `benchmarks.search`, of which two generations are kept in the folder WORK: 3 GB at 10^6
sounds, and the service's copies take as much where TMPDIR is. The service is a real `thud serve`.

It is started several times; the time is from its start until /readyz answers 200, the CPU time that of all its
processes. Then clients send photographs, evenly at a rate that leaves a machine idle most of the time (0: each
when it has its answer), and the index is swapped again and again while they do. The cost of a swap: the request
that took longest, by the clock, of those beside any swap, over the one that took longest of those beside none.
Memory is that of each worker: Private_Dirty of /proc/PID/smaps_rollup, which is what it takes, and Private_Clean,
pages of files that no other process has mapped, which the system takes back where memory is short.

All of this is done in several rounds, because others may use the machine; the figures that are printed are those of
the quietest round, in which the 99th percentile of the requests beside no swap was least.
"""

import asyncio
import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.http.inputs import photographs, write_index
from benchmarks.http.servers import Worker, serving, thud
from benchmarks.machine import machine
from benchmarks.search.library import real
from benchmarks.swaps.generations import TwoGenerations, current_files, two_generations
from benchmarks.swaps.measure import Clients, Swaps, Window, swap_often
from model import PRETRAINED
from model.bundle import Bundle, load_bundle

READY_SECONDS = 5.0
SWAP_MS = 100.0
PRIVATE_MB = 150.0
BACK = 1.05
"""After the last swap a worker may have at most so many times the memory of before the first one."""
_SMALL = 100
_FIRST_REQUESTS = 500
_SIZE = (640, 480)
_PICTURES = 16


def memory_without(bundle: Bundle, options: list[str], pictures: list[bytes], requests: int) -> list[Worker]:
    """The memory of workers that serve a small index, after some requests: what is not the library's."""
    with tempfile.TemporaryDirectory() as name:
        command = [*thud(bundle.folder, write_index(bundle, _SMALL, Path(name, "index"))), *options]
        with serving(command, Path(name, "log")) as server:
            asyncio.run(Clients(server.port, pictures, len(server.workers())).several(requests))
            return server.workers()


def measure(
    index: TwoGenerations,
    command: list[str],
    pictures: list[bytes],
    log: Path,
    *,
    starts: int,
    clients: int,
    rate: float,
    swaps: int,
    quiet_seconds: float,
    requests: int,
) -> dict[str, Any]:
    """Everything that is asked of the service with the large index."""
    ready, cpu = [], []
    for _ in range(starts - 1):
        with serving(command, log) as server:
            ready.append(server.seconds_to_ready)
            cpu.append(server.cpu_seconds())
    with serving(command, log) as server:
        ready.append(server.seconds_to_ready)
        cpu.append(server.cpu_seconds())
        memory = {"ready": server.workers()}
        load = Clients(server.port, pictures, clients, rate)
        asyncio.run(load.several(requests))
        memory[f"{requests} requests"] = server.workers()
        found = asyncio.run(swap_often(server, index, load, swaps, quiet_seconds))
    memory |= {f"swap {number + 1}": one for number, one in enumerate(found.memory)}
    return {
        "load average": round(os.getloadavg()[0], 1),
        "ready s": [round(one, 2) for one in ready],
        "CPU s until ready": [round(one, 2) for one in cpu],
        "memory": {name: [asdict(one) for one in workers] for name, workers in memory.items()},
        "taking over s": [round(one, 2) for one in found.taking_over],
        "without a swap": _latencies(found.without),
        "over a swap": _latencies(found.over),
        **_goals(ready, memory, found),
    }


def _latencies(windows: list[Window]) -> dict[str, Any]:
    every = np.concatenate([one.milliseconds for one in windows])
    p50, p99 = np.percentile(every, (50, 99))
    return {
        "requests": len(every),
        "failed": sum(one.failed for one in windows),
        "a second": round(len(every) / sum(one.seconds for one in windows), 1),
        "p50 ms": round(float(p50), 1),
        "p99 ms": round(float(p99), 1),
        "greatest ms": round(float(every.max()), 1),
        "greatest of each ms": [round(one.greatest, 1) for one in windows],
    }


def _goals(ready: list[float], memory: dict[str, list[Worker]], found: Swaps) -> dict[str, Any]:
    """Each figure that something is wanted of, with what is wanted."""
    over, without = (max(one.greatest for one in windows) for windows in (found.over, found.without))
    _, before, *after = memory.values()
    most = max(worker.dirty for workers in memory.values() for worker in workers)
    first, last = (max(worker.dirty for worker in workers) for workers in (before, after[-1]))
    failed = sum(one.failed for one in (*found.over, *found.without))
    wanted = {
        "ready, median s": (statistics.median(ready), READY_SECONDS),
        "a swap's cost, ms": (over - without, SWAP_MS),
        "requests that failed": (failed, 0),
        "memory that a worker takes, most MB": (most, PRIVATE_MB),
        "memory after the last swap, times that before the first": (last / first, BACK),
    }
    return {
        "goals": {
            name: {"found": round(value, 3), "at most": bound, "met": value <= bound}
            for name, (value, bound) in wanted.items()
        }
    }


def print_tables(found: dict[str, Any]) -> None:
    """Print what was measured."""
    for name in ("ready s", "CPU s until ready"):
        print(f"{name}: {', '.join(f'{one:.2f}' for one in found[name])}")
    print(f"taken over after {statistics.median(found['taking over s']):.2f} s (median)")
    print(
        f"{'requests':<18}{'number':>8}{'failed':>8}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'greatest ms':>13}"
    )
    for name in ("without a swap", "over a swap"):
        row = found[name]
        print(
            f"{name:<18}{row['requests']:>8,}{row['failed']:>8}{row['a second']:>10.1f}{row['p50 ms']:>9.1f}"
            f"{row['p99 ms']:>9.1f}{row['greatest ms']:>13.1f}"
        )
    print(f"{'memory, MB a worker':<22}{'dirty':>9}{'allocated':>11}{'clean':>10}{'shared':>8}")
    for name, workers in found["memory"].items():
        for row in workers:
            figures = (row["dirty"], row["anonymous"], row["clean"], row["shared"])
            print(f"{name:<22}{figures[0]:>9.1f}{figures[1]:>11.1f}{figures[2]:>10.1f}{figures[3]:>8.1f}")
    for name, goal in found["goals"].items():
        met = "met" if goal["met"] else "NOT MET"
        print(f"{name}: {goal['found']:g}, wanted at most {goal['at most']:g}: {met}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--bundle", "bundle_folder", type=click.Path(path_type=Path), default=PRETRAINED)
@click.option("--sounds", default=1_000_000, show_default=True, help="Sounds in the library.")
@click.option("--workers", default=1, show_default=True, help="Processes that serve.")
@click.option("--clients", default=4, show_default=True, help="Clients that send pictures.")
@click.option("--rate", default=8.0, show_default=True, help="Pictures a second of all of them together, 0: any.")
@click.option("--rounds", default=3, show_default=True, help="How often all is measured.")
@click.option("--swaps", default=20, show_default=True)
@click.option("--starts", default=5, show_default=True, help="How often it is started.")
@click.option(
    "--quiet-seconds",
    default=6.0,
    show_default=True,
    help="At least, before each swap, the first of them left out.",
)
@click.option("--requests", default=_FIRST_REQUESTS, show_default=True, help="Before memory is looked at.")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(
    folder: Path,
    work: Path,
    bundle_folder: Path,
    sounds: int,
    workers: int,
    clients: int,
    rate: float,
    rounds: int,
    swaps: int,
    starts: int,
    quiet_seconds: float,
    requests: int,
    out: Path | None,
) -> None:
    """Measure and print."""
    bundle = load_bundle(bundle_folder)
    index = two_generations(real(folder, bundle, work), bundle, sounds, work / f"index-{bundle.id}-{sounds}")
    pictures, options = photographs(folder, *_SIZE, _PICTURES), ["--workers", str(workers)]
    facts: dict[str, Any] = {
        "machine": machine(),
        "load average": round(os.getloadavg()[0], 1),
        "sounds": sounds,
        "vectors": index.vectors,
        "bytes": current_files(index.folder),
        "workers": workers,
        "clients": clients,
        "pictures a second": rate,
    }
    print(
        f"{machine()}; {sounds:,} sounds, {index.vectors:,} vectors, "
        f"{sum(facts['bytes'].values()) / 1e6:,.0f} MB; {workers} workers; {clients} clients, {rate:g} "
        f"photographs a second of {_SIZE[0]}x{_SIZE[1]}; load average before {facts['load average']}"
    )
    small = memory_without(bundle, options, pictures, requests)
    print(f"with {_SMALL} sounds a worker has {', '.join(f'{one.dirty:.1f}' for one in small)} MB dirty")
    facts["memory with a small index"] = [asdict(one) for one in small]
    facts["rounds"] = []
    for _ in range(rounds):
        found = measure(
            index,
            [*thud(bundle.folder, index.folder), *options],
            pictures,
            work / "serve.log",
            starts=starts,
            clients=clients,
            rate=rate,
            swaps=swaps,
            quiet_seconds=quiet_seconds,
            requests=requests,
        )
        facts["rounds"].append(found)
    noise = [one["without a swap"]["p99 ms"] for one in facts["rounds"]]
    facts["quietest"] = noise.index(min(noise))
    facts["load average after"] = round(os.getloadavg()[0], 1)
    print_tables(facts["rounds"][facts["quietest"]])
    if out is not None:
        out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
