"""Recall, speed and size of the kinds of FAISS index at 10,000 to 100,000 vectors: why `index.vectors` chooses.

    python -m benchmarks.index_recall

The vectors are drawn around 600 objects of 17 materials, as sounds are. There are two sets of queries: more of the
same (`like sounds`), and points near the materials' centres, all moved by one offset, because the embeddings of
pictures lie apart from those of sounds (`like pictures`). Queries are searched one at a time on one thread, as the
service does.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tqdm import tqdm

from benchmarks.machine import machine
from index.vectors import IndexKind, VectorIndex, Vectors, normalised

SIZE = 128
SEED = 0
K = 10
SIZES = (10_000, 50_000, 100_000)
QUERIES = 1000


def around(centres: Vectors, count: int, spread: float, rng: np.random.Generator) -> Vectors:
    """`count` unit vectors around centres drawn at random; `spread` is the length of the noise."""
    noise = rng.standard_normal((count, SIZE), np.float32) * np.float32(spread / np.sqrt(SIZE))
    return normalised(centres[rng.integers(len(centres), size=count)] + noise)


def candidates(vectors: Vectors) -> Iterator[tuple[str, faiss.Index, float]]:
    """Name, index and seconds of building, for each kind and setting to compare."""
    flat, seconds = built(vectors, "flat")
    yield "flat", flat, seconds
    ivf, seconds = built(vectors, "ivf")
    yield f"ivf, nprobe {ivf.nprobe} (chosen)", ivf, seconds
    for probes in (16, 64):
        ivf.nprobe = probes
        yield f"ivf, nprobe {probes}", ivf, seconds
    began = time.perf_counter()
    graph = faiss.IndexHNSWFlat(SIZE, 32, faiss.METRIC_INNER_PRODUCT)
    graph.add(vectors)
    seconds = time.perf_counter() - began
    for breadth in (64, 256):
        graph.hnsw.efSearch = breadth
        yield f"hnsw32, efSearch {breadth}", graph, seconds


def built(vectors: Vectors, kind: IndexKind) -> tuple[Any, float]:
    """The FAISS index that Thud makes of the vectors, and the seconds of building it."""
    began = time.perf_counter()
    index = VectorIndex.build(vectors, kind)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder, "index"))
        return faiss.read_index(f"{folder}/index"), seconds


def recall(index: faiss.Index, queries: Vectors, vectors: Vectors) -> float:
    """Recall@10 against exact search."""
    exact = queries @ vectors.T
    least = np.partition(exact, -K, axis=1)[:, -K, None]
    _, rows = index.search(queries, K)
    found = np.where(rows >= 0, np.take_along_axis(exact, np.maximum(rows, 0), axis=1), -1.0)
    return float(np.mean(found >= least - 1e-6))


def rate(index: faiss.Index, queries: Vectors) -> float:
    """Queries per second, one at a time: the best of three rounds."""
    rounds = []
    for _ in range(3):
        began = time.perf_counter()
        for query in queries:
            index.search(query[None], K)
        rounds.append(len(queries) / (time.perf_counter() - began))
    return max(rounds)


def size(index: faiss.Index) -> int:
    """Bytes of the saved index."""
    with tempfile.TemporaryDirectory() as folder:
        faiss.write_index(index, f"{folder}/index")
        return Path(folder, "index").stat().st_size


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(SEED)
    materials = normalised(rng.standard_normal((17, SIZE), np.float32))
    objects = around(materials, 600, 0.6, rng)
    offset = normalised(rng.standard_normal((1, SIZE), np.float32))
    faiss.omp_set_num_threads(1)
    print(f"{machine()}; FAISS {faiss.__version__}, {SIZE} dimensions, k = {K}, seed {SEED}, 1 thread")
    print(f"{'':32} {'recall@10':>22}")
    columns = f"{'vectors':>8} {'index':<26} {'sounds':>10} {'pictures':>9} {'queries/s':>10}"
    print(f"{columns} {'bytes':>12} {'build s':>8}")
    for count in tqdm(SIZES, desc="sizes", leave=False):
        vectors = around(objects, count, 0.8, rng)
        like_sounds = around(objects, QUERIES, 0.8, rng)
        like_pictures = normalised(around(materials, QUERIES, 0.8, rng) + offset)
        for name, index, seconds in candidates(vectors):
            tqdm.write(
                f"{count:>8,} {name:<26} {recall(index, like_sounds, vectors):>10.4f} "
                f"{recall(index, like_pictures, vectors):>9.4f} {rate(index, like_sounds[:200]):>10,.0f} "
                f"{size(index):>12,} {seconds:>8.1f}"
            )


if __name__ == "__main__":
    main()
