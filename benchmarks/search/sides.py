"""The ways of searching that are compared: each builds, says its size and finds the rows nearest to one query."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index.nearest.vectors import IndexKind, Rows, VectorIndex, Vectors
from index.private import private_content
from model.files import file_record


class Side(ABC):
    """One way of searching.

    `effort`, where it is not 0, is what recall rises with, up to `most_effort`; `bytes` is the index's size;
    `takes_rows` says whether it can search among given rows; `about` is said beside its name.
    """

    effort = 0
    most_effort = 0
    bytes = 0
    takes_rows = False
    about = ""

    @abstractmethod
    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """The rows of the `k` nearest to `query [d]` as far as it finds them, -1 for others.

        `among`: rising rows, which alone are searched; None for all.
        """


class Exact(Side):
    """FAISS's exact search over all columns, to which the others are compared."""

    def __init__(self, vectors: Vectors) -> None:
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self.bytes = vectors.nbytes

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        return np.asarray(self._index.search(query[None], k)[1][0])


class Thud(Side):
    """The index that Thud makes, read from its files as the service reads them."""

    takes_rows = True

    def __init__(
        self,
        vectors: Vectors,
        kind: IndexKind,
        columns: tuple[int, ...] | None,
        queries: Vectors | None,
        threads: int,
    ) -> None:
        built = VectorIndex.build(vectors, kind, threads, columns=columns, queries=queries)
        with tempfile.TemporaryDirectory() as name:
            files = {one: Path(name, one) for one in built.save(Path(name))}
            contents = {one: private_content(path, file_record(path)) for one, path in files.items()}
            self.bytes = sum(path.stat().st_size for path in files.values())
        self._index = VectorIndex.load(contents, built.record, built.size)
        record = built.record
        self.about = (
            f"; for k = 10 and {record.most} it searches {record.probes} and {record.probes_at_most} lists, recall "
            f"of the pictures it was built with {record.recall_at_10} and {record.recall_at_most}"
        )

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        return self._index.search(query, k, among)[1]


class FaissLists(Side):
    """FAISS IndexIVFFlat over all columns; effort is nprobe."""

    takes_rows = True

    def __init__(self, vectors: Vectors) -> None:
        lists = max(1, min(len(vectors) // 39, int(4 * np.sqrt(len(vectors)))))
        size = vectors.shape[1]
        self._index = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, lists, faiss.METRIC_INNER_PRODUCT)
        self._index.train(vectors)
        self._index.add(vectors)
        self.effort, self.most_effort = min(8, lists), lists
        self.bytes = faiss.serialize_index(self._index).nbytes

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        options: Any = {"nprobe": self.effort}
        if among is not None:
            kept = np.zeros(self._index.ntotal, np.bool_)
            kept[among] = True
            selector: Any = faiss.IDSelectorBitmap
            options["sel"] = selector(np.packbits(kept, bitorder="little"))
        make: Any = faiss.SearchParametersIVF
        return np.asarray(self._index.search(query[None], k, params=make(**options))[1][0])


@dataclass(frozen=True)
class Graph:
    """How the graphs are built: `links` of each vector (M), and the `effort` of building (efConstruction)."""

    links: int = 32
    effort: int = 100


class FaissGraph(Side):
    """FAISS IndexHNSWFlat over all columns; effort is efSearch."""

    def __init__(self, vectors: Vectors, graph: Graph) -> None:
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], graph.links, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = graph.effort
        self._index.add(vectors)
        self.effort, self.most_effort = 32, 4096
        self.bytes = faiss.serialize_index(self._index).nbytes

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        self._index.hnsw.efSearch = max(self.effort, k)
        return np.asarray(self._index.search(query[None], k)[1][0])


class Hnswlib(Side):
    """hnswlib (pip install hnswlib); effort is ef."""

    def __init__(self, vectors: Vectors, graph: Graph, threads: int) -> None:
        self._index = import_module("hnswlib").Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(len(vectors), M=graph.links, ef_construction=graph.effort)
        self._index.add_items(vectors, num_threads=threads)
        self._index.set_num_threads(1)
        self.effort, self.most_effort = 32, 4096
        self.bytes = self._index.index_file_size()

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        self._index.set_ef(max(self.effort, k))
        return np.asarray(self._index.knn_query(query[None], k)[0][0], np.int64)


class Usearch(Side):
    """USearch (pip install usearch); effort is expansion_search."""

    def __init__(self, vectors: Vectors, graph: Graph, threads: int) -> None:
        made = import_module("usearch.index").Index
        size = vectors.shape[1]
        self._index = made(
            ndim=size, metric="ip", dtype="f32", connectivity=graph.links, expansion_add=graph.effort
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=threads)
        self.effort, self.most_effort = 32, 4096
        self.bytes = self._index.memory_usage

    def search(self, query: Vectors, k: int, among: Rows | None) -> Rows:
        """As `Side.search`."""
        self._index.expansion_search = max(self.effort, k)
        return np.asarray(self._index.search(query, k, threads=1).keys, np.int64)


def sides(
    vectors: Vectors, columns: tuple[int, ...] | None, queries: Vectors | None, graph: Graph, threads: int
) -> dict[str, Callable[[], Side]]:
    """By their names what builds each side over `vectors [v, d]`; those whose package is missing are left out."""
    found: dict[str, Callable[[], Side]] = {
        "exact": lambda: Exact(vectors),
        "thud flat": lambda: Thud(vectors, "flat", columns, queries, threads),
        "thud ivf": lambda: Thud(vectors, "ivf", columns, queries, threads),
        "faiss ivf": lambda: FaissLists(vectors),
        "faiss hnsw": lambda: FaissGraph(vectors, graph),
    }
    if find_spec("hnswlib"):
        found["hnswlib"] = lambda: Hnswlib(vectors, graph, threads)
    if find_spec("usearch"):
        found["usearch"] = lambda: Usearch(vectors, graph, threads)
    return found


SIDES = ("exact", "thud flat", "thud ivf", "faiss ivf", "faiss hnsw", "hnswlib", "usearch")
