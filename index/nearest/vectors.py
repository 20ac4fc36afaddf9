"""The vectors of an index: from an embedding to the rows of the nearest ones.

Here a vector is its row, 0 to v - 1. Rows are of one generation on one machine: `index.answers.file_store` turns
them into the ids of sounds, and nothing above it knows them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from index.nearest.recall import LARGEST_K, Probes, RecallMeter, imitated_pictures
from index.nearest.vector_file import Columns, Content, Rows, VectorFile, Vectors, normalised
from model.errors import LibraryError
from model.hubness import Biases

if TYPE_CHECKING:
    from index.nearest.inverted_lists import InvertedLists

__all__ = ["IndexKind", "Rows", "SearchRecord", "VectorIndex", "Vectors", "choose_kind", "normalised"]

IndexKind = Literal["flat", "ivf"]
"""`flat`: exact search, each vector is compared. `ivf`: only those in the nearest inverted lists."""

VECTORS = "vectors.f32"
LISTS = "search.faiss"

# Measured by benchmarks/search: see docs/scale.md.
FLAT_UP_TO = 50_000
EXACT_AMONG_UP_TO = 100_000
_QUERIES = 500
_SPARE = 16


class SearchRecord(BaseModel):
    """What index.json records about the search of its vectors.

    `vectors`: how many there are. `columns`: those of an embedding that are compared, None for all; with
    hubness, the bias besides. `recall_at_10` and `recall_at_most` (for `most` neighbours) were measured against
    exact search when the index was built, with `queries`: embeddings of pictures that the bundle carries, or
    imitated ones. `probes` and `probes_at_most`: how many inverted lists are searched for 10 and for `most`
    neighbours, 0 in a flat index. `trained_on`: for how many vectors the centroids of the lists were made.
    """

    model_config = ConfigDict(frozen=True)

    kind: IndexKind
    vectors: int = Field(ge=1, lt=2**31)
    columns: Columns | None = Field(None, min_length=1)
    recall_at_10: float = 1.0
    recall_at_most: float = 1.0
    most: int = Field(1, ge=1)
    queries: Literal["pictures", "imitated"] | None = None
    probes: int = Field(0, ge=0)
    probes_at_most: int = Field(0, ge=0)
    trained_on: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _searches_lists(self) -> Self:
        if self.kind == "ivf" and not 1 <= self.probes <= self.probes_at_most:
            raise ValueError(
                "an index with inverted lists must search some of them, and for more neighbours no fewer"
            )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that hold the vectors."""
        return (VECTORS,) if self.kind == "flat" else (VECTORS, LISTS)


def _inverted_lists() -> "type[InvertedLists]":
    """Loaded where there are lists: most libraries are smaller, and loading FAISS takes as long as NumPy."""
    from index.nearest.inverted_lists import InvertedLists

    return InvertedLists


def choose_kind(vectors: int) -> IndexKind:
    """The kind of index for this many vectors."""
    return "flat" if vectors <= FLAT_UP_TO else "ivf"


class VectorIndex:
    """A cosine index over L2-normalised float32 vectors `[v, d]`; a vector's row is its row in that array.

    Where the vectors have biases `[v]`, the nearest is decided by the cosine minus the bias. Searches are safe from
    several threads; `threads` is the OpenMP thread count of each that looks into inverted lists.
    """

    def __init__(
        self, file: VectorFile, lists: "InvertedLists | None", record: SearchRecord, threads: int = 1
    ) -> None:
        self._file = file
        self._lists = lists
        self._threads = threads
        self._probes = Probes(record.probes, record.probes_at_most, record.most)
        self.record = record

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        kind: IndexKind | None = None,
        threads: int = 1,
        biases: Biases | None = None,
        *,
        columns: Columns | None = None,
        queries: Vectors | None = None,
        previous: "VectorIndex | None" = None,
    ) -> "VectorIndex":
        """Index `vectors [v, d]` with their `biases [v]`, by default as the kind that `choose_kind` gives.

        `vectors` may be memory-mapped: beside the inverted lists, one block of them is in memory at a time.
        `columns`: those in which embeddings of pictures can differ from 0, None for all. `queries [q, d]`:
        embeddings of pictures with which recall is measured and the number of lists to search is chosen;
        without them such are imitated. `previous`: an index whose lists' centroids are used again, unless it
        has other columns or the number of vectors has doubled or halved since they were made.

        The same arguments give the same index for any number of `threads`. Raises LibraryError unless there is at
        least one vector and all are finite and of length 1.
        """
        file = VectorFile.of(vectors, columns, biases)
        if (kind or choose_kind(len(file))) == "flat":
            record = SearchRecord(kind="flat", vectors=len(file), columns=columns, most=min(LARGEST_K, len(file)))
            return cls(file, None, record, threads)
        kept = previous._centroids_for(file) if previous is not None else None
        lists = _inverted_lists().build(file, kept, threads)
        imitated = queries is None
        if queries is None:
            spread = np.linspace(0, len(file) - 1, min(_QUERIES, len(file))).astype(np.int64)
            queries = imitated_pictures(file.vectors(spread), np.array(file.columns))
        meter = RecallMeter(lists, file.comparing(queries), len(file))
        first, most = meter.fewest_probes(meter.first_k), meter.fewest_probes(meter.largest_k)
        record = SearchRecord(
            kind="ivf",
            vectors=len(file),
            columns=columns,
            recall_at_10=round(meter.recall(meter.first_k, first), 4),
            recall_at_most=round(meter.recall(meter.largest_k, most), 4),
            most=meter.largest_k,
            queries="imitated" if imitated else "pictures",
            probes=first,
            probes_at_most=max(first, most),
            trained_on=previous.record.trained_on if previous is not None and kept is not None else len(file),
        )
        return cls(file, lists, record, threads)

    @classmethod
    def load(
        cls,
        contents: Mapping[str, Content],
        record: SearchRecord,
        size: int,
        threads: int = 1,
        *,
        biased: bool = False,
    ) -> "VectorIndex":
        """The index that was saved with `record`, from the contents of `record.files` by their names.

        `size`: numbers in a vector. The contents are used in place and must not change. `biased` says whether
        it was built with biases. Raises LibraryError for what `save` cannot have written: files that do not fit
        together or to the record, vectors that are not finite and of length 1, lists that do not hold each
        vector once.
        """
        columns = record.columns or tuple(range(size))
        if not (columns[0] >= 0 and columns[-1] < size and all(np.diff(columns) > 0)):
            raise LibraryError("the columns of the index are not what Thud writes; run thud index again")
        file = VectorFile.read(contents[VECTORS], record.vectors, size, columns, biased=biased)
        lists = _inverted_lists().read(contents[LISTS], file, threads) if record.kind == "ivf" else None
        return cls(file, lists, record, threads)

    def save(self, folder: Path) -> tuple[str, ...]:
        """Write the files into `folder`; their names, `record.files`. Raises LibraryError if the disk is full."""
        try:
            self._file.write(folder / VECTORS)
        except OSError as error:
            raise LibraryError(f"{folder / VECTORS} cannot be written: {error.strerror or error}") from error
        if self._lists is not None:
            self._lists.write(folder / LISTS)
        return self.record.files

    def __len__(self) -> int:
        return len(self._file)

    @property
    def size(self) -> int:
        """Numbers in a vector, its bias not counted."""
        return self._file.size

    @property
    def kind(self) -> IndexKind:
        """The kind of this index."""
        return self.record.kind

    def search(self, query: Vectors, k: int, among: Rows | None = None) -> tuple[Vectors, Rows]:
        """The `k` rows nearest to `query [d]` with their cosine similarities, best first; at most all.

        `among`: rising rows; only these are searched. In an index of kind `ivf` few of them are searched exactly,
        many in inverted lists. A query that is not 0 outside the columns that pictures use, as the embedding of a
        sound, is answered exactly. Where pictures use all columns, nothing tells it from a picture's.

        The best has the largest cosine minus bias. Similarities are the cosines alone, so that with biases they
        need not fall. Both are rounded to 6 decimals; equal ones come in the order of their rows. Raises ValueError
        unless `query` has the index's size and is finite.
        """
        if query.shape != (self.size,) or not np.isfinite(query).all():
            raise ValueError(f"a query is {self.size} finite numbers, not {query.shape}")
        wanted = min(k, len(self) if among is None else len(among))
        if wanted == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        listed = self._listed(query, wanted, among)
        if listed is None:
            rows = self._file.nearest(query, wanted, among)
            nearness, cosines = self._file.score(query, rows)
        else:
            rows, nearness, cosines = listed
        best = np.lexsort((rows, -nearness))[:wanted]
        return cosines[best], rows[best]

    def score(self, query: Vectors, rows: Rows) -> tuple[Vectors, Vectors]:
        """Cosine minus bias, by which the nearest is decided, and the cosine of `query [d]` and each of `rows [n]`.

        Both are exact in an index of any kind, and rounded as in `search`.
        """
        return self._file.score(query, rows)

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors `[n, d]` at these rows `[n]`, every one of which must exist, without their biases."""
        return self._file.vectors(rows)

    def _listed(self, query: Vectors, k: int, among: Rows | None) -> tuple[Rows, Vectors, Vectors] | None:
        """Rows among which are the `k` nearest as inverted lists find them, with what `score` gives of each; None
        where exact search must answer."""
        if self._lists is None or not self._file.is_of_picture(query):
            return None
        if among is not None and len(among) <= EXACT_AMONG_UP_TO:
            return None
        searched = len(self) if among is None else len(among)
        # The k nearest of some rows are about as near as the k / share nearest of all; twice the lists, because the
        # rows of one material lie together, where most queries do not.
        probes = self._probes.at(k) if among is None else 2 * self._probes.at(k * len(self) / searched)
        # FAISS breaks ties at rank k in any order. Fetch more, until all that are equal to rank k are there.
        fetched = k + max(_SPARE, k // _SPARE)
        while fetched < searched:
            scores, rows = self._lists.nearest(self._file.comparing(query[None]), fetched, probes, among)
            if rows[0, k - 1] < 0:
                return None  # the lists hold fewer
            found = rows[0, rows[0] >= 0]
            nearness, cosines = self._file.score(query, found)
            if len(found) < fetched or self._file.complete(nearness, scores[0, -1], k):
                return found, nearness, cosines
            # Where many are equal: the lists are searched anew each time, and that is not slower for so many.
            fetched = max(2 * fetched, LARGEST_K)
        return None

    def _centroids_for(self, file: VectorFile) -> Vectors | None:
        """The centroids of the lists if they are good for `file` too, else None."""
        same = self._file.columns == file.columns and (self._file.biases is None) == (file.biases is None)
        fitting = self.record.trained_on / 2 < len(file) < self.record.trained_on * 2
        return self._lists.centroids if self._lists is not None and same and fitting else None
