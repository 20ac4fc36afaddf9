"""Publishing a generation into a Milvus: its collections, their index and recall, then the pointer."""

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from index.address import MilvusAddress
from index.generation import IndexSpec
from index.milvus.blocks import blocks_of, entities_in
from index.milvus.connection import LONG_SECONDS, EngineRefusedError, MilvusConnection
from index.milvus.entities import schema_of
from index.milvus.pointers import (
    ENTITIES,
    EVENTUALLY,
    Pointer,
    Published,
    check_whole,
    current_of,
    forget,
    point_to,
    pointers_of,
    search_params,
)
from index.nearest.recall import RecallMeter, imitated_pictures
from index.nearest.vector_file import Rows, VectorFile, Vectors
from index.nearest.vectors import FLAT_UP_TO, SearchRecord
from index.publishing import About, Prepared, spec_of
from model.errors import EngineAwayError, LibraryError
from model.progress import progress

_QUERIES = 256
_MOST_LISTS = 65_536
_MOST_PARTITIONS, _IN_A_PARTITION = 16, 250_000
_ABANDONED_SECONDS = 86_400
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class MilvusPublisher:
    """A `Publisher` of generations into a Milvus."""

    def __init__(self, address: MilvusAddress, say: Callable[[str], None] = lambda line: None) -> None:
        self._connection = MilvusConnection(address)
        self._address, self._say = address, say
        self._before: Pointer | None = None
        self._about: About | None = None
        self._prepared: Prepared | None = None
        self._file: VectorFile | None = None
        self._collections: list[str] = []
        self._pointed = False

    def reuse(
        self, identity: str, *, library_root: str, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool] | None:
        """See `Publisher`."""
        if not pointers_of(self._connection):
            return None
        try:
            found = current_of(self._connection)
            if found.spec.id != identity:
                return None
            check_whole(self._connection, found)
        except EngineAwayError:
            raise
        except LibraryError as error:
            self._say(f"{error}; it is made anew")
            return None
        changes = {"library_root": library_root, "duplicates": duplicates, "skipped": skipped}
        spec = found.spec.model_copy(update=changes)
        if spec != found.spec:
            point_to(
                self._connection, Pointer(time.time_ns(), found.collection, found.whole, spec.model_dump_json())
            )
        self._tidy()
        return spec, False

    def begin(self, about: About) -> None:
        """See `Publisher`. What runs have left a day ago and more is dropped."""
        self._before = self._newest()
        self._about, self._collections, self._pointed = about, [], False
        self._tidy()
        used = {name for one in pointers_of(self._connection) for name in (one.collection, one.whole)}
        for name, begun in self._generations():
            if name not in used and time.time() - begun > _ABANDONED_SECONDS:
                self._drop(name)

    def add(self, prepared: Prepared) -> None:
        """See `Publisher`."""
        assert self._about is not None
        biases = None if prepared.hubs is None else prepared.hubs.biases
        file = VectorFile.of(prepared.vectors, prepared.columns, biases)
        self._file, self._prepared = file, prepared
        name = f"{self._address.name}_g{ENTITIES}_{self._about.id}_{int(time.time())}_{secrets.token_hex(3)}"
        size = len(file.columns)
        self._make(name, size + (biases is not None), whole=False)
        if size < file.size:
            self._make(f"{name}_whole", file.size + (biases is not None), whole=True)
        with progress("sending", self._about.sounds, "sound") as bar:
            for block in blocks_of(prepared.catalogue):
                for one in self._collections:
                    self._send(one, list(entities_in(block, file, whole=one != name)))
                bar.update(len(block.records))

    def commit(self) -> IndexSpec:
        """See `Publisher`. Of two runs at the same moment the later one counts."""
        assert self._about is not None
        assert self._file is not None
        assert self._prepared is not None
        lists = self._lists()
        for name in self._collections:
            self._index(name, lists)
        spec = spec_of(self._about, self._file.size, self._searched(lists), self._prepared.hubs, {})
        collection, whole = (*self._collections, "")[:2]
        check_whole(self._connection, Published(0, collection, whole, spec))
        if self._newest() != self._before:
            raise self._overtaken()
        self._pointed = True  # from here on it may be current, whatever happens to the answer
        pointer = Pointer(time.time_ns(), collection, whole, spec.model_dump_json())
        point_to(self._connection, pointer)
        if self._newest() != pointer:
            raise self._overtaken()
        return spec

    def drop(self) -> None:
        """See `Publisher`."""
        if not self._pointed:
            for name in self._collections:
                self._drop(name)
            return
        if len(pointers_of(self._connection)) > 1:
            seconds = self._address.drain_seconds
            self._say(f"the generation before is dropped in {seconds:g} s, when nobody answers with it any more")
            time.sleep(seconds)
        self._tidy()

    def close(self) -> None:
        """See `Publisher`."""
        self._connection.close()

    def _newest(self) -> Pointer | None:
        pointers = pointers_of(self._connection)
        return pointers[-1] if pointers else None

    def _overtaken(self) -> LibraryError:
        return LibraryError(f"another run has published into {self._address} meanwhile; run it again")

    def _tidy(self) -> None:
        """Drop the generations that were replaced so long ago that nobody answers with them."""
        pointers = pointers_of(self._connection)
        if not pointers or time.time_ns() - pointers[-1].number < self._address.drain_seconds * 10**9:
            return
        current = pointers[-1]
        for old in pointers[:-1]:
            for name in {old.collection, old.whole} - {current.collection, current.whole, ""}:
                self._drop(name)
        forget(self._connection, pointers[:-1])

    def _make(self, name: str, size: int, *, whole: bool) -> None:
        self._collections.append(name)
        self._connection.call(
            "create_collection",
            name,
            schema=schema_of(size, whole=whole),
            num_partitions=self._partitions(),
            consistency_level=EVENTUALLY,
            seconds=LONG_SECONDS,
        )

    def _send(self, name: str, entities: Sequence[dict[str, Any]]) -> None:
        """Insert entities once: Milvus keeps what it was sent twice, twice."""
        try:
            self._connection.call("insert", name, entities, seconds=LONG_SECONDS, attempts=1)
        except EngineAwayError:
            ids = [entity["id"] for entity in entities]
            self._connection.call("delete", name, ids=ids, seconds=LONG_SECONDS)
            self._connection.call("insert", name, entities, seconds=LONG_SECONDS, attempts=1)

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

    def _index(self, name: str, lists: int) -> None:
        from pymilvus import MilvusClient

        call = self._connection.call
        wanted = MilvusClient.prepare_index_params()
        params = {"nlist": lists} if lists else {}
        kind = "IVF_FLAT" if lists else "FLAT"
        wanted.add_index("vector", index_name="vector", index_type=kind, metric_type="IP", params=params)
        call("flush", name, seconds=LONG_SECONDS)
        if lists:
            self._compact(name)
        call("create_index", name, wanted, seconds=LONG_SECONDS, sync=False)
        self._wait("indexing in Milvus", lambda: self._indexed(name))
        call("load_collection", name, seconds=LONG_SECONDS, _async=True)
        self._wait("loading in Milvus", lambda: self._loaded(name))

    def _compact(self, name: str) -> None:
        """Have small segments merged now: later it would change recall, and take the time of those who ask."""
        try:
            job = self._connection.call("compact", name, seconds=LONG_SECONDS)
        except EngineRefusedError:
            return  # Milvus Lite has no segments to merge

        def done() -> float:
            state = self._connection.call("get_compaction_state", job, seconds=LONG_SECONDS)
            return float("completed" in str(state).lower())

        self._wait("merging in Milvus", done)

    def _indexed(self, name: str) -> float:
        """The share of the vectors that are in the index; 1 when all is done."""
        told = self._connection.call("describe_index", name, index_name="vector", seconds=LONG_SECONDS)
        if told.get("state", "Finished") == "Failed":
            raise LibraryError(f"{self._address} could not index {name}: {told.get('index_state_fail_reason', '')}")
        if told.get("state", "Finished") == "Finished" and not told.get("pending_index_rows"):
            return 1.0
        return min(0.99, int(told.get("indexed_rows", 0)) / max(1, int(told.get("total_rows", 0))))

    def _loaded(self, name: str) -> float:
        told = self._connection.call("get_load_state", name, seconds=LONG_SECONDS)
        if str(getattr(told["state"], "name", told["state"])) == "Loaded":
            return 1.0
        return min(0.99, float(told.get("progress") or 0) / 100)

    @staticmethod
    def _wait(title: str, done: Callable[[], float]) -> None:
        """Wait until all is done, for as long as it takes: of a large library hours."""
        with progress(title, 100, "percent") as bar:
            shown, pause = 0, _FIRST_PAUSE
            while (share := done()) < 1:
                bar.update(max(0, int(100 * share) - shown))
                shown = max(shown, int(100 * share))
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)

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
        meter = RecallMeter(_Lists(self._connection, self._collections[0], lists), file.comparing(some), len(file))
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

    def _generations(self) -> Iterator[tuple[str, float]]:
        """The collections of generations, with the time at which they were begun."""
        name = re.escape(self._address.name)
        wanted = re.compile(rf"{name}_g[0-9]+_[0-9a-f]{{16}}_([0-9]+)_[0-9a-f]{{6}}(_whole)?")
        for one in self._connection.call("list_collections", seconds=LONG_SECONDS):
            if match := wanted.fullmatch(one):
                yield one, float(match[1])

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
