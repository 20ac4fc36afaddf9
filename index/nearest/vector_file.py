"""All vectors of an index in one plain file, and exact search over them.

`vectors.f32` holds little-endian float32 without a header, in three parts:

    [v, c]      of each vector, in the order of their rows, the columns that pictures use
    [v, d - c]  of each vector the other columns; in a bundle whose pictures use all, there are none
    [v]         the hub bias of each vector, in an index with hubness

A picture's embedding is 0 in the other columns, so that its cosines with all vectors need only the first part.
"""

import mmap
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import LibraryError
from model.hubness import SCORE_DECIMALS, Biases

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Content = bytes | memoryview | mmap.mmap
Columns = tuple[int, ...]

BLOCK_ROWS = 16_384
"""Rows that are read at a time: 20 columns of them fit into the cache of a core."""

_UNIT_TOLERANCE = 1e-3


class VectorFile:
    """Vectors `[v, d]` with unit length and, where there are any, their biases `[v]`.

    `columns`: those that pictures use, rising. The arrays may be memory-mapped; nothing here copies all of them.
    """

    def __init__(self, used: Vectors, rest: Vectors, biases: Biases | None, columns: Columns) -> None:
        self._used = used
        self._rest = rest
        self.biases = biases
        self.columns = columns
        size = used.shape[1] + rest.shape[1]
        self._at = np.array(columns)
        self._beside = np.setdiff1d(np.arange(size), self._at)
        # What two ways of summing in float32, and rounding to SCORE_DECIMALS, can make of one score.
        self._slack = np.float32(4e-6 * (1.0 + (float(np.abs(biases).max()) if biases is not None else 0.0)))

    @classmethod
    def of(cls, vectors: Vectors, columns: Columns | None = None, biases: Biases | None = None) -> "VectorFile":
        """Of `vectors [v, d]`; `columns` None: pictures use all of them.

        Raises LibraryError unless there is at least one vector and all are finite and of length 1.
        """
        if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) == 0:
            raise LibraryError(f"an index needs float32 [n, d] vectors, not {vectors.dtype} {vectors.shape}")
        size = vectors.shape[1]
        used = tuple(range(size)) if columns is None else columns
        beside = tuple(column for column in range(size) if column not in set(used))
        found = cls(_columns(vectors, used), _columns(vectors, beside), biases, used)
        bad = found.not_unit()
        if len(bad):
            raise LibraryError(f"{len(bad)} of {len(vectors)} vectors are not of length 1 (first: row {bad[0]})")
        return found

    @classmethod
    def read(cls, content: Content, rows: int, size: int, columns: Columns, *, biased: bool) -> "VectorFile":
        """Of the `content` of a file, which is used in place and must not change.

        Raises LibraryError where it has another size, or vectors that are not finite and of length 1.
        """
        numbers = np.frombuffer(content, np.uint8)
        if len(numbers) != 4 * rows * (size + biased):
            raise LibraryError("the vectors of the index are not as many as index.json says; run thud index again")
        used, rest, biases = np.split(
            numbers.view("<f4").astype(np.float32, copy=False), [rows * len(columns), rows * size]
        )
        found = cls(used.reshape(rows, -1), rest.reshape(rows, -1), biases if biased else None, columns)
        if len(found.not_unit()) or not np.isfinite(biases).all():
            raise LibraryError("the vectors of the index are not what Thud writes; run thud index again")
        return found

    def write(self, path: Path) -> None:
        """Write the file to `path`. Raises OSError if that fails."""
        with path.open("wb") as out:
            for part in (self._used, self._rest):
                for rows in self.blocks():
                    out.write(part[rows].astype("<f4", order="C").tobytes())
            if self.biases is not None:
                out.write(self.biases.astype("<f4").tobytes())

    def __len__(self) -> int:
        return len(self._used)

    @property
    def size(self) -> int:
        """Numbers in a vector, its bias not counted."""
        return len(self._at) + len(self._beside)

    def blocks(self) -> list[slice]:
        """Slices of `BLOCK_ROWS` rows that together are all rows."""
        edges = [*range(0, len(self), BLOCK_ROWS), len(self)]
        return [slice(first, last) for first, last in pairwise(edges)]

    def not_unit(self) -> Rows:
        """The rows whose vectors are not finite or not of length 1."""
        bad = [np.zeros(0, np.int64)]
        for rows in self.blocks():
            with np.errstate(over="ignore", invalid="ignore"):
                squares = sum(np.einsum("rd,rd->r", part[rows], part[rows]) for part in (self._used, self._rest))
                unit = np.abs(np.sqrt(squares) - 1.0) <= _UNIT_TOLERANCE  # false for NaN
            bad.append(np.flatnonzero(~unit) + rows.start)
        return np.concatenate(bad)

    def compared(self, rows: slice | Rows) -> Vectors:
        """What a picture is compared with, `[n, c]`; with biases `[n, c + 1]`, the last minus the bias."""
        used = np.ascontiguousarray(self._used[rows])
        return used if self.biases is None else np.hstack([used, -self.biases[rows, None]])

    def comparing(self, queries: Vectors) -> Vectors:
        """`queries [q, d]` as `[q, c]`, with biases `[q, c + 1]`: their inner product with `compared` is the cosine
        minus the bias, if they are 0 outside the columns."""
        used = np.ascontiguousarray(queries[:, self._at])
        return used if self.biases is None else np.hstack([used, np.ones((len(used), 1), np.float32)])

    def is_of_picture(self, query: Vectors) -> bool:
        """Whether `query [d]` is 0 outside the columns, as the embedding of every picture is."""
        return not query[self._beside].any()

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors `[n, d]` at these rows `[n]`."""
        found = np.empty((len(rows), self.size), np.float32)
        found[:, self._at] = self._used[rows]
        found[:, self._beside] = self._rest[rows]
        return found

    def score(self, query: Vectors, rows: Rows) -> tuple[Vectors, Vectors]:
        """Cosine minus bias, by which the nearest is decided, and the cosine of `query [d]` and each of `rows [n]`.

        Both are rounded to `SCORE_DECIMALS` decimals, about the precision of a float32 inner product, so that
        copies of one sound are equal.
        """
        cosines = np.concatenate(
            [np.zeros(0)] + [self._products(query.astype(np.float64), block) for block in _blocks(rows)]
        )
        nearness = cosines if self.biases is None else cosines - self.biases[rows]
        first, second = (np.round(one, SCORE_DECIMALS).astype(np.float32) for one in (nearness, cosines))
        return first, second

    def nearest(self, query: Vectors, k: int, among: Rows | None = None) -> Rows:
        """The rows that can be the `k` nearest to `query [d]`, by exact search: k, and those that are as near.

        `among`: only these rows, which rise; they are at least `k`.
        """
        found, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        least = np.float32(-np.inf)
        for rows in self.blocks() if among is None else _blocks(among):
            products = self._products(query, rows).astype(np.float32, copy=False)
            if self.biases is not None:
                products -= self.biases[rows]
            near = np.flatnonzero(products >= least - self._slack)
            found = np.concatenate([found, near + rows.start if isinstance(rows, slice) else rows[near]])
            scores = np.concatenate([scores, products[near]])
            if len(scores) >= k:
                least = np.partition(scores, len(scores) - k)[len(scores) - k]
                kept = scores >= least - self._slack
                found, scores = found[kept], scores[kept]
        return found

    def complete(self, nearness: Vectors, least: np.float32, k: int) -> bool:
        """Whether the `k` nearest of all are among those of this `nearness [n]`, as `score` gives it, if no other
        vector has more than `least`, which was computed in float32."""
        return bool(np.partition(nearness, len(nearness) - k)[-k] > least + self._slack)

    def _products(self, query: npt.NDArray[np.floating], rows: slice | Rows) -> npt.NDArray[np.floating]:
        """Inner products of `query [d]` and the vectors at `rows`, in the type of the query."""
        # Not `@`: BLAS would start threads for it, which fight with those of other pictures.
        found: npt.NDArray[np.floating] = np.einsum(
            "rd,d->r", _rows(self._used, rows), query[self._at], dtype=query.dtype
        )
        beside = query[self._beside]
        if beside.any():
            found += np.einsum("rd,d->r", _rows(self._rest, rows), beside, dtype=query.dtype)
        return found


def normalised(vectors: Vectors) -> Vectors:
    """`vectors [n, d]` scaled to length 1."""
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _rows(part: Vectors, rows: slice | Rows) -> Vectors:
    # `take` is two to five times as fast as an index, but would first copy all of a view that is not contiguous.
    if isinstance(rows, slice) or not part.flags.c_contiguous:
        return part[rows]
    return part.take(rows, axis=0)


def _blocks(rows: Rows) -> list[Rows]:
    return [rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS)]


def _columns(vectors: Vectors, columns: Columns) -> Vectors:
    """These columns `[v, c]`: where they follow one another a view, so that of a mapped file nothing is read."""
    if not columns:
        return vectors[:, :0]
    if columns[-1] - columns[0] + 1 == len(columns):
        return vectors[:, columns[0] : columns[-1] + 1]
    return vectors[:, list(columns)]
