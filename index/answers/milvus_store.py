"""A generation in a Milvus as a `VectorStore`.

Milvus finds candidates, by what a picture is compared with. Their values and their order are computed here, from
their embeddings, exactly as of an index's files.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from index.milvus.entities import Facts, both, number_of
from index.milvus.pointers import EVENTUALLY, MOST_FOUND, Published, open_current, search_params
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
_FIELDS = ("id", "facts")


@dataclass(frozen=True, eq=False)
class _Hits:
    """Hits of sounds in the order of their ids, those of one sound together; every array is `[n]`."""

    ids: Numbers
    sounds: list[str]
    materials: Numbers
    recordings: Numbers
    file: VectorFile

    @property
    def rows(self) -> Numbers:
        return self.ids // MOST_HITS

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Near:
    """The facts of the nearest hits by their ids, the `least` that one of them is worth, and whether they are
    `every` one that meets the condition."""

    facts: dict[int, Facts]
    least: float
    every: bool


class MilvusRanking:
    """A `Ranking`."""

    def __init__(self, found: RankedRows, hits: _Hits | None, records: MilvusRecords, more: bool = False) -> None:
        """`found.vectors` are places in `hits`, which is None where nothing was found."""
        self._found, self._hits, self._records = found, hits, records
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
        return self._of_hits("materials")

    @property
    def recordings(self) -> Numbers:
        """See `Ranking`."""
        return self._of_hits("recordings")

    def ids(self, at: Sequence[int]) -> list[str]:
        """See `Ranking`."""
        if self._hits is None:
            return []
        return [self._hits.sounds[place] for place in self._found.vectors[np.asarray(at, np.int64)].tolist()]

    def records(self, at: Sequence[int]) -> list[SoundRecord]:
        """See `Ranking`."""
        return self._records.rows(self._found.rows[np.asarray(at, np.int64)].tolist())

    def vectors(self, at: Sequence[int]) -> Vectors:
        """See `Ranking`."""
        if self._hits is None:
            return np.zeros((0, 0), np.float32)
        return self._hits.file.vectors(self._found.vectors[np.asarray(at, np.int64)])

    def _of_hits(self, name: str) -> Numbers:
        if self._hits is None:
            return np.zeros(0, np.int64)
        found: Numbers = getattr(self._hits, name)[self._found.vectors]
        return found


class MilvusStore:
    """A `VectorStore` of a `published` generation, over a connection that it closes."""

    def __init__(self, connection: MilvusConnection, published: Published) -> None:
        self._connection, self._published = connection, published
        self.records = MilvusRecords(connection, published)
        spec = published.spec
        self._size, self._columns = spec.embedding_size, spec.search.columns or tuple(range(spec.embedding_size))
        self._biased = spec.hubness is not None

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
        # One to see whether there are more.
        wanted = k + 1 + len(without) + (0 if after is None else after.passed)
        several = self._published.spec.search.vectors / len(self)
        naming = self._naming(query, condition)
        limit = min(MOST_FOUND, math.ceil(wanted * several) + _SPARE)
        while True:
            near = self._nearest(query.embedding, limit, condition)
            hits = self._whole_sounds({one: facts for its in (*naming, near.facts) for one, facts in its.items()})
            if hits is None:
                return MilvusRanking(_nothing(), None, self.records)
            found = self._ranked(query, hits, naming, len(hits) if near.every else wanted)
            kept = ~np.isin(found.rows, self._rows_of(hits, without))
            if after is not None:
                kept &= (found.values < after.value) | ((found.values == after.value) & (found.rows >= start))
            rest = np.flatnonzero(kept)
            # What was not found is worth no more than its cosine minus bias.
            complete = len(found) == wanted and found.values[-1] > near.least + _SLACK
            if near.every or (complete and len(rest) > k):
                return MilvusRanking(found.of(rest[:k]), hits, self.records, len(rest) > k)
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
        facts = self._facts(sorted(set(wanted)))
        found = np.zeros((len(ids), self._size), np.float32)
        for place, (one, entity) in enumerate(zip(ids, wanted, strict=True)):
            if entity not in facts:
                raise KeyError(one)
            its = facts[entity]
            found[place] = its.embeddings[one.hit if len(its.biases) == its.hits else 0]
        return found

    def health(self) -> None:
        """See `VectorStore`."""
        (first,) = self.records.rows([0])
        if not np.isfinite(self.vectors([VectorId(first.id, 0)])).all():
            raise DamagedIndexError("the vectors of the index are not what Thud writes; run thud index again")

    def close(self) -> None:
        """See `VectorStore`."""
        self._connection.close()

    def _naming(self, query: Query, condition: str) -> list[dict[int, Facts]]:
        """Of each object that has a share, in the order of `Query.named`, the facts of hits by their ids: of the
        nearest of the sounds that name it. As many on every page of an answer, so that no page lifts others."""
        return [
            self._nearest(
                query.embedding,
                _NAMING,
                both(condition, f"array_contains_any(objects, [{number_of('object', name)}])"),
            ).facts
            for name, _ in query.named()
        ]

    def _nearest(self, embedding: Vectors, limit: int, condition: str) -> _Near:
        published = self._published
        # A picture's embedding is 0 in the other columns, so that the small vectors tell as much.
        small = not published.whole or not np.delete(embedding, self._columns).any()
        compared = embedding[list(self._columns)] if small else embedding
        if self._biased:
            compared = np.append(compared, np.float32(1))
        probes = self._probes(limit, bool(condition))
        collection, fields = (published.collection, ["facts"]) if small else (published.whole, ["id"])
        found = self._found(collection, compared, limit, condition, probes, fields)
        if len(found) < limit and probes:
            # In the lists that were searched there are fewer: whether these are all, the other lists tell.
            found = self._found(collection, compared, limit, condition, _MOST_PROBES, fields)
        least = min((float(hit["distance"]) for hit in found), default=-np.inf)
        if small:
            facts = {int(hit["id"]): Facts.read(hit["entity"]["facts"], self._size) for hit in found}
        else:
            facts = self._facts([int(hit["id"]) for hit in found])
        return _Near(facts, least, len(found) < limit)

    def _found(
        self, collection: str, compared: Vectors, limit: int, condition: str, probes: int, fields: list[str]
    ) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = self._connection.call(
            "search",
            collection,
            [compared.astype(np.float32)],
            anns_field="vector",
            filter=condition,
            limit=limit,
            output_fields=fields,
            search_params=search_params(probes),
            consistency_level=EVENTUALLY,
        )[0]
        return found

    def _facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """The facts of entities, by their ids, of those that there are."""
        found = self.records.by_ids(ids, _FIELDS)
        return {one: Facts.read(entity["facts"], self._size) for one, entity in found}

    def _probes(self, k: int, filtered: bool) -> int:
        """How many lists of each segment are searched; more where few of its sounds are asked for."""
        probes = self._published.probes
        return min(_MOST_PROBES, probes.at(k) * (2 if filtered else 1)) if probes.first else 0

    def _whole_sounds(self, near: dict[int, Facts]) -> _Hits | None:
        """All hits of the sounds of which there are some; None for none."""
        if not near:
            return None
        of_sound = {one // MOST_HITS: facts for one, facts in near.items()}
        missing = [
            row * MOST_HITS + hit
            for row, facts in of_sound.items()
            if len(facts.biases) < facts.hits
            for hit in range(facts.hits)
            if row * MOST_HITS + hit not in near
        ]
        near = near | self._facts(missing)
        rows = sorted(of_sound)
        biases, embeddings = [], []
        for row in rows:
            facts = of_sound[row]
            its = [facts] if len(facts.biases) == facts.hits else self._each(near, row, facts.hits)
            biases += [one.biases for one in its]
            embeddings += [one.embeddings for one in its]
        counts = np.array([of_sound[row].hits for row in rows])
        try:
            file = VectorFile.of(
                np.concatenate(embeddings), self._columns, np.concatenate(biases) if self._biased else None
            )
        except LibraryError as error:
            raise DamagedIndexError(f"{self._connection.address}: {error}; run thud index again") from error
        first = np.repeat(np.cumsum(counts) - counts, counts)
        of_hit = np.repeat(np.arange(len(rows)), counts).tolist()
        each = [of_sound[row] for row in rows]
        return _Hits(
            np.repeat(np.array(rows, np.int64), counts) * MOST_HITS + np.arange(len(first)) - first,
            [each[one].sound for one in of_hit],
            np.array([each[one].material for one in of_hit], np.int64),
            np.array([each[one].recording for one in of_hit], np.int64),
            file,
        )

    @staticmethod
    def _each(near: dict[int, Facts], row: int, hits: int) -> list[Facts]:
        try:
            return [near[row * MOST_HITS + hit] for hit in range(hits)]
        except KeyError as error:
            raise DamagedIndexError("the collection lacks hits of a sound; run thud index again") from error

    def _ranked(self, query: Query, hits: _Hits, naming: list[dict[int, Facts]], most: int) -> RankedRows:
        every = np.arange(len(hits))
        gain, named = np.zeros(len(hits)), np.full(len(hits), -1)
        # The largest share last, so that it counts where a sound names several objects.
        rows = hits.rows
        for number, ((_, share), those) in enumerate(zip(query.named(), naming, strict=True)):
            places = np.isin(rows, np.array([one // MOST_HITS for one in those], np.int64))
            gain[places], named[places] = share, number
        if query.fit is not None and (lifted := np.flatnonzero(named >= 0)).size:
            materials = hits.materials[lifted]
            gain[lifted] *= query.fit(materials, hits.file.vectors(lifted[materials < 0]))
        nearness, cosines = hits.file.score(query.embedding, every)
        plain = worth(nearness, rows, nearness if len(np.unique(rows)) < len(rows) else None, rows)
        return best_first(rows, every, hits.ids % MOST_HITS, plain, cosines, gain, named, most)

    @staticmethod
    def _rows_of(hits: _Hits, sounds: Iterable[str]) -> Numbers:
        wanted = set(sounds)
        return hits.rows[[one in wanted for one in hits.sounds]]


def _nothing() -> RankedRows:
    none = np.zeros(0, np.int64)
    return RankedRows(none, none, none, np.zeros(0), np.zeros(0, np.float32), none, none)
