"""Whether the memory of a server stays flat over many requests, with no other load on it.

    python -m benchmarks.soak [PHOTOGRAPHS] [--requests 100000] [--sounds 100000]

The server is a real `thud serve` with the bundle that ships; eight clients send pictures of 640x480 without pause.
Resident memory is read after each tenth of the requests. Exits with 1 where an answer was not 200, or where memory
grew by more than 5 % after the first tenth. 100,000 requests take about ten minutes on two cores.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.http.inputs import write_index, write_photographs
from benchmarks.http.load import Load
from benchmarks.http.servers import apply_load, serving, thud
from benchmarks.machine import machine
from model import PRETRAINED
from model.bundle import Bundle, load_bundle

MOST_GROWTH = 1.05
_CLIENTS = 8
_AT_ONCE = 500
"""Requests of one load, after which progress is shown. Each load starts a process, in a third of a second."""


@dataclass(frozen=True)
class Soak:
    """`memory` has pairs of requests so far and resident MB; `failed` counts answers that were not 200."""

    memory: list[tuple[int, float]]
    failed: int
    seconds: float

    @property
    def growth(self) -> float:
        """The most memory at any later time, over the memory after the first tenth."""
        _, first, *later = (mb for _, mb in self.memory)
        return max(later) / first


def soak(requests: int, bundle: Bundle, index: Path, pictures: list[str], log: Path) -> Soak:
    """Send the requests to a fresh server, eight at a time; each tenth has at least one."""
    memory, failed, done = [], 0, 0
    began = time.perf_counter()
    with (
        serving(thud(bundle.folder, index), log) as server,
        tqdm(total=requests, desc="soak", unit=" requests", leave=False) as progress,
    ):
        memory.append((0, server.resident_mb()))
        for tenth in range(1, 11):
            until = max(done + 1, tenth * requests // 10)
            while done < until:
                now = min(_AT_ONCE, until - done)
                found = apply_load(Load(server.port, pictures, _CLIENTS, 0.0, requests=now, warm_up=0.0))
                answered = found.in_time.get("200", 0)
                failed += sum(found.in_time.values()) - answered
                done += now
                progress.update(now)
                progress.set_postfix_str(f"{server.resident_mb():.0f} MB, {failed} failed")
            memory.append((done, server.resident_mb()))
    return Soak(memory, failed, time.perf_counter() - began)


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, nargs="?", help="folder of pictures; drawn ones without")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--sounds", type=int, default=100_000, help="vectors in the index")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = load_bundle(PRETRAINED)
        pictures = write_photographs(arguments.photographs, 640, 480, 8, Path(scratch) / "pictures")
        index = write_index(bundle, arguments.sounds, Path(scratch) / "index")
        found = soak(arguments.requests, bundle, index, pictures, Path(scratch) / "soak.log")
    sent = found.memory[-1][0]
    print(machine())
    print(f"{sent:,} requests in {found.seconds:.0f} s, {sent / found.seconds:.1f} a second, {found.failed} failed")
    print(f"\n{'requests':>10} {'MB':>8} {'to the first tenth':>20}")
    for requests, mb in found.memory:
        print(f"{requests:>10,} {mb:>8.1f} {mb / found.memory[1][1]:>20.3f}")
    print(f"\nmost after the first tenth to the first tenth {found.growth:.3f}")
    sys.exit(found.failed > 0 or found.growth > MOST_GROWTH)


if __name__ == "__main__":
    main()
