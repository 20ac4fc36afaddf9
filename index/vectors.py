"""The vectors of an index: choosing, building, measuring, storing and searching a FAISS index."""

import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from model.bundle import Hubness
from model.errors import LibraryError
from model.hubness import SCORE_DECIMALS, Biases, hub_biases, occurrences, skewness

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

IndexKind = Literal["flat", "ivf"]
"""`flat`: exact search, each vector is compared. `ivf`: only those of the nearest lists (FAISS IndexIVFFlat)."""

FLAT_HEADER_BYTES = 45
"""Bytes before the numbers in the file of a flat index. If the numbers begin at a cache line, searching 50,000
vectors takes 0.7 ms, else 0.9."""

# Measured by benchmarks/index_recall.py on one core. Exact search over 50,000 vectors takes about 1 ms, a tenth of
# embedding the picture; over 100,000 an inverted file (IVF) answers several times as many queries. IVF is preferred
# to a graph (HNSW): for queries like pictures it has the higher recall at the same speed, it is a third smaller,
# and its file does not depend on the number of threads that build it.
FLAT_UP_TO = 50_000
# The number of lists that are searched is doubled until the recall is reached; it depends on the sounds.
_WANTED_RECALL = 0.99
_FEWEST_PROBES = 16
_RECALL_QUERIES = 1000
_NOISE_LENGTH = np.float32(2.0)
_UNIT_TOLERANCE = 1e-3
_AT_ONCE = 4096


def choose_kind(sounds: int) -> IndexKind:
    """The kind of index for a library of this many sounds."""
    return "flat" if sounds <= FLAT_UP_TO else "ivf"


class VectorIndex:
    """A cosine index over L2-normalised float32 vectors `[n, d]`; a vector's row is its row in that array.

    Where the vectors have biases `[n]`, the nearest is decided by the cosine minus the bias. Such a vector v is
    stored as [v, -bias] and a query u becomes [u, 1], so that their inner product is cosine minus bias.

    Searches are safe from several threads; `threads` is the OpenMP thread count of each.
    """

    def __init__(self, index: faiss.Index, threads: int = 1, *, biased: bool = False) -> None:
        self._index = index
        self._threads = threads
        self._biased = biased
        self._content: npt.NDArray[np.uint8] | None = None  # kept as long as FAISS looks into it
        if isinstance(index, faiss.IndexIVF):
            index.make_direct_map()  # from a row to its place in the lists, for `vectors`

    @classmethod
    def build(
        cls, vectors: Vectors, kind: IndexKind | None = None, threads: int = 1, biases: Biases | None = None
    ) -> "VectorIndex":
        """Index `vectors [n, d]` with their `biases [n]`, by default as the kind that `choose_kind` gives.

        The same vectors give the same index for any number of `threads`. Raises LibraryError unless there is at
        least one vector and all are finite and of length 1.
        """
        _check(vectors)
        _set_threads(threads)
        biased = biases is not None
        stored = vectors if biases is None else np.hstack([vectors, -biases[:, None]])
        sounds, size = stored.shape
        if (kind or choose_kind(sounds)) == "flat":
            flat = faiss.IndexFlatIP(size)
            flat.add(stored)
            return cls(flat, threads, biased=biased)
        # FAISS's own guidance for up to a million vectors is 4 to 16 times the square root of their number.
        lists = min(sounds, int(4 * math.sqrt(sounds)))
        ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, lists, faiss.METRIC_INNER_PRODUCT)
        ivf.train(stored)
        ivf.add(stored)
        ivf.nprobe = min(_FEWEST_PROBES, lists)
        built = cls(ivf, threads, biased=biased)
        while ivf.nprobe < lists and built.recall(vectors, biases) < _WANTED_RECALL:
            ivf.nprobe = min(2 * ivf.nprobe, lists)
        return built

    @classmethod
    def load(
        cls, content: bytes | memoryview | mmap.mmap, threads: int = 1, *, biased: bool = False
    ) -> "VectorIndex":
        """The index that was saved with this content, which is used in place and must not change.

        `biased` says whether it was built with biases. Raises LibraryError if FAISS cannot read it, and for an
        index of another kind or metric, or with vectors that are not finite and of length 1.
        """
        stored = np.frombuffer(content, np.uint8)
        try:
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(stored), stored.size)  # type: ignore[attr-defined]  # not in faiss's stubs
            loaded = cls(faiss.read_index(reader), threads, biased=biased)
            usable = loaded._is_ours()
        except (RuntimeError, MemoryError) as error:
            raise LibraryError("FAISS cannot read the vectors of the index; run thud index again") from error
        if not usable:
            raise LibraryError("the vectors of the index are not what Thud writes; run thud index again")
        loaded._content = stored
        return loaded

    def save(self, path: Path) -> None:
        """Write the index to `path`. Raises LibraryError if the disk is full."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise LibraryError(f"FAISS cannot write {path}") from error

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def size(self) -> int:
        """Numbers in a vector, its bias not counted."""
        return int(self._index.d) - self._biased

    @property
    def kind(self) -> IndexKind:
        """The kind of this index."""
        return "ivf" if isinstance(self._index, faiss.IndexIVF) else "flat"

    def search(self, query: Vectors, k: int) -> tuple[Vectors, Rows]:
        """The `min(k, n)` rows nearest to `query [d]` with their cosine similarities, best first.

        The best has the largest cosine minus bias. Similarities are the cosines alone, so that with biases they
        need not fall. Both are rounded to 6 decimals, about the precision of a float32 inner product, so that
        copies of one sound are equal; equal ones come in the order of their rows. Raises ValueError unless `query`
        has the index's size and is finite.
        """
        if query.shape != (self.size,) or not np.isfinite(query).all():
            raise ValueError(f"a query is {self.size} finite numbers, not {query.shape}")
        wanted = min(k, len(self))
        # FAISS breaks ties at rank k in any order. Fetch more, until all that are equal to rank k are there.
        fetched = min(wanted + 16, len(self))
        while True:
            scores, rows = self._nearest(query[None], fetched)
            order = np.lexsort((rows[0], -scores[0]))
            if fetched == len(self) or scores[0, order[wanted - 1]] > scores[0, order[-1]]:
                best = rows[0, order[:wanted]]
                return self.score(query, best)[1] if self._biased else scores[0, order[:wanted]], best
            fetched = min(2 * fetched, len(self))

    def score(self, query: Vectors, rows: Rows) -> tuple[Vectors, Vectors]:
        """Cosine minus bias, by which the nearest is decided, and the cosine of `query [d]` and each of `rows [n]`.

        Both are exact in an index of any kind, and rounded as in `search`.
        """
        _set_threads(self._threads)
        nearness, cosines = np.empty(len(rows)), np.empty(len(rows))
        wide = query.astype(np.float64)
        for start in range(0, len(rows), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            stored = self._index.reconstruct_batch(np.ascontiguousarray(rows[block], np.int64)).astype(np.float64)
            # Not `@`: BLAS would start threads for it, which fight with those of other pictures.
            cosines[block] = np.einsum("rd,d->r", stored[:, : self.size], wide)
            nearness[block] = cosines[block] + stored[:, self.size] if self._biased else cosines[block]
        first, second = (np.round(one, SCORE_DECIMALS).astype(np.float32) for one in (nearness, cosines))
        return first, second

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors `[k, d]` at these rows `[k]`, every one of which must exist, without their biases."""
        _set_threads(self._threads)
        stored = self._index.reconstruct_batch(np.ascontiguousarray(rows, np.int64))
        return np.ascontiguousarray(stored[:, : self.size])

    def recall(self, vectors: Vectors, biases: Biases | None = None, k: int = 10) -> float:
        """Measured recall@k against exact search over the `vectors [n, d]` and `biases [n]` it was built from.

        The queries imitate pictures, whose embeddings are distributed otherwise than those of sounds: up to 1000 of
        the vectors, evenly spaced, each with a random vector of length 2 added (cosine to the sound about 0.45). A
        neighbour counts as found if it is as near as the exact neighbour of rank k.
        """
        k = min(k, len(vectors))
        picked = vectors[np.linspace(0, len(vectors) - 1, min(_RECALL_QUERIES, len(vectors))).astype(np.int64)]
        noise = normalised(np.random.default_rng(0).standard_normal(picked.shape, np.float32))
        found = 0
        for queries in np.array_split(normalised(picked + _NOISE_LENGTH * noise), math.ceil(len(picked) / 50)):
            exact = queries @ vectors.T
            if biases is not None:
                exact -= biases
            least = np.partition(exact, -k, axis=1)[:, -k, None]
            _, rows = self._nearest(queries, k)
            found += int(np.sum(np.take_along_axis(exact, rows, axis=1) >= least - 1e-6))
        return found / (len(picked) * k)

    def _is_ours(self) -> bool:
        """Whether it is an index as `build` makes it, whose inner products are cosines."""
        ours = isinstance(self._index, faiss.IndexFlat | faiss.IndexIVFFlat)
        if not ours or self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            return False
        for start in range(0, len(self), _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, len(self)))
            stored = self._index.reconstruct_batch(rows)
            lengths = np.linalg.norm(stored[:, : self.size], axis=1)
            if not (np.isfinite(stored).all() and (np.abs(lengths - 1.0) <= _UNIT_TOLERANCE).all()):
                return False
        return True

    def _nearest(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Scores and rows `[queries, k]` as FAISS finds them, always k of them; k is at most n."""
        _set_threads(self._threads)
        queries = np.ascontiguousarray(queries, np.float32)
        if self._biased:
            queries = np.hstack([queries, np.ones((len(queries), 1), np.float32)])
        scores, rows = self._index.search(queries, k)
        # An inverted file finds fewer than k if the nearest lists together hold fewer; then all lists are searched.
        if isinstance(self._index, faiss.IndexIVF) and (rows < 0).any():
            everything = faiss.SearchParametersIVF()
            everything.nprobe = self._index.nlist
            scores, rows = self._index.search(queries, k, params=everything)
        return np.round(scores, SCORE_DECIMALS), rows


def normalised(vectors: Vectors) -> Vectors:
    """`vectors [n, d]` scaled to length 1."""
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def is_unit(vector: Vectors) -> bool:
    """Whether a vector `[d]` is finite and of length 1."""
    return bool(abs(float(np.linalg.norm(vector)) - 1.0) <= _UNIT_TOLERANCE)  # false for NaN


def _check(vectors: Vectors) -> None:
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) == 0:
        raise LibraryError(f"an index needs float32 [n, d] vectors, not {vectors.dtype} {vectors.shape}")
    bad = [row for row in range(len(vectors)) if not is_unit(vectors[row])]
    if bad:
        raise LibraryError(f"{len(bad)} of {len(vectors)} vectors are not of length 1 (first: row {bad[0]})")


def _set_threads(threads: int) -> None:
    """Set before each search: OpenMP keeps the number for each calling thread apart."""
    faiss.omp_set_num_threads(threads)


class HubnessRecord(BaseModel):
    """What index.json records about the biases that are part of its vectors.

    `strength` and `neighbours` were the bundle's, `pictures` is the size of its bank. `skew_before` and
    `skew_after` are the skewness, without and with the biases, of how often each sound is among the first 10 for
    the pictures of the bank; for other pictures the gain is smaller.
    """

    model_config = ConfigDict(frozen=True)

    strength: float
    neighbours: int
    pictures: int
    skew_before: float
    skew_after: float


@dataclass(frozen=True, eq=False)
class Hubs:
    """The `biases` float32 `[n]` of the sounds in the order of their rows, and their record for index.json."""

    biases: Biases
    record: HubnessRecord


def find_hubs(vectors: Vectors, bank: Vectors, hubness: Hubness) -> Hubs:
    """The biases of `vectors [n, d]` against the pictures of `bank [N, d]`, as `hub_biases` computes them."""
    biases = hub_biases(vectors, bank, hubness)
    record = HubnessRecord(
        strength=hubness.strength,
        neighbours=hubness.neighbours,
        pictures=len(bank),
        skew_before=round(skewness(occurrences(bank, vectors)), 4),
        skew_after=round(skewness(occurrences(bank, vectors, biases)), 4),
    )
    return Hubs(biases, record)
