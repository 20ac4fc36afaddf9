"""A generation in a Milvus as a `VectorStore`.

Milvus finds candidates, by what a picture is compared with. Their values and their order are computed here, from
their embeddings, exactly as of an index's files.
"""

import math
from collections.abc import Mapping, Sequence
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
from index.milvus.entities import both, key_of, number_of, record_of
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
_FIELDS = ("facts", "record")
_FEW = 100_000
"""Of so many hits that meet a condition, all are compared."""
_MOST_COUNTED = 1024


@dataclass(frozen=True, eq=False)
class _Near:
    """The nearest hits, what an entity has of their records by the rows of their sounds, the `least` that one of
    them is worth, and whether they are `every` one that meets the condition."""

    hits: Hits
    records: dict[int, str]
    least: float
    every: bool


@dataclass(frozen=True, eq=False)
class _Compared:
    """All hits of some sounds, and their vectors; records by the rows of the sounds."""

    hits: Hits
    file: VectorFile
    records: dict[int, str]


class MilvusRanking:
    """A `Ranking`."""

    def __init__(self, found: RankedRows, among: _Compared | None, more: bool = False) -> None:
        """`found.vectors` are places in the hits of `among`, which is None where nothing was found."""
        self._found, self._among = found, among
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
        return _nobody() if self._among is None else self._among.hits.materials[self._found.vectors]

    @property
    def recordings(self) -> Numbers:
        """See `Ranking`."""
        return _nobody() if self._among is None else self._among.hits.recordings[self._found.vectors]

    def ids(self, at: Sequence[int]) -> list[str]:
        """See `Ranking`."""
        if self._among is None:
            return []
        return self._among.hits.sound_ids(self._found.vectors[np.asarray(at, np.int64)].tolist())

    def records(self, at: Sequence[int]) -> list[SoundRecord]:
        """See `Ranking`."""
        if self._among is None:
            return []
        texts = self._among.records
        return [record_of(texts[row]) for row in self._found.rows[np.asarray(at, np.int64)].tolist()]

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
            return MilvusRanking(_nothing(), None)
        start = 0 if after is None else self.records.row_after(after)
        left_out = [one for one in without if key_of(one) is not None]
        # One to see whether there are more.
        wanted = k + 1 + len(without) + (0 if after is None else after.passed)
        several = self._published.spec.search.vectors / len(self)
        naming = self._naming(query, condition)
        limit = min(MOST_FOUND, math.ceil(wanted * several) + _SPARE)
        while True:
            near = self._nearest(query.embedding, limit, condition)
            among = self._whole_sounds([*naming, near])
            if among is None:
                return MilvusRanking(_nothing(), None)
            found = self._ranked(query, among, naming, len(among.hits) if near.every else wanted)
            kept = ~among.hits.of_sounds(left_out)[found.vectors]
            if after is not None:
                kept &= (found.values < after.value) | ((found.values == after.value) & (found.rows >= start))
            rest = np.flatnonzero(kept)
            # What was not found is worth no more than its cosine minus bias.
            complete = len(found) == wanted and found.values[-1] > near.least + _SLACK
            if near.every or (complete and len(rest) > k):
                return MilvusRanking(found.of(rest[:k]), among, len(rest) > k)
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
        hits, _ = self._entities(sorted(set(wanted)))
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
        return [
            self._nearest(
                query.embedding,
                _NAMING,
                both(condition, f"array_contains_any(objects, [{number_of('object', name)}])"),
            )
            for name, _ in query.named()
        ]

    def _nearest(self, embedding: Vectors, limit: int, condition: str) -> _Near:
        if condition and not self._count(condition):
            return _Near(Hits.none(self._size), {}, -np.inf, every=True)
        published = self._published
        # A picture's embedding is 0 in the other columns, so that the small vectors tell as much.
        small = not published.whole or not np.delete(embedding, self._columns).any()
        compared = embedding[list(self._columns)] if small else embedding
        if self._biased:
            compared = np.append(compared, np.float32(1))
        probes = self._probes(limit, condition)
        collection, names = (published.collection, list(_FIELDS)) if small else (published.whole, ["id"])
        found = self._found(collection, compared, limit, condition, probes, names)
        if len(found) < limit and 0 < probes < _MOST_PROBES:
            # In the lists that were searched there are fewer: whether these are all, the other lists tell.
            found = self._found(collection, compared, limit, condition, _MOST_PROBES, names)
        least = min((float(hit["distance"]) for hit in found), default=-np.inf)
        ids = [int(hit["id"]) for hit in found]
        read = self._read(ids, [hit["entity"] for hit in found]) if small else self._entities(ids)
        return _Near(*read, least, len(found) < limit)

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

    def _entities(self, ids: Sequence[int]) -> tuple[Hits, dict[int, str]]:
        """The hits and records of entities, of those that there are."""
        found = dict(self.records.by_ids(ids, ("id", *_FIELDS)))
        return self._read(list(found), list(found.values()))

    def _read(self, ids: Sequence[int], entities: Sequence[Mapping[str, str]]) -> tuple[Hits, dict[int, str]]:
        hits = Hits.read(ids, [one["facts"] for one in entities], self._size)
        return hits, {one // MOST_HITS: entity["record"] for one, entity in zip(ids, entities, strict=True)}

    def _probes(self, k: int, condition: str) -> int:
        """How many lists of each segment are searched, 0 where there are none."""
        probes = self._published.probes
        if not probes.first:
            return 0
        if not condition:
            return min(_MOST_PROBES, probes.at(k))
        # Those that are asked for may lie far from the picture: lists near to it may have none of them.
        return _MOST_PROBES if self._count(condition) <= _FEW else min(_MOST_PROBES, 2 * probes.at(k))

    def _counted(self, condition: str) -> int:
        return count_of(self._connection, self._published.collection, condition)

    def _whole_sounds(self, parts: Sequence[_Near]) -> _Compared | None:
        """All hits of the sounds of which there are some; None for none."""
        hits = Hits.joined(one.hits for one in parts)
        if not len(hits):
            return None
        if missing := hits.missing():
            hits = Hits.joined([hits, self._entities(missing)[0]])
            if hits.missing():
                raise DamagedIndexError("the collection lacks hits of a sound; run thud index again")
        try:
            file = VectorFile.of(hits.embeddings, self._columns, hits.biases if self._biased else None)
        except LibraryError as error:
            raise DamagedIndexError(f"{self._connection.address}: {error}; run thud index again") from error
        return _Compared(hits, file, {row: text for one in parts for row, text in one.records.items()})

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


def _nobody() -> Numbers:
    return np.zeros(0, np.int64)


def _nothing() -> RankedRows:
    none = np.zeros(0, np.int64)
    return RankedRows(none, none, none, np.zeros(0), np.zeros(0, np.float32), none, none)
