"""The vectors and the catalogue in an index's files as a `VectorStore`. Nothing above it knows rows."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.answers.ranking import RankedRows, rank
from index.answers.store import Numbers, Query, VectorId, check_k
from index.catalogue import Catalogue, SoundRecord
from index.catalogue.cursors import RankPlace
from index.catalogue.filters import SoundFilter
from index.generation import CATALOGUE, Generation, IndexSpec, open_generation
from index.nearest.vectors import VectorIndex, Vectors
from index.private import Content, let_go, private_content, private_file
from model.bundle import Bundle
from model.errors import DamagedIndexError, LibraryError


class FileRanking:
    """A `Ranking`."""

    def __init__(self, found: RankedRows, more: bool, catalogue: Catalogue, vectors: VectorIndex) -> None:
        self._found, self._catalogue, self._vectors = found, catalogue, vectors
        self.more = more
        self.values: npt.NDArray[np.float64] = found.values
        self.similarities: Vectors = found.cosines
        self.hits: Numbers = found.hits
        self.named: Numbers = found.named
        self.places: Numbers = found.places

    def __len__(self) -> int:
        return len(self._found)

    @property
    def materials(self) -> Numbers:
        """See `Ranking`."""
        return self._catalogue.materials_of(self._found.rows)

    @property
    def recordings(self) -> Numbers:
        """See `Ranking`."""
        return self._catalogue.recordings_of(self._found.rows)

    def ids(self, at: Sequence[int]) -> list[str]:
        """See `Ranking`."""
        return self._catalogue.ids(self._rows(at))

    def records(self, at: Sequence[int]) -> list[SoundRecord]:
        """See `Ranking`."""
        return self._catalogue.rows(self._rows(at))

    def vectors(self, at: Sequence[int]) -> Vectors:
        """See `Ranking`."""
        return self._vectors.vectors(self._found.vectors[np.asarray(at, np.int64)])

    def _rows(self, at: Sequence[int]) -> list[int]:
        found: list[int] = self._found.rows[np.asarray(at, np.int64)].tolist()
        return found


@dataclass(frozen=True)
class OpenedFiles:
    """The current generation of an index in a folder: what index.json says, the catalogue, and the store."""

    spec: IndexSpec
    catalogue: Catalogue
    store: "FileStore"


def open_files(folder: Path, bundle: Bundle, threads: int, *, beside: bool) -> OpenedFiles:
    """Open the current generation of the index at `folder`. See `SoundIndex.open`."""
    generation = open_generation(folder, bundle.id)
    spec = generation.spec
    # At the same time: of a million sounds both take seconds, almost all of it outside of Python.
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(_catalogue, generation, beside)
        try:
            contents = _contents(generation, beside)
            vectors = _vectors(contents, spec, threads)
            catalogue = opening.result()
        except BaseException:
            if opening.exception() is None:
                opening.result().close()
            raise
        finally:
            del opening  # it would keep its exception, whose frames keep it: copies would stay open
    sizes = {vectors.size, spec.embedding_size, bundle.spec.embedding_size}
    fits = len(vectors) == catalogue.vectors and len(catalogue) == spec.sounds
    if not (fits and len(sizes) == 1):
        catalogue.close()
        raise LibraryError(
            f"{generation.folder} does not fit together: {spec.sounds} sounds, {len(vectors)} vectors of "
            f"{vectors.size} numbers, {len(catalogue)} catalogue rows; run thud index again"
        )
    return OpenedFiles(spec, catalogue, FileStore(catalogue, vectors, list(contents.values())))


class FileStore:
    """A `VectorStore` of the `vectors` of one machine and the catalogue of their sounds, which it closes.

    `contents`: those that the vectors lie in, which it lets go of when it is closed.
    """

    def __init__(self, catalogue: Catalogue, vectors: VectorIndex, contents: Sequence[Content] = ()) -> None:
        self._catalogue, self._vectors, self._contents = catalogue, vectors, contents

    def __len__(self) -> int:
        return len(self._catalogue)

    def search(
        self,
        query: Query,
        k: int,
        where: SoundFilter | None = None,
        after: RankPlace | None = None,
        without: Sequence[str] = (),
    ) -> FileRanking:
        """See `VectorStore`. As far as `VectorIndex.search` is exact, so is this."""
        check_k(k)
        among = self._catalogue.rows_of(where)
        start = 0 if after is None else self._catalogue.row_after(after)
        left_out = [row for one in without if (row := self._catalogue.row_of(one)) is not None]
        available = len(self) if among is None else len(among)
        # One to see whether there are more.
        wanted = k + 1 + len(left_out) + (0 if after is None else after.passed)
        while True:
            found = rank(self._catalogue, self._vectors, query, wanted, among)
            kept = np.ones(len(found), np.bool_)
            if after is not None:
                kept = (found.values < after.value) | ((found.values == after.value) & (found.rows >= start))
            kept &= ~np.isin(found.rows, left_out)
            rest = np.flatnonzero(kept)
            if len(rest) > k or wanted >= available:
                return FileRanking(found.of(rest[:k]), len(rest) > k, self._catalogue, self._vectors)
            wanted *= 2

    def vectors(self, ids: Sequence[VectorId]) -> Vectors:
        """See `VectorStore`."""
        return self._vectors.vectors(np.array([self._vector_row(one) for one in ids], np.int64))

    def health(self) -> None:
        """See `VectorStore`."""
        self._catalogue.check()
        (first,) = self._catalogue.rows([0])
        if not np.isfinite(self.vectors([VectorId(first.id, 0)])).all():
            raise DamagedIndexError("the vectors of the index are not what Thud writes; run thud index again")

    def close(self) -> None:
        """See `VectorStore`."""
        self._catalogue.close()
        # Whoever forgets the vectors last would unmap all of their pages at once.
        for content in self._contents:
            let_go(content)

    def _vector_row(self, wanted: VectorId) -> int:
        row = self._catalogue.row_of(wanted.sound)
        if row is not None:
            its = self._catalogue.vector_rows(np.array([row], np.int64))
            if 0 <= wanted.hit < len(its):
                return int(its[wanted.hit])
        raise KeyError(wanted)


def _contents(generation: Generation, beside: bool) -> dict[str, Content]:
    folder, spec = generation.folder, generation.spec
    return {name: private_content(folder / name, spec.files[name], beside=beside) for name in spec.search.files}


def _vectors(contents: Mapping[str, Content], spec: IndexSpec, threads: int) -> VectorIndex:
    found = VectorIndex.load(contents, spec.search, spec.embedding_size, threads, biased=spec.hubness is not None)
    for content in contents.values():
        let_go(content)  # all of it was read to be checked
    return found


def _catalogue(generation: Generation, beside: bool) -> Catalogue:
    record = generation.spec.files[CATALOGUE]
    with private_file(generation.folder / CATALOGUE, record, beside=beside) as source:
        return Catalogue(source)
