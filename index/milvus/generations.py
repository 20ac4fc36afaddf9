"""Generations of an index in a Milvus: which one is current, how another one becomes it.

    NAME_current                the pointers, one entity for each generation that became current: the one with the
                                largest number counts, so that it changes in one step, as no alias does
    NAME_g_ID_SECONDS           a generation, written once and read with the consistency level EVENTUALLY
    NAME_g_ID_SECONDS_whole     its embeddings in all columns, where pictures use some of them

The second that a collection's name has is when it was begun, so that two attempts have two names. A pointer is
written once its collections are whole, indexed, loaded and counted; it is read with the consistency level STRONG.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from index.address import MilvusAddress
from index.catalogue import Catalogue, SoundRecord
from index.generation import IndexSpec
from index.milvus.connection import LONG_SECONDS, CollectionMissingError, MilvusConnection
from index.milvus.entities import entities_of, schema_of
from index.nearest.recall import Probes, RecallMeter, imitated_pictures
from index.nearest.vector_file import Rows, VectorFile, Vectors
from index.nearest.vectors import FLAT_UP_TO, SearchRecord
from index.publishing import About, Prepared, spec_of
from model.errors import EngineAwayError, LibraryError
from model.files import first_problem
from model.progress import progress

STRONG, EVENTUALLY = "Strong", "Eventually"
MOST_FOUND = 16_384
"""Milvus gives at most so many entities for one question."""

_AT_ONCE = 256
"""Sounds that are sent together: some 2 MB, of the 64 that Milvus takes."""
_MOST_PARTITIONS, _IN_A_PARTITION = 16, 250_000
_QUERIES = 100
_MOST_LISTS = 65_536
_ABANDONED_SECONDS = 86_400
_POINTER_SIZE = 2  # of the vector that every collection of Milvus must have
_COUNT = ["count(*)"]


@dataclass(frozen=True)
class Published:
    """A generation that became current, as the `number`th: its collections (`whole`: "" for none) and its spec."""

    number: int
    collection: str
    whole: str
    spec: IndexSpec

    @property
    def probes(self) -> Probes:
        """How many lists of each segment are searched."""
        search = self.spec.search
        return Probes(search.probes, search.probes_at_most, search.most)


def current_of(connection: MilvusConnection) -> Published:
    """The current generation. Raises LibraryError where there is none, or it is of another version of Thud."""
    found = find_current(connection)
    if found is None:
        raise LibraryError(f"{connection.address} has no index; make one with thud index")
    return found


def find_current(connection: MilvusConnection) -> Published | None:
    """The current generation, None where there is none."""
    pointers = _pointers(connection)
    if not pointers:
        return None
    last = max(pointers, key=lambda one: int(one["number"]))
    try:
        spec = IndexSpec.model_validate_json(last["spec"])
    except ValidationError as error:
        raise LibraryError(
            f"{connection.address} has an index of another version of Thud ({first_problem(error)}); run thud "
            "index again"
        ) from error
    return Published(int(last["number"]), str(last["collection"]), str(last["whole"]), spec)


def current_pointer(address: MilvusAddress) -> tuple[int, str]:
    """What changes whenever another generation becomes current; (0, "") where there is none."""
    pointers = _pointers(_looking_at(address))
    return max(((int(one["number"]), str(one["collection"])) for one in pointers), default=(0, ""))


@lru_cache(4)
def _looking_at(address: MilvusAddress) -> MilvusConnection:
    """A connection that is kept: services look every few seconds."""
    return MilvusConnection(address)


def open_current(connection: MilvusConnection, bundle_id: str) -> Published:
    """The current generation, which `bundle_id` must have made, once it is seen to be whole.

    Raises LibraryError where it was made with another bundle, where Milvus has only a part of it or something else
    under its name, and as `current_of`.
    """
    found = current_of(connection)
    if found.spec.bundle_id != bundle_id:
        raise LibraryError(
            f"this index was made with bundle {found.spec.bundle_id}; you gave bundle {bundle_id}: run thud index "
            "again"
        )
    check_whole(connection, found)
    return found


def check_whole(connection: MilvusConnection, found: Published) -> None:
    """Raise LibraryError unless the collections have as many entities, of as many numbers, as the spec says."""
    spec = found.spec
    columns = len(spec.search.columns or range(spec.embedding_size))
    biased = spec.hubness is not None
    wanted = [(found.collection, columns + biased)]
    wanted += [(found.whole, spec.embedding_size + biased)] if found.whole else []
    for name, size in wanted:
        try:
            described = connection.call("describe_collection", name)
            vector = next(field for field in described["fields"] if field["name"] == "vector")
            there = int(vector["params"]["dim"])
            count = count_of(connection, name)
        except CollectionMissingError as error:
            raise LibraryError(
                f"{connection.address} names generation {spec.id}, which is not there; run thud index again"
            ) from error
        except (StopIteration, KeyError) as error:
            raise LibraryError(
                f"{name} in {connection.address} is not what Thud writes; run thud index again"
            ) from error
        if there != size:
            raise LibraryError(
                f"{name} in {connection.address} has vectors of {there} numbers, not {size}; run thud index again"
            )
        if count != spec.search.vectors:
            raise LibraryError(
                f"{name} in {connection.address} has {count:,} of {spec.search.vectors:,} vectors; run thud index "
                "again"
            )


def count_of(connection: MilvusConnection, collection: str, condition: str = "") -> int:
    """How many entities meet a condition."""
    found = connection.call(
        "query", collection, filter=condition, output_fields=_COUNT, consistency_level=EVENTUALLY
    )
    return int(found[0]["count(*)"])


class MilvusPublisher:
    """A `Publisher` of generations into a Milvus."""

    def __init__(self, address: MilvusAddress, say: Callable[[str], None] = lambda line: None) -> None:
        self._connection = MilvusConnection(address)
        self._address, self._say = address, say
        self._before: Published | None = None
        self._about: About | None = None
        self._prepared: Prepared | None = None
        self._file: VectorFile | None = None
        self._collection = self._whole = ""

    def current(self) -> IndexSpec | None:
        """See `Publisher`."""
        found = find_current(self._connection)
        return None if found is None else found.spec

    def reuse(
        self, identity: str, *, library_root: str, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool] | None:
        """See `Publisher`."""
        found = find_current(self._connection)
        if found is None or found.spec.id != identity:
            return None
        try:
            check_whole(self._connection, found)
        except EngineAwayError:
            raise
        except LibraryError as error:
            self._say(f"{error}; it is made anew")
            return None
        changes = {"library_root": library_root, "duplicates": duplicates, "skipped": skipped}
        spec = found.spec.model_copy(update=changes)
        if spec != found.spec:
            self._point(found.number + 1, found.collection, found.whole, spec)
        return spec, False

    def begin(self, about: About) -> None:
        """See `Publisher`. Collections that runs left a day ago and more are dropped."""
        self._before = find_current(self._connection)
        self._about = about
        self._collection = f"{self._address.name}_g_{about.id}_{int(time.time())}"
        now = time.time()
        used = set() if self._before is None else {self._before.collection, self._before.whole}
        for name, begun in self._generations():
            if name not in used and now - begun > _ABANDONED_SECONDS:
                self._drop(name)

    def add(self, prepared: Prepared) -> None:
        """See `Publisher`."""
        assert self._about is not None
        biases = None if prepared.hubs is None else prepared.hubs.biases
        file = VectorFile.of(prepared.vectors, prepared.columns, biases)
        self._file, self._prepared = file, prepared
        size = len(file.columns)
        self._make(self._collection, size + (biases is not None), whole=False)
        if size < file.size:
            self._whole = f"{self._collection}_whole"
            self._make(self._whole, file.size + (biases is not None), whole=True)
        with progress("sending", self._about.sounds, "sound") as bar:
            for block in _blocks(prepared.catalogue):
                for name in filter(None, (self._collection, self._whole)):
                    entities = list(_entities(block, file, whole=name == self._whole))
                    self._connection.call("insert", name, entities, seconds=LONG_SECONDS)
                bar.update(len(block.records))

    def commit(self) -> IndexSpec:
        """See `Publisher`."""
        assert self._about is not None
        assert self._file is not None
        lists = self._lists()
        for name in filter(None, (self._collection, self._whole)):
            self._index(name, lists, whole=name == self._whole)
        record = self._searched(lists)
        prepared = self._prepared
        assert prepared is not None
        spec = spec_of(self._about, self._file.size, record, prepared.hubs, {})
        found = Published(0 if self._before is None else self._before.number, self._collection, self._whole, spec)
        check_whole(self._connection, found)
        now = find_current(self._connection)
        if (now and now.number) != (self._before and self._before.number):
            raise LibraryError(
                f"another run has published into {self._address} meanwhile; nothing was changed, run it again"
            )
        self._point(found.number + 1, self._collection, self._whole, spec)
        return spec

    def drop(self) -> None:
        """See `Publisher`."""
        kept = find_current(self._connection)
        names = set() if kept is None else {kept.collection, kept.whole}
        unfinished = {self._collection, self._whole} - names - {""}
        for name in unfinished:
            self._drop(name)
        replaced = set() if self._before is None else {self._before.collection, self._before.whole} - names - {""}
        if kept is None or not replaced:
            return
        seconds = self._address.drain_seconds
        self._say(f"the generation before is dropped in {seconds:g} s, when nobody answers with it any more")
        time.sleep(seconds)
        for name in replaced:
            self._drop(name)
        old = [int(one["number"]) for one in _pointers(self._connection) if int(one["number"]) < kept.number]
        if old:
            self._connection.call("delete", _pointer_name(self._address), ids=old, seconds=LONG_SECONDS)

    def close(self) -> None:
        """See `Publisher`."""
        self._connection.close()

    def _make(self, name: str, size: int, *, whole: bool) -> None:
        self._connection.call(
            "create_collection",
            name,
            schema=schema_of(size, whole=whole),
            num_partitions=self._partitions(),
            consistency_level=EVENTUALLY,
            seconds=LONG_SECONDS,
        )

    def _partitions(self) -> int:
        """How many parts Milvus keeps entities in, by their partition key: each is searched on its own."""
        assert self._file is not None
        return max(1, min(_MOST_PARTITIONS, len(self._file) // _IN_A_PARTITION))

    def _lists(self) -> int:
        """How many inverted lists each segment has, 0 where all vectors are compared.

        A segment has sounds of one material, or of several.
        """
        assert self._file is not None
        assert self._about is not None
        if len(self._file) <= FLAT_UP_TO:
            return 0
        of_one = max(self._about.materials.values()) * len(self._file) / self._about.sounds
        most = max(of_one, len(self._file) / self._partitions())
        return max(16, min(_MOST_LISTS, round(4 * math.sqrt(most))))

    def _index(self, name: str, lists: int, *, whole: bool) -> None:
        call = self._connection.call
        call("flush", name, seconds=LONG_SECONDS)
        call("create_index", name, _index_params(lists, whole=whole), seconds=LONG_SECONDS)
        call("load_collection", name, seconds=LONG_SECONDS)

    def _searched(self, lists: int) -> SearchRecord:
        file, prepared = self._file, self._prepared
        assert file is not None
        assert prepared is not None
        if not lists:
            return SearchRecord(kind="flat", vectors=len(file), columns=prepared.columns, most=1)
        queries = prepared.queries
        imitated = queries is None
        if queries is None:
            spread = np.linspace(0, len(file) - 1, min(_QUERIES, len(file))).astype(np.int64)
            queries = imitated_pictures(file.vectors(spread), np.array(file.columns))
        some = queries[np.linspace(0, len(queries) - 1, min(_QUERIES, len(queries))).astype(np.int64)]
        meter = RecallMeter(_Lists(self._connection, self._collection, lists), file.comparing(some), len(file))
        first, most = meter.fewest_probes(meter.first_k), meter.fewest_probes(meter.largest_k)
        return SearchRecord(
            kind="ivf",
            vectors=len(file),
            columns=prepared.columns,
            recall_at_10=round(meter.recall(meter.first_k, first), 4),
            recall_at_most=round(meter.recall(meter.largest_k, most), 4),
            most=meter.largest_k,
            queries="imitated" if imitated else "pictures",
            probes=first,
            probes_at_most=max(first, most),
            trained_on=len(file),
        )

    def _point(self, number: int, collection: str, whole: str, spec: IndexSpec) -> None:
        name = _pointer_name(self._address)
        if not self._connection.call("has_collection", name, seconds=LONG_SECONDS):
            self._connection.call(
                "create_collection",
                name,
                schema=_pointer_schema(),
                index_params=_index_params(0, whole=False),
                consistency_level=STRONG,
                seconds=LONG_SECONDS,
            )
        entity = {
            "number": number,
            "collection": collection,
            "whole": whole,
            "spec": spec.model_dump_json(),
            "vector": np.zeros(_POINTER_SIZE, np.float32),
        }
        self._connection.call("insert", name, [entity], seconds=LONG_SECONDS)

    def _generations(self) -> Iterator[tuple[str, float]]:
        """The collections of generations, with the time at which they were begun."""
        wanted = re.compile(rf"{re.escape(self._address.name)}_g_[0-9a-f]{{16}}_([0-9]+)(_whole)?")
        for name in self._connection.call("list_collections", seconds=LONG_SECONDS):
            if match := wanted.fullmatch(name):
                yield name, float(match[1])

    def _drop(self, name: str) -> None:
        self._connection.call("drop_collection", name, seconds=LONG_SECONDS)


class _Lists:
    """The inverted lists of a collection, as `RecallMeter` asks them."""

    def __init__(self, connection: MilvusConnection, collection: str, lists: int) -> None:
        self._connection, self._collection, self._count = connection, collection, lists

    def __len__(self) -> int:
        return self._count

    def nearest(self, queries: Vectors, k: int, probes: int) -> tuple[Vectors, Rows]:
        """Scores and ids `[q, k]`; id -1 where there are fewer."""
        scores, ids = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1)
        found = self._connection.call(
            "search",
            self._collection,
            list(queries),
            anns_field="vector",
            limit=k,
            search_params=search_params(probes),
            consistency_level=EVENTUALLY,
            seconds=LONG_SECONDS,
        )
        for number, one in enumerate(found):
            scores[number, : len(one)] = [hit["distance"] for hit in one]
            ids[number, : len(one)] = [hit["id"] for hit in one]
        return scores, ids


def search_params(probes: int) -> dict[str, Any]:
    """How a collection is searched, `probes` lists of each segment, 0 for all vectors."""
    return {"metric_type": "IP", "params": {"nprobe": probes} if probes else {}}


def _index_params(lists: int, *, whole: bool) -> Any:
    from pymilvus import MilvusClient

    wanted = MilvusClient.prepare_index_params()
    # The whole vectors take six times as much memory; candidates are scored by the exact embeddings beside them.
    kind = ("IVF_SQ8" if whole else "IVF_FLAT") if lists else "FLAT"
    wanted.add_index("vector", index_type=kind, metric_type="IP", params={"nlist": lists} if lists else {})
    return wanted


def _pointer_name(address: MilvusAddress) -> str:
    return f"{address.name}_current"


def _pointer_schema() -> Any:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("number", DataType.INT64, is_primary=True)
    for name in ("collection", "whole"):
        schema.add_field(name, DataType.VARCHAR, max_length=255)
    schema.add_field("spec", DataType.VARCHAR, max_length=65_535)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=_POINTER_SIZE)
    return schema


def _pointers(connection: MilvusConnection) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = connection.call(
            "query",
            _pointer_name(connection.address),
            filter="number >= 0",
            output_fields=["number", "collection", "whole", "spec"],
            consistency_level=STRONG,
        )
    except CollectionMissingError:
        return []
    return found


@dataclass(frozen=True)
class _Block:
    """Records that follow one another, from `row` on; `vector` is the row of the first vector of the first."""

    records: list[SoundRecord]
    row: int
    vector: int


def _blocks(file: Path) -> Iterator[_Block]:
    """The records of a catalogue, some at a time."""
    vector = 0
    with closing(Catalogue(file)) as catalogue:
        for row in range(0, len(catalogue), _AT_ONCE):
            block = _Block(catalogue.rows(range(row, min(row + _AT_ONCE, len(catalogue)))), row, vector)
            yield block
            vector += sum(len(record.hits) for record in block.records)


def _entities(block: _Block, file: VectorFile, *, whole: bool) -> Iterator[dict[str, Any]]:
    vector = block.vector
    for row, record in enumerate(block.records, block.row):
        rows = slice(vector, vector + len(record.hits))
        embeddings = file.vectors(np.arange(rows.start, rows.stop))
        biases = None if file.biases is None else file.biases[rows]
        compared = file.compared(rows)
        if whole:
            compared = embeddings if biases is None else np.hstack([embeddings, -biases[:, None]])
        yield from entities_of(row, record, embeddings, biases, compared, whole=whole)
        vector = rows.stop
