"""Recall and speed of search in a large library, beside exact search and other ways.

    python -m benchmarks.search FOLDER WORK [--vectors 1000000] [--side "thud ivf"] [--json FILE]

FOLDER has `manifest.csv` with the columns kind (`sound` or `image`), path and material. Its recordings,
embedded, become the library: each vector is one of them, moved along the difference of two others of its
material, and drawn towards its label as an index does. Its photographs, embedded, are the queries; Thud's index
is built with those that the bundle carries. Embeddings are kept in the folder WORK.

Queries are searched one at a time on one core. A query's time is the fastest of the rounds, median and p99 are
over the queries. `cpu ms` is the median of the thread's CPU time, which other work on a shared machine changes
less. A neighbour counts as found if it is as near as the exact neighbour of rank k. Of a side with an effort
(nprobe, ef), it is doubled until recall is 0.99 or more; the first effort that reaches it is shown, else the
last. `thud ivf` has none: it chose its probes itself. Filters are measured of the sides that can search among
given rows. hnswlib and usearch are compared where they are installed (pip install hnswlib usearch).
"""

import json
import os
import time
from itertools import product
from pathlib import Path
from typing import Any

import click
import faiss
import numpy as np

from benchmarks.machine import machine
from benchmarks.search.library import SEED, kept_by_filter, large_library, real
from benchmarks.search.sides import SIDES, Graph, Side, sides
from index.nearest.vectors import Rows, Vectors, choose_kind
from model.bundle import load_bundle
from model.heads import MaterialHeads
from model.queries import load_queries
from model.threads import available_cpus

_WANTED = 0.99
_TOLERANCE = 2e-6  # by which two float32 sums of the same numbers can differ
Figures = dict[str, Any]


class Case:
    """What is asked for: for each of `queries [q, d]` the `k` nearest of `vectors [v, d]`, or of some rows."""

    def __init__(self, name: str, vectors: Vectors, queries: Vectors, k: int, among: Rows | None = None) -> None:
        searched = vectors if among is None else vectors[among]
        self.name = name
        self.k = min(k, len(searched))
        self.among = among
        self._vectors = vectors
        self._queries = queries
        best, _ = faiss.knn(queries, searched, self.k, metric=faiss.METRIC_INNER_PRODUCT)
        self._least = best.min(axis=1)

    def measure(self, side: Side, rounds: int) -> Figures:
        """Recall, and milliseconds a query."""
        times, cpu = np.empty((2, rounds, len(self._queries)))
        found = 0
        for number in range(rounds):
            for place, query in enumerate(self._queries):
                began, worked = time.perf_counter(), time.thread_time()
                rows = side.search(query, self.k, self.among)
                times[number, place] = 1000 * (time.perf_counter() - began)
                cpu[number, place] = 1000 * (time.thread_time() - worked)
                if number == 0:
                    cosines = self._vectors[rows[rows >= 0]] @ query
                    found += int((cosines >= self._least[place] - _TOLERANCE).sum())
        fastest = times.min(axis=0)
        figures: Figures = {
            "k": self.k,
            "recall": round(found / (self.k * len(self._queries)), 4),
            "median ms": round(float(np.median(fastest)), 3),
            "p99 ms": round(float(np.percentile(fastest, 99)), 3),
            "cpu ms": round(float(np.median(cpu.min(axis=0))), 3),
        }
        return figures | ({"effort": side.effort} if side.effort else {})

    def at_wanted_recall(self, side: Side, rounds: int) -> Figures:
        """The figures of `side` at the first effort that reaches the recall."""
        while True:
            figures = self.measure(side, rounds)
            if figures["recall"] >= _WANTED or side.effort >= side.most_effort:
                return figures
            side.effort = min(2 * side.effort, side.most_effort)


def measure_side(side: Side, cases: list[Case], rounds: int) -> dict[str, Figures]:
    """The figures of `side` in all cases that it knows, which are printed as they come."""
    rows = {}
    for case in cases:
        if case.among is None:
            rows[case.name] = case.at_wanted_recall(side, rounds)
        elif side.takes_rows:
            if side.effort:  # that of the search without a filter, not raised for one
                side.effort = rows[cases[0].name]["effort"]
            rows[case.name] = case.measure(side, rounds)
        else:
            continue
        shown = rows[case.name]
        print(
            f"  {case.name:<32} {shown['k']:>5} {shown['recall']:>8.4f} {shown['median ms']:>10.3f} "
            f"{shown['p99 ms']:>8.3f} {shown['cpu ms']:>8.3f} {shown.get('effort', ''):>7}",
            flush=True,
        )
    return rows


def print_ratios(results: dict[str, Any], exact: dict[str, Figures]) -> None:
    """How many times as fast as exact search over all columns each side is."""
    for by in ("median ms", "cpu ms"):
        print(f"times as fast as exact search over all columns, by {by}:")
        for name, result in results.items():
            rows = [(case, exact[case][by] / row[by]) for case, row in result["rows"].items() if case in exact]
            print(f"  {name:<12}" + "".join(f"  {case} {ratio:.1f}" for case, ratio in rows))


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
@click.option("--links", default=Graph.links, show_default=True, help="Of a vector in a graph (HNSW's M).")
@click.option("--construction", default=Graph.effort, show_default=True, help="HNSW's efConstruction.")
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
    links: int,
    construction: int,
    unlabelled: bool,
    out: Path | None,
) -> None:
    """Print the tables."""
    bundle = load_bundle(bundle_folder)
    found = real(folder, bundle, work)
    heads = None if unlabelled else MaterialHeads.load(bundle)
    vectors, materials = large_library(found, count, heads, bundle.spec.label_strength)
    queries = found.pictures[np.random.default_rng(SEED).permutation(len(found.pictures))[:asked]]
    threads, columns = available_cpus(), bundle.spec.picture_columns
    print(
        f"{machine()}; FAISS {faiss.__version__}; {count:,} vectors of {vectors.shape[1]} numbers, "
        f"{'all' if columns is None else len(columns)} of them used by pictures, "
        f"{'un' if heads is None else ''}labelled; {len(queries)} pictures, {rounds} rounds; seed {SEED}; "
        f"load average {os.getloadavg()[0]:.1f}; Thud chooses {choose_kind(count)}"
    )
    faiss.omp_set_num_threads(threads)
    cases = [Case(f"k {k}", vectors, queries, k) for k in ks]
    cases.append(Case("a sound's embedding", vectors, np.ascontiguousarray(found.sounds[:20]), ks[0]))
    for share, of_one in product(shares, (True, False)):
        rows = kept_by_filter(materials, share, of_one_material=of_one)
        name = f"filter {100 * share:g} %, {'one material' if of_one else 'at random'}"
        cases.append(Case(name, vectors, queries, ks[0], rows))
    print(f"  {'':<32} {'k':>5} {'recall':>8} {'median ms':>10} {'p99 ms':>8} {'cpu ms':>8} {'effort':>7}")
    results: dict[str, Any] = {}
    known = sides(vectors, columns, load_queries(bundle), Graph(links, construction), threads)
    for name in chosen:
        if name not in known:
            print(f"{name}: its package is not installed")
            continue
        faiss.omp_set_num_threads(threads)
        began = time.perf_counter()
        side = known[name]()
        seconds = round(time.perf_counter() - began, 1)
        faiss.omp_set_num_threads(1)
        print(f"{name}: built in {seconds} s on {threads} threads, {side.bytes / 1e6:,.0f} MB{side.about}")
        results[name] = {"build s": seconds, "bytes": side.bytes, "rows": measure_side(side, cases, rounds)}
        if out is not None:  # after each side, so that a run that is cut short leaves what it has
            facts = {
                "machine": machine(),
                "load average": round(os.getloadavg()[0], 1),
                "vectors": count,
                "labelled": heads is not None,
                "queries": len(queries),
                "rounds": rounds,
                "links": links,
                "construction": construction,
                "sides": results,
            }
            out.write_text(json.dumps(facts, indent=2) + "\n")
    if "exact" in results:
        print_ratios(results, results["exact"]["rows"])


if __name__ == "__main__":
    main()
