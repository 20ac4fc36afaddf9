"""A generation in a Milvus as a `VectorStore`.

Milvus finds candidates, by what a picture is compared with. Their values and their order are computed here, from
their embeddings, exactly as of an index's files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from index.address import MilvusAddress
from index.answers.ranking import RankedRows, best_first, worth
from index.answers.store import Numbers, Query, VectorId, check_k
from index.catalogue import SoundRecord
from index.catalogue.cursors import RankPlace
from index.catalogue.filters import SoundFilter
from index.milvus.connection import MilvusConnection
from index.milvus.entities import both, key_of, number_of
from index.milvus.facts import Hits
from index.milvus.pointers import EVENTUALLY, MOST_FOUND, Published, count_of, open_current, search_params
from index.milvus.records import MilvusRecords
from index.nearest.vector_file import VectorFile
from index.nearest.vectors import Vectors
from model.errors import DamagedIndexError, FilterError, LibraryError
from model.hits import MOST_HITS

_SPARE = 16
_SLACK = 4e-6  # what two ways of summing in float32 can make of one score
_NAMING = 100
"""So many hits of the sounds that name an object are lifted."""
_MOST_PROBES = 65_536
_FEW = 100_000
"""Where at most so many hits meet a condition, all of them are compared: see docs/decisions/engines.md."""
_MOST_COUNTED = 1024


@dataclass(frozen=True, eq=False)
class _Near:
    """The nearest hits, the `least` that one of them is worth, and whether they are `every` one that meets the
    condition."""

    hits: Hits
    least: float
    every: bool


@dataclass(frozen=True, eq=False)
class _Compared:
    """All hits of some sounds, and their vectors."""

    hits: Hits
    file: VectorFile


class MilvusRanking:
    """A `Ranking`."""

    def __init__(
        self, found: RankedRows, among: _Compared | None, records: MilvusRecords, more: bool = False
    ) -> None:
        """`found.vectors` are places in the hits of `among`, which is None where nothing was found."""
        self._found, self._among, self._records = found, among, records
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
        return self._found.rows if self._among is None else self._among.hits.materials[self._found.vectors]

    @property
    def recordings(self) -> Numbers:
        """See `Ranking`."""
        return self._found.rows if self._among is None else self._among.hits.recordings[self._found.vectors]

    def ids(self, at: Sequence[int]) -> list[str]:
        """See `Ranking`."""
        if self._among is None:
            return []
        return self._among.hits.sound_ids(self._found.vectors[np.asarray(at, np.int64)].tolist())

    def records(self, at: Sequence[int]) -> list[SoundRecord]:
        """See `Ranking`."""
        return self._records.rows(self._found.rows[np.asarray(at, np.int64)].tolist())

    def vectors(self, at: Sequence[int]) -> Vectors:
        """See `Ranking`."""
        if self._among is None:
            return np.zeros((0, 0), np.float32)
        return self._among.file.vectors(self._found.vectors[np.asarray(at, np.int64)])


class MilvusStore:
    """A `VectorStore` of a `published` generation, over a connection that it closes."""

    def __init__(self, connection: MilvusConnection, published: Published) -> None:
        self._connection, self._published = connection, published
        self.records = MilvusRecords(connection, published)
        spec = published.spec
        self._size, self._columns = spec.embedding_size, spec.search.columns or tuple(range(spec.embedding_size))
        self._biased = spec.hubness is not None
        self._count = lru_cache(_MOST_COUNTED)(self._counted)

    @classmethod
    def open(cls, address: MilvusAddress, bundle_id: str) -> "MilvusStore":
        """The current generation at an address. Raises LibraryError as `open_current`."""
        connection = MilvusConnection(address)
        try:
            return cls(connection, open_current(connection, bundle_id))
        except BaseException:
            connection.close()
            raise

    @property
    def published(self) -> Published:
        """What it holds."""
        return self._published

    def __len__(self) -> int:
        return self._published.spec.sounds

    def search(
        self,
        query: Query,
        k: int,
        where: SoundFilter | None = None,
        after: RankPlace | None = None,
        without: Sequence[str] = (),
    ) -> MilvusRanking:
        """See `VectorStore`. Raises FilterError where more than 16,384 hits would have to be looked at."""
        check_k(k)
        if query.embedding.shape != (self._size,) or not np.isfinite(query.embedding).all():
            raise ValueError(f"a query is {self._size} finite numbers, not {query.embedding.shape}")
        condition = self.records.condition(where)
        if condition is None:
            return MilvusRanking(_nothing(), None, self.records)
        start = 0 if after is None else self.records.row_after(after)
        left_out = [one for one in without if key_of(one) is not None]
        # One to see whether there are more.
        wanted = k + 1 + len(without) + (0 if after is None else after.passed)
        several = self._published.spec.search.vectors / len(self)
        naming = self._naming(query, condition)
        limit = min(MOST_FOUND, math.ceil(wanted * several) + _SPARE)
        while True:
            near = self._nearest(query.embedding, limit, [condition] if condition else [])
            among = self._whole_sounds([*naming, near])
            if among is None:
                return MilvusRanking(_nothing(), None, self.records)
            found = self._ranked(query, among, naming, len(among.hits) if near.every else wanted)
            kept = ~among.hits.of_sounds(left_out)[found.vectors]
            if after is not None:
                kept &= (found.values < after.value) | ((found.values == after.value) & (found.rows >= start))
            rest = np.flatnonzero(kept)
            # What was not found is worth no more than its cosine minus bias.
            complete = len(found) == wanted and found.values[-1] > near.least + _SLACK
            if near.every or (complete and len(rest) > k):
                return MilvusRanking(found.of(rest[:k]), among, self.records, len(rest) > k)
            if limit >= MOST_FOUND:
                raise FilterError(
                    f"a Milvus answers with at most {MOST_FOUND:,} hits; ask for fewer sounds, or with a filter",
                    "cursor",
                )
            limit = min(2 * limit, MOST_FOUND)
            wanted *= 2 if complete else 1

    def vectors(self, ids: Sequence[VectorId]) -> Vectors:
        """See `VectorStore`."""
        rows = self.records.rows_of({one.sound for one in ids})
        for one in ids:
            if one.sound not in rows or not 0 <= one.hit < MOST_HITS:
                raise KeyError(one)
        wanted = [rows[one.sound] * MOST_HITS + one.hit for one in ids]
        hits = self._entities(sorted(set(wanted)))
        place = {hit: number for number, hit in enumerate(hits.ids.tolist())}
        for one, hit in zip(ids, wanted, strict=True):
            if hit not in place:
                raise KeyError(one)
        found: Vectors = hits.embeddings[[place[hit] for hit in wanted]]
        return found

    def health(self) -> None:
        """See `VectorStore`."""
        (first,) = self.records.rows([0])
        if not np.isfinite(self.vectors([VectorId(first.id, 0)])).all():
            raise DamagedIndexError("the vectors of the index are not what Thud writes; run thud index again")

    def close(self) -> None:
        """See `VectorStore`."""
        self._connection.close()

    def _naming(self, query: Query, condition: str) -> list[_Near]:
        """For each object that has a share, in the order of `Query.named`: the nearest hits of the sounds that name
        it. As many on every page of an answer, so that no page lifts others."""
        found = []
        for name, _ in query.named():
            naming = f"array_contains_any(objects, [{number_of('object', name)}])"
            if self._count(naming):
                conditions = [naming, condition] if condition else [naming]
                found.append(self._nearest(query.embedding, _NAMING, conditions))
            else:
                found.append(_Near(Hits.none(self._size), -np.inf, every=True))
        return found

    def _nearest(self, embedding: Vectors, limit: int, conditions: Sequence[str]) -> _Near:
        published = self._published
        # A picture's embedding is 0 in the other columns, so that the small vectors tell as much.
        small = not published.whole or not np.delete(embedding, self._columns).any()
        compared = embedding[list(self._columns)] if small else embedding
        if self._biased:
            compared = np.append(compared, np.float32(1))
        condition, probes = both(*conditions), self._probes(limit, conditions)
        collection, names = (published.collection, ["facts"]) if small else (published.whole, ["id"])
        found = self._found(collection, compared, limit, condition, probes, names)
        if len(found) < limit and 0 < probes < _MOST_PROBES:
            # In the lists that were searched there are fewer: whether these are all, the other lists tell.
            found = self._found(collection, compared, limit, condition, _MOST_PROBES, names)
        least = min((float(hit["distance"]) for hit in found), default=-np.inf)
        ids = [int(hit["id"]) for hit in found]
        texts = [hit["entity"]["facts"] for hit in found] if small else []
        hits = Hits.read(ids, texts, self._size) if small else self._entities(ids)
        return _Near(hits, least, len(found) < limit)

    def _found(
        self, collection: str, compared: Vectors, limit: int, condition: str, probes: int, names: list[str]
    ) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = self._connection.call(
            "search",
            collection,
            [compared.astype(np.float32)],
            anns_field="vector",
            filter=condition,
            limit=limit,
            output_fields=names,
            search_params=search_params(probes),
            consistency_level=EVENTUALLY,
        )[0]
        return found

    def _entities(self, ids: Sequence[int]) -> Hits:
        """The hits that entities with these ids tell of, of those that there are."""
        found = dict(self.records.by_ids(ids, ("id", "facts")))
        return Hits.read(list(found), [one["facts"] for one in found.values()], self._size)

    def _probes(self, k: int, conditions: Sequence[str]) -> int:
        """How many lists of each segment are searched for what meets all conditions, 0 where there are none."""
        probes = self._published.probes
        if not probes.first:
            return 0
        # Those that are asked for may lie far from the picture: lists near to it may have none of them.
        if any(self._count(one) <= _FEW for one in conditions):
            return _MOST_PROBES
        return min(_MOST_PROBES, probes.at(k) * (2 if conditions else 1))

    def _counted(self, condition: str) -> int:
        return count_of(self._connection, self._published.collection, condition)

    def _whole_sounds(self, parts: Sequence[_Near]) -> _Compared | None:
        """All hits of the sounds of which there are some; None for none."""
        hits = Hits.joined(one.hits for one in parts)
        if not len(hits):
            return None
        if missing := hits.missing():
            hits = Hits.joined([hits, self._entities(missing)])
            if hits.missing():
                raise DamagedIndexError("the collection lacks hits of a sound; run thud index again")
        try:
            file = VectorFile.of(hits.embeddings, self._columns, hits.biases if self._biased else None)
        except LibraryError as error:
            raise DamagedIndexError(f"{self._connection.address}: {error}; run thud index again") from error
        return _Compared(hits, file)

    @staticmethod
    def _ranked(query: Query, among: _Compared, naming: list[_Near], most: int) -> RankedRows:
        hits, rows, every = among.hits, among.hits.rows, np.arange(len(among.hits))
        gain, named = np.zeros(len(hits)), np.full(len(hits), -1)
        # The largest share last, so that it counts where a sound names several objects.
        for number, ((_, share), those) in enumerate(zip(query.named(), naming, strict=True)):
            places = np.isin(rows, those.hits.rows)
            gain[places], named[places] = share, number
        if query.fit is not None and (lifted := np.flatnonzero(named >= 0)).size:
            materials = hits.materials[lifted]
            gain[lifted] *= query.fit(materials, among.file.vectors(lifted[materials < 0]))
        nearness, cosines = among.file.score(query.embedding, every)
        plain = worth(nearness, rows, nearness if len(np.unique(rows)) < len(rows) else None, rows)
        return best_first(rows, every, hits.ids % MOST_HITS, plain, cosines, gain, named, most)


def _nothing() -> RankedRows:
    none = np.zeros(0, np.int64)
    return RankedRows(none, none, none, np.zeros(0), np.zeros(0, np.float32), none, none)
