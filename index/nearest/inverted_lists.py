"""Inverted lists: the vectors of a large index, each in the list of its nearest centroid (FAISS IndexIVFFlat).

A search looks into the lists whose centroids have the largest inner product with the query. They are made by
k-means with Euclidean distances: at the same recall half as many lists must be searched as with FAISS's spherical
k-means, because what is compared is not of unit length.
"""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from index.nearest.vector_file import Content, Rows, VectorFile, Vectors
from index.private import put_aside
from model.errors import LibraryError

_ROUNDS = 10
_SAMPLE_PER_LIST = 64


class InvertedLists:
    """The lists of the `compared` vectors of a `VectorFile`. Searches are safe from several threads.

    `threads` is the OpenMP thread count of each.
    """

    def __init__(self, index: faiss.IndexIVFFlat, list_of: npt.NDArray[np.int32], threads: int) -> None:
        self._index = index
        self._threads = threads
        self._list_of = list_of  # [v], by which a search among some rows finds their lists
        self._content: npt.NDArray[np.uint8] | None = None  # kept as long as FAISS looks into it

    @classmethod
    def build(cls, file: VectorFile, centroids: Vectors | None, threads: int) -> "InvertedLists":
        """Put the vectors of `file` into lists, around `centroids [lists, c]` if there are some to be reused.

        The result is the same for any number of threads.
        """
        faiss.omp_set_num_threads(threads)
        if centroids is None:
            centroids = _centroids(file)
        count, size = centroids.shape
        quantizer = faiss.IndexFlatIP(size)
        quantizer.add(centroids)
        index = faiss.IndexIVFFlat(quantizer, size, count, faiss.METRIC_INNER_PRODUCT)
        nearest = faiss.IndexFlatL2(size)
        nearest.add(centroids)
        list_of = np.empty(len(file), np.int32)
        for rows in file.blocks():
            vectors, ids = file.compared(rows), np.arange(rows.start, rows.stop)
            _, assigned = nearest.search(vectors, 1)
            index.add_core(len(ids), *map(faiss.swig_ptr, (vectors, ids, assigned)))
            list_of[rows] = assigned[:, 0]
        return cls(index, list_of, threads)

    @classmethod
    def read(cls, content: Content, file: VectorFile, threads: int) -> "InvertedLists":
        """The lists that were written with this content, which is used in place and must not change.

        Raises LibraryError if FAISS cannot read it, and unless each vector of `file` lies in one list, as it is.
        """
        stored = np.frombuffer(content, np.uint8)
        try:
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(stored), stored.size)  # type: ignore[attr-defined]  # not in faiss's stubs
            index: Any = faiss.read_index(reader)
            list_of = _checked(index, file)
        except (RuntimeError, MemoryError) as error:
            raise LibraryError("FAISS cannot read the lists of the index; run thud index again") from error
        if list_of is None:
            raise LibraryError("the lists of the index are not what Thud writes; run thud index again")
        read = cls(index, put_aside(list_of), threads)
        read._content = stored
        return read

    def write(self, path: Path) -> None:
        """Write the lists to `path`. Raises LibraryError if the disk is full."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise LibraryError(f"FAISS cannot write {path}") from error

    def __len__(self) -> int:
        return int(self._index.nlist)

    @property
    def centroids(self) -> Vectors:
        """The centroids `[lists, c]`."""
        quantizer: Any = self._index.quantizer
        found: Vectors = quantizer.reconstruct_n(0, len(self))
        return found

    def nearest(self, queries: Vectors, k: int, probes: int, among: Rows | None = None) -> tuple[Vectors, Rows]:
        """Scores and rows `[q, k]` of the nearest in the `probes` nearest lists; row -1 where they hold fewer.

        `among`: search only these rows, and only lists in which some of them lie.
        """
        # Before each search: OpenMP keeps the number for each calling thread apart.
        faiss.omp_set_num_threads(self._threads)
        options = _options(min(probes, len(self)))
        if among is not None:
            kept = np.zeros(len(self._list_of), np.bool_)
            kept[among] = True
            lists = np.zeros(len(self), np.bool_)
            lists[self._list_of[among]] = True
            coarse: Any = faiss.SearchParameters
            options = _options(
                min(probes, int(lists.sum())), sel=_selector(kept), quantizer_params=coarse(sel=_selector(lists))
            )
        scores, rows = self._index.search(queries, k, params=options)
        return scores, rows


def _options(probes: int, **others: Any) -> faiss.SearchParametersIVF:
    make: Any = faiss.SearchParametersIVF  # faiss's stubs do not know that it takes the fields' values
    options: faiss.SearchParametersIVF = make(nprobe=probes, **others)
    return options


def _selector(kept: npt.NDArray[np.bool_]) -> Any:
    make: Any = faiss.IDSelectorBitmap  # in faiss's stubs it takes a pointer
    return make(np.packbits(kept, bitorder="little"))


def _centroids(file: VectorFile) -> Vectors:
    """Centroids `[lists, c]` by k-means on a sample."""
    # FAISS's own guidance for up to a million vectors is 4 to 16 times the square root of their number.
    lists = min(len(file), int(4 * math.sqrt(len(file))))
    size = min(len(file), lists * _SAMPLE_PER_LIST)
    sample = file.compared(np.linspace(0, len(file) - 1, size).astype(np.int64))
    means = faiss.Kmeans(
        sample.shape[1], lists, niter=_ROUNDS, seed=0, min_points_per_centroid=1, max_points_per_centroid=size
    )
    means.train(sample)
    found: Any = means.centroids
    return np.asarray(found, np.float32)


def _checked(index: faiss.Index, file: VectorFile) -> npt.NDArray[np.int32] | None:
    """The list of each row `[v]` if `index` is one as `build` makes it of `file`, else None."""
    size = len(file.columns) + (file.biases is not None)
    if type(index) is not faiss.IndexIVFFlat:
        return None
    quantizer: Any = faiss.downcast_index(index.quantizer)
    lists: Any = faiss.downcast_InvertedLists(index.invlists)  # type: ignore[arg-type]  # it is never None
    usual = (
        type(quantizer) is faiss.IndexFlatIP
        and type(lists) is faiss.ArrayInvertedLists
        and index.metric_type == quantizer.metric_type == faiss.METRIC_INNER_PRODUCT
        and index.nlist == lists.nlist == quantizer.ntotal
        and index.d == quantizer.d == size
        and lists.code_size == 4 * size
        and np.isfinite(quantizer.reconstruct_n(0, index.nlist)).all()
    )
    if not usual:
        return None
    list_of = np.full(len(file), -1, np.int32)
    held_by_all = 0
    for number in range(index.nlist):
        held = lists.list_size(number)
        if not held:
            continue
        held_by_all += held
        rows = faiss.rev_swig_ptr(lists.get_ids(number), held)
        if rows.min() < 0 or rows.max() >= len(file) or (list_of[rows] >= 0).any():
            return None
        list_of[rows] = number
        codes = faiss.rev_swig_ptr(lists.get_codes(number), held * lists.code_size).view(np.float32)
        if not np.array_equal(codes.reshape(held, size), file.compared(rows)):
            return None
    return list_of if held_by_all == index.ntotal == len(file) and (list_of >= 0).all() else None
