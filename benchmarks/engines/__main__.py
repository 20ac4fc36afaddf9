"""An index in a Milvus beside the same in files; indexing on a Ray cluster beside this machine's threads.

    python -m benchmarks.engines DATA WORK --milvus milvus://127.0.0.1:19530/bench [--sounds 1000000] [--json FILE]
    python -m benchmarks.engines DATA WORK --ray 127.0.0.1:6379 [--to-index 10000] [--json FILE]

DATA has `manifest.csv` with the columns kind (`sound` or `image`), path and material, as for `benchmarks.search`.
Its recordings, embedded, become a library of so many sounds, which is published into a folder in WORK and into the
Milvus. The Milvus runs already, on the same machine; its memory is that of the process which listens on its port.
Measuring begins when that process is idle, as it merges segments after a generation was published.

Searches are those of `/recommend` without diversity: `VectorStore.search` for the ten best, by embeddings of real
photographs, of the whole library and of the material that about one sound of twenty is of. Recall@10 is measured
beside exact search over all vectors. Rates are those of `/recommend` itself, with its 256 candidates for diversity,
of eight clients that send photographs. With `--ray` so many short sounds are indexed by `thud index`, by the
threads of this machine and by the cluster, which has as many CPUs.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.engines.libraries import publish_both
from benchmarks.http.inputs import write_photographs
from benchmarks.http.load import Load
from benchmarks.http.servers import apply_load, serving, thud
from benchmarks.index.library import write_sounds
from benchmarks.machine import machine
from benchmarks.search.library import real
from index.address import MilvusAddress, index_at
from index.answers.file_store import open_files
from index.answers.milvus_store import MilvusStore
from index.answers.ranking import best_of_each, worth
from index.answers.store import Query, VectorStore
from index.catalogue.filters import SoundFilter
from index.generation import current_generation
from index.nearest.vector_file import VectorFile
from index.nearest.vectors import VECTORS, Vectors
from model import PRETRAINED
from model.bundle import Bundle, load_bundle

RECALL, P99_MS, RATE = 0.99, 25.0, 0.6
"""What is wanted of the Milvus: recall@10, the 99th percentile at 8 clients, its share of the rate with files."""
_CLIENTS = (1, 8)
_SECONDS = 10.0
_PICTURES = 200
_FILTER_SHARE = 0.05
_SIZE = (640, 480)
_LOOK_SECONDS, _IDLE_SHARE, _IDLE_TIMES, _LONGEST_UNSETTLED = 5.0, 0.15, 6, 900.0


def exact_ids(bundle: Bundle, folder: Path, queries: Vectors) -> list[set[str]]:
    """The ids of the ten best sounds for each query, by scoring every vector."""
    opened = open_files(folder, bundle, 1, beside=False)
    with closing(opened.store):
        generation = current_generation(folder)
        spec = generation.spec
        content = np.memmap(generation.folder / VECTORS, np.uint8, "r").data
        columns = spec.search.columns or tuple(range(spec.embedding_size))
        file = VectorFile.read(
            content, spec.search.vectors, spec.embedding_size, columns, biased=spec.hubness is not None
        )
        found = []
        for query in queries:
            # Far more hits than ten sounds can have, so that their means are known.
            near = np.unique(opened.catalogue.sounds_of(np.sort(file.nearest(query, 400)))[0])
            every = opened.catalogue.vector_rows(near)
            rows, _ = opened.catalogue.sounds_of(every)
            nearness, _ = file.score(query, every)
            best = best_of_each(rows, worth(nearness, rows, nearness, rows))[:10]
            found.append(set(opened.catalogue.ids(rows[best].tolist())))
        return found


def searches(store: VectorStore, queries: Vectors, clients: int, only: SoundFilter | None) -> dict[str, float]:
    """Milliseconds of searches by so many threads that ask again at once, and searches a second."""
    until = time.perf_counter() + _SECONDS

    def ask(client: int) -> list[float]:
        took, number = [], client
        while (began := time.perf_counter()) < until:
            store.search(Query(queries[number % len(queries)]), 10, only)
            took.append(1000 * (time.perf_counter() - began))
            number += clients
        return took

    with ThreadPoolExecutor(clients) as pool:
        every = np.concatenate([np.array(one) for one in pool.map(ask, range(clients))])
    p50, p99 = np.percentile(every, (50, 99))
    return {
        "p50 ms": round(float(p50), 2),
        "p99 ms": round(float(p99), 2),
        "a second": round(len(every) / _SECONDS),
    }


def recall(store: VectorStore, queries: Vectors, exact: list[set[str]]) -> float:
    """The share of the exact ten best that the store finds."""
    shares = []
    for query, wanted in zip(queries, exact, strict=True):
        found = store.search(Query(query), 10)
        shares.append(len(wanted & set(found.ids(range(len(found))))) / len(wanted))
    return round(statistics.mean(shares), 4)


def rate(bundle: Path, index: Path | MilvusAddress, pictures: list[str], log: Path) -> dict[str, float]:
    """Answers of `/recommend` a second, and the memory of the service."""
    with serving(thud(bundle, index), log) as server:
        apply_load(Load(server.port, pictures, 8, 3.0))
        measured = apply_load(Load(server.port, pictures, 8, _SECONDS))
        taken = measured.milliseconds.get("200", [0.0])
        return {
            "a second": round(measured.rate(), 1),
            "p50 ms": round(float(np.percentile(taken, 50)), 1),
            "p99 ms": round(float(np.percentile(taken, 99)), 1),
            "others": sum(count for status, count in measured.in_time.items() if status != "200"),
            "service MB": round(server.resident_mb()),
        }


def listening(port: int) -> Path:
    """The folder in /proc of the process that listens on the port."""
    listed = subprocess.run(["ss", "-ltnp", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"pid=(\d+)", listed)
    assert found, f"nobody of this machine listens on port {port}"
    return Path("/proc", found[1])


def milvus_mb(port: int) -> int:
    """Resident memory of the process that listens on the port."""
    resident = re.search(r"VmRSS:\s+(\d+)", (listening(port) / "status").read_text())
    assert resident
    return int(resident[1]) // 1024


def settled(port: int) -> float:
    """Wait until the process that listens on the port has been idle for a while: a Milvus goes on merging segments
    after a generation is published. Returns the seconds that it took."""
    stat, began, idle = listening(port) / "stat", time.perf_counter(), 0
    while idle < _IDLE_TIMES and time.perf_counter() - began < _LONGEST_UNSETTLED:
        before = _ticks(stat)
        time.sleep(_LOOK_SECONDS)
        busy = (_ticks(stat) - before) / os.sysconf("SC_CLK_TCK") / _LOOK_SECONDS
        idle = idle + 1 if busy < _IDLE_SHARE else 0
    if idle < _IDLE_TIMES:
        raise SystemExit(
            f"Milvus is busy {_LONGEST_UNSETTLED:.0f} s after it was published to: nothing is measured"
        )
    return round(time.perf_counter() - began, 1)


def _ticks(stat: Path) -> int:
    """The CPU time of a process."""
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def engines(
    data: Path, work: Path, address: MilvusAddress, sounds: int, note: Callable[..., None], *, published: bool
) -> None:
    """Everything about the Milvus, each figure given to `note` as it comes; `published`: by an earlier run."""
    bundle = load_bundle(PRETRAINED)
    found = real(data, bundle, work)
    folder = work / f"engines-{sounds}"
    if not published:
        done = publish_both(found, bundle, sounds, folder, address)
        note("published", {name: vars(one) for name, one in done.items()})
    note("seconds until Milvus was idle", settled(address.port))
    spread = np.linspace(0, len(found.pictures) - 1, _PICTURES).astype(np.int64)
    queries = found.pictures[spread]
    spec = current_generation(folder).spec
    material = min(spec.materials, key=lambda name: abs(spec.materials[name] / sounds - _FILTER_SHARE))
    only = SoundFilter(material=(material,))
    note("filter", {"material": material, "share": round(spec.materials[material] / sounds, 3)})
    exact = exact_ids(bundle, folder, queries)
    stores: dict[str, VectorStore] = {
        "files": open_files(folder, bundle, 1, beside=False).store,
        "milvus": MilvusStore.open(address, bundle.id),
    }
    for name, store in stores.items():
        figures: dict[str, Any] = {"recall@10": recall(store, queries, exact)}
        for clients in _CLIENTS:
            figures[f"{clients} clients"] = searches(store, queries, clients, None)
            figures[f"{clients} clients, filter"] = searches(store, queries, clients, only)
        note(f"search: {name}", figures)
        store.close()
    with TemporaryDirectory() as scratch:
        pictures = write_photographs(data / "images", *_SIZE, 16, Path(scratch, "pictures"))
        note("recommend: files", rate(bundle.folder, folder, pictures, work / "log"))
        note("recommend: milvus", rate(bundle.folder, address, pictures, work / "log"))
    note("milvus MB", milvus_mb(address.port))


def indexing(work: Path, cluster: str, count: int, note: Callable[..., None]) -> None:
    """`thud index` of so many sounds, by this machine and by the cluster."""
    library = work / f"to-index-{count}"
    if not library.exists():
        write_sounds(library, count, "wav", 1.0)
        time.sleep(2.5)  # so that states are old enough to stand for contents
    for name, more in (("threads", []), ("cluster", ["--ray", cluster])):
        began = time.perf_counter()
        command = [sys.executable, "-m", "thud", "index", str(library), str(work / f"index-{name}"), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        seconds = time.perf_counter() - began
        identity = current_generation(work / f"index-{name}").spec.id
        note(
            f"indexing: {name}",
            {"seconds": round(seconds, 1), "a second": round(count / seconds, 1), "id": identity},
        )


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--milvus", "address", help="milvus://HOST:PORT/NAME; what is there under NAME is replaced.")
@click.option("--ray", "cluster", help="HOST:PORT of a cluster.")
@click.option("--sounds", default=1_000_000, show_default=True)
@click.option("--published", is_flag=True, help="Measure what an earlier run has published.")
@click.option("--to-index", default=10_000, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Figures are added to those in it.")
def main(
    data: Path,
    work: Path,
    address: str | None,
    cluster: str | None,
    sounds: int,
    published: bool,
    to_index: int,
    json_file: Path | None,
) -> None:
    """Measure what was asked for and print it."""
    work.mkdir(parents=True, exist_ok=True)
    figures = json.loads(json_file.read_text()) if json_file is not None and json_file.exists() else {}
    figures |= {"machine": machine(), "load average": round(os.getloadavg()[0], 1)}

    def note(name: str, value: object) -> None:
        figures[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        if json_file is not None:
            json_file.write_text(json.dumps(figures, indent=2) + "\n")

    print(machine())
    if address is not None:
        at = index_at(address)
        assert isinstance(at, MilvusAddress)
        note("sounds", sounds)
        engines(data, work, at, sounds, note, published=published)
        files, milvus = figures["recommend: files"], figures["recommend: milvus"]
        found = figures["search: milvus"]
        note(
            "wanted and found",
            {
                "recall@10": [RECALL, found["recall@10"]],
                "p99 ms, 8 clients": [P99_MS, found["8 clients"]["p99 ms"]],
                "rate of the one with files": [RATE, round(milvus["a second"] / files["a second"], 2)],
            },
        )
    if cluster is not None:
        indexing(work, cluster, to_index, note)


if __name__ == "__main__":
    main()
