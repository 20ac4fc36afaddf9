"""What a map costs beside a lone answer: CPU time of a service that is asked for both in turn.

    python -m benchmarks.places.cost [--photographs FOLDER] [--sounds N] [--rounds N] [--json FILE]

A real `thud serve` with the bundle that ships answers the same pictures by `/recommend` and by `/recommend/map`,
one request at a time, in rounds that alternate. CPU time is the server's own, all threads; of the rounds the
medians are shown, and the median of the ratios of neighbouring rounds.
"""

import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import httpx

from benchmarks.http.inputs import photographs, write_index
from benchmarks.http.servers import Server, serving, thud
from benchmarks.machine import machine
from model import PRETRAINED
from model.atomic import atomic_file
from model.bundle import Bundle

SIZES = ((640, 480), (4000, 3000))
PICTURES = 8
ADDRESSES = ("/recommend", "/recommend/map")


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of one request, for pictures of one size."""

    width: int
    height: int
    places: int
    recommend_ms: float
    map_ms: float
    ratio: float


def measure(server: Server, width: int, height: int, folder: Path | None, rounds: int, times: int) -> Cost:
    """Ask `rounds` times for both, each of PICTURES pictures `times` times."""
    pictures = photographs(folder, width, height, PICTURES)
    spent: dict[str, list[float]] = {address: [] for address in ADDRESSES}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:

        def ask(address: str) -> httpx.Response:
            for _ in range(times):
                for picture in pictures:
                    answer = client.post(address, content=picture, headers={"Content-Type": "image/jpeg"})
                    answer.raise_for_status()
            return answer

        places = len(ask(ADDRESSES[1]).json()["places"])
        ask(ADDRESSES[0])
        for _ in range(rounds):
            for address in ADDRESSES:
                before = server.cpu_seconds()
                ask(address)
                spent[address].append(1000 * (server.cpu_seconds() - before) / (times * len(pictures)))
    lone, whole = (spent[address] for address in ADDRESSES)
    ratios = [there / alone for alone, there in zip(lone, whole, strict=True)]
    medians = (statistics.median(values) for values in (lone, whole, ratios))
    return Cost(width, height, places, *(round(value, 2) for value in medians))


@click.command()
@click.option(
    "--photographs", "folder", type=click.Path(exists=True, path_type=Path), help="drawn pictures without it"
)
@click.option("--sounds", default=2000, show_default=True, type=click.IntRange(10))
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@click.option("--times", default=3, show_default=True, type=click.IntRange(1), help="each picture in a round")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write the numbers here, too")
def main(folder: Path | None, sounds: int, rounds: int, times: int, file: Path | None) -> None:
    """Print the table."""
    bundle = Bundle.open(PRETRAINED)
    with tempfile.TemporaryDirectory() as scratch:
        index = write_index(bundle, sounds, Path(scratch) / "index")
        with serving([*thud(PRETRAINED, index), "--threads", "1"], Path(scratch) / "log") as server:
            costs = [measure(server, *size, folder, rounds, times) for size in SIZES]
    print(f"{machine()}, {sounds:,} sounds\n")
    print("| picture | places | /recommend, CPU ms | /recommend/map, CPU ms | ratio |\n|---|---:|---:|---:|---:|")
    for one in costs:
        size = f"{one.width} x {one.height}"
        print(f"| {size} | {one.places} | {one.recommend_ms:.1f} | {one.map_ms:.1f} | {one.ratio:.2f} |")
    if file is not None:
        with atomic_file(file) as aside:
            found = {"machine": machine(), "sounds": sounds, "costs": [asdict(one) for one in costs]}
            aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
