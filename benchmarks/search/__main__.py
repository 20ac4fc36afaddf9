"""Recall and speed of search in a large library, beside exact search and other ways.

    python -m benchmarks.search FOLDER WORK [--vectors 1000000] [--side "thud ivf"] [--json FILE]

FOLDER has `manifest.csv` with the columns kind (`sound` or `image`), path and material. Its recordings, embedded,
become the library: each vector is one of them, moved along the difference of two others of its material, and drawn
towards its label as an index does. Its photographs, embedded, are the queries; half of them take the place of the
pictures that a bundle carries, the others measure. Embeddings are kept in the folder WORK.

Queries are searched one at a time on one core. A query's time is the fastest of the rounds, median and p99 are over
the queries. A neighbour counts as found if it is as near as the exact neighbour of rank k. Of a side with an effort
(nprobe, ef), it is doubled until recall is 0.99 or more; the first effort that reaches it is shown, else the last.
`thud ivf` has none: it chose its probes itself.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import faiss
import numpy as np

from benchmarks.machine import machine
from benchmarks.search.library import SEED, kept_by_filter, large_library, real
from benchmarks.search.sides import SIDES, FaissLists, Side, Thud, sides
from index.vectors import Rows, Vectors, choose_kind
from model.bundle import load_bundle
from model.heads import MaterialHeads
from model.threads import available_cpus

WANTED = 0.99
Figures = dict[str, Any]


class Meter:
    """Measures searches of `vectors [v, d]` for `queries [q, d]`, some of whose rows may be left out by a filter."""

    def __init__(self, vectors: Vectors, queries: Vectors, rounds: int, k: int, among: Rows | None = None) -> None:
        self._vectors = vectors
        self._queries = queries
        self._rounds = rounds
        self.k = min(k, len(vectors) if among is None else len(among))
        searched = vectors if among is None else vectors[among]
        best, _ = faiss.knn(queries, searched, self.k, metric=faiss.METRIC_INNER_PRODUCT)
        self._least = best.min(axis=1)

    def figures(self, search: Callable[[Vectors, int], Rows]) -> Figures:
        """Recall, and milliseconds a query."""
        times = np.empty((self._rounds, len(self._queries)))
        found = 0
        for number in range(self._rounds):
            for place, query in enumerate(self._queries):
                began = time.perf_counter()
                rows = search(query, self.k)
                times[number, place] = 1000 * (time.perf_counter() - began)
                if number == 0:
                    cosines = self._vectors[rows[rows >= 0]] @ query
                    found += int((cosines >= self._least[place] - 2e-6).sum())
        fastest = times.min(axis=0)
        return {
            "k": self.k,
            "recall": round(found / (self.k * len(self._queries)), 4),
            "median ms": round(float(np.median(fastest)), 3),
            "p99 ms": round(float(np.percentile(fastest, 99)), 3),
        }

    def at_wanted_recall(self, side: Side) -> Figures:
        """The figures of `side` at the first effort that reaches the recall, with that effort."""
        while True:
            figures = self.figures(side.search)
            if figures["recall"] >= WANTED or side.effort >= side.most_effort:
                return figures | ({"effort": side.effort} if side.effort else {})
            side.effort = min(2 * side.effort, side.most_effort)


def show(name: str, figures: Figures, exact_ms: float | None) -> None:
    """Print one row of the table."""
    ratio = "" if exact_ms is None else f"{exact_ms / figures['median ms']:.1f}"
    effort = figures.get("effort", "")
    print(
        f"{name:<44} {figures['k']:>5} {figures['recall']:>8.4f} {figures['median ms']:>10.3f} "
        f"{figures['p99 ms']:>8.3f} {ratio:>8} {effort:>7}",
        flush=True,
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--bundle", "bundle_folder", type=click.Path(path_type=Path), default=Path("model/pretrained"))
@click.option("--vectors", "count", default=1_000_000, help="Vectors in the library.")
@click.option("--queries", "asked", default=300, help="Pictures that measure.")
@click.option("--rounds", default=3)
@click.option("--k", "ks", multiple=True, type=int, default=(10, 1000))
@click.option("--share", "shares", multiple=True, type=float, default=(0.05, 0.005), help="What filters keep.")
@click.option("--side", "chosen", multiple=True, type=click.Choice(SIDES), default=SIDES)
@click.option("--unlabelled", is_flag=True, help="A library without labels.")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(
    folder: Path,
    work: Path,
    bundle_folder: Path,
    count: int,
    asked: int,
    rounds: int,
    ks: tuple[int, ...],
    shares: tuple[float, ...],
    chosen: tuple[str, ...],
    unlabelled: bool,
    out: Path | None,
) -> None:
    """Print the tables."""
    bundle = load_bundle(bundle_folder)
    found = real(folder, bundle, work)
    heads = None if unlabelled else MaterialHeads.load(bundle)
    vectors, materials = large_library(found, count, heads, bundle.spec.label_strength)
    pictures = found.pictures[np.random.default_rng(SEED).permutation(len(found.pictures))]
    carried, queries = (np.ascontiguousarray(part) for part in (pictures[::2][:500], pictures[1::2][:asked]))
    threads = available_cpus()
    columns = bundle.spec.picture_columns
    print(
        f"{machine()}; FAISS {faiss.__version__}; {count:,} vectors of {vectors.shape[1]} numbers, "
        f"{'all' if columns is None else len(columns)} of them used by pictures, "
        f"{'un' if heads is None else ''}labelled; {len(queries)} pictures, {rounds} rounds; seed {SEED}; "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    faiss.omp_set_num_threads(threads)
    unfiltered = [Meter(vectors, queries, rounds, k) for k in ks]
    filtered = []
    for share in shares:
        for of_one in (True, False):
            rows = kept_by_filter(materials, share, of_one_material=of_one)
            name = f"filter {100 * share:g} %, {'one material' if of_one else 'at random'}"
            filtered.append((name, rows, Meter(vectors, queries, rounds, ks[0], rows)))
    results: dict[str, Any] = {"machine": machine(), "vectors": count, "ships": f"thud {choose_kind(count)}"}
    print(f"{'':<44} {'k':>5} {'recall':>8} {'median ms':>10} {'p99 ms':>8} {'x exact':>8} {'effort':>7}")
    exact_ms: dict[int, float] = {}
    known = sides(vectors, columns, carried, threads)
    for name in chosen:
        if name not in known:
            print(f"{name}: its package is not installed")
            continue
        faiss.omp_set_num_threads(threads)
        began = time.perf_counter()
        side = known[name]()
        built = {"seconds": round(time.perf_counter() - began, 1), "bytes": side.bytes}
        faiss.omp_set_num_threads(1)
        results[name] = built | {"rows": {}}
        print(f"{name}: built in {built['seconds']} s on {threads} threads, {side.bytes / 1e6:,.0f} MB")
        if isinstance(side, Thud):
            results[name]["record"] = side.index.record.model_dump(exclude={"columns"})
            print(f"  {results[name]['record']}")
        for meter in unfiltered:
            figures = meter.at_wanted_recall(side)
            if name == "exact":
                exact_ms[meter.k] = figures["median ms"]
            show(name, figures, exact_ms.get(meter.k))
            results[name]["rows"][f"k {meter.k}"] = figures
        if not isinstance(side, Thud | FaissLists):
            continue
        if isinstance(side, FaissLists):
            side.effort = min(64, side.most_effort)
        for filter_name, rows, meter in filtered:

            def search(query: Vectors, k: int, side: Thud | FaissLists = side, rows: Rows = rows) -> Rows:
                return side.search(query, k, rows)

            figures = meter.figures(search) | ({"effort": side.effort} if side.effort else {})
            show(f"{name}, {filter_name}", figures, exact_ms.get(meter.k))
            results[name]["rows"][filter_name] = figures
        if isinstance(side, Thud):
            sounds = Meter(vectors, np.ascontiguousarray(found.sounds[:20]), rounds, ks[0])
            figures = sounds.figures(side.search)
            show(f"{name}, a sound's embedding", figures, exact_ms.get(sounds.k))
            results[name]["rows"]["sound"] = figures
    if out is not None:
        out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
