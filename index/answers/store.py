"""What holds the vectors of a library: the interface between all that answers and the engine that searches.

An engine is a class with the methods of `VectorStore`. What crosses it are ids, values, vectors and records, never
rows: those are of one generation on one machine. One function crosses it too, `Query.fit`: how well a sound fits a
picture is told by the bundle's heads, which no engine has. So the part of an engine that makes the order is in this
process, and what it needs of each sound for that, the material's id and the embedding, must come to it.
`index.answers.file_store` is the engine of an index's files. `SoundIndex.open` chooses the engine, no other place
does, and gives it the catalogue, from which it has its records: the engine closes it. tests/index/test_store.py is
what every engine must pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from index.catalogue import SoundRecord
from index.catalogue.cursors import RankPlace
from index.catalogue.filters import SoundFilter
from index.nearest.vectors import Vectors

Numbers = npt.NDArray[np.int64]

Fit = Callable[[Numbers, Vectors], npt.NDArray[np.float64]]
"""From the materials' ids `[n]` of sounds, -1 for none, and the embeddings `[u, d]` of those, to 0 to 1 `[n]`."""
NO_SHARES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Query:
    """What sounds are ranked by.

    `embedding [d]` is L2-normalised. `shares`: by an object's name, what is added to the score,
    (cosine - bias + 1) / 2, of each sound that names it, at least 0; of several objects that a sound names, the
    largest counts. `fit`: how much of its share a sound gets, 0 to 1, by its material or embedding; all without.
    It is called in this process.
    """

    embedding: Vectors
    shares: Mapping[str, float] = field(default_factory=dict)
    fit: Fit | None = None

    def named(self) -> list[tuple[str, float]]:
        """The shares above 0, smallest first."""
        return sorted(((name, share) for name, share in self.shares.items() if share > 0), key=lambda one: one[1])


def check_k(k: int) -> None:
    """Raise ValueError unless `k` is a whole number of at least 1; it may be of any type of number."""
    try:
        whole = k >= 1 and not k % 1  # neither NaN nor infinity is
    except TypeError:
        whole = False
    if not whole:
        raise ValueError(f"k is {k!r}; it must be a whole number of at least 1")


class VectorId(NamedTuple):
    """A vector: the id of its sound, and which of the sound's hits it is of, from 0."""

    sound: str
    hit: int


class Ranking(Protocol):
    """Sounds that a search found, best first, each by the hit that matched best; arrays are `[n]`.

    What an answer seldom needs of all of them is given for some: `at` are places in this ranking, 0 to n - 1. It
    may be asked until the store is closed, and then raises as `VectorStore.search` does.
    """

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What the sounds are ranked by, falling, to 6 decimals: cosine minus bias of the hit, partly of the mean
        over the sound's hits (`MEAN_WEIGHT`), plus twice the share and its fit."""
        ...

    @property
    def similarities(self) -> Vectors:
        """Cosine of the query and the hit that matched best, -1 to 1, to 6 decimals."""
        ...

    @property
    def hits(self) -> Numbers:
        """Which of the sound's hits matched best, from 0."""
        ...

    @property
    def named(self) -> Numbers:
        """The number of the object in `Query.named` whose share the sound got, -1 for none."""
        ...

    @property
    def places(self) -> Numbers:
        """At which place, from 0, the sound would be without shares, counted from the best sound of the store."""
        ...

    @property
    def materials(self) -> Numbers:
        """The ids of the sounds' materials, -1 for none."""
        ...

    @property
    def recordings(self) -> Numbers:
        """Numbers that tell the recordings of the sounds from each other, at least 0."""
        ...

    @property
    def more(self) -> bool:
        """Whether there are sounds after these."""
        ...

    def __len__(self) -> int: ...

    def ids(self, at: Sequence[int]) -> list[str]:
        """The ids of some of the sounds."""
        ...

    def records(self, at: Sequence[int]) -> list[SoundRecord]:
        """The records of some of the sounds."""
        ...

    def vectors(self, at: Sequence[int]) -> Vectors:
        """The vectors `[m, d]` of the hits that matched best of some of the sounds, without their biases."""
        ...


class VectorStore(Protocol):
    """The vectors of one generation of a library, one for each hit of each sound. Safe to use from several threads.

    Every method raises LibraryError where the store cannot answer now or has what Thud does not write
    (DamagedIndexError).
    """

    def __len__(self) -> int:
        """How many sounds there are."""
        ...

    def search(
        self,
        query: Query,
        k: int,
        where: SoundFilter | None = None,
        after: RankPlace | None = None,
        without: Sequence[str] = (),
    ) -> Ranking:
        """The first `k` sounds for a query, all where there are fewer.

        Of the sounds that meet `where` (None: of all), as if they were the whole library, but for those with the
        ids `without`; and of those the ones after the place `after`. Sounds of equal value come in the order of
        their paths. An engine whose search is not exact may miss sounds; values and similarities are exact, and
        the order is that of the sounds that it finds.

        Raises ValueError for `k` as `check_k`, and for an embedding of another size or with values that are not
        finite.
        """
        ...

    def vectors(self, ids: Sequence[VectorId]) -> Vectors:
        """The vectors `[n, d]` with these ids, L2-normalised, without their biases.

        Raises KeyError for an id that the store does not have.
        """
        ...

    def health(self) -> None:
        """Return where a search can be answered now. It costs no more than looking up one vector and one record."""
        ...

    def close(self) -> None:
        """Give up what the store holds, the catalogue too; once more does no harm."""
        ...
