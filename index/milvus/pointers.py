"""Which generation of an index in a Milvus is current, and whether it is whole.

    NAME_current                the pointers, one entity for each generation that became current: the one with the
                                largest number counts, so that it changes in one step, as no alias does
    NAME_g1_ID_SECONDS_…        a generation, written once and read with the consistency level EVENTUALLY; 1 is
                                the format of its entities (`ENTITIES`)
    NAME_g1_ID_SECONDS_…_whole  its embeddings in all columns, where pictures use some of them

A pointer is written once its collections are whole, indexed, loaded and counted; it is read with the consistency
level STRONG. Its number is when it was written, in nanoseconds since 1970: no two runs write the same.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import ValidationError

from index.address import MilvusAddress
from index.generation import IndexSpec
from index.milvus.connection import LONG_SECONDS, CollectionMissingError, EngineRefusedError, MilvusConnection
from index.nearest.recall import Probes
from model.errors import LibraryError
from model.files import first_problem

ENTITIES = 1
"""The number of what entities hold. Another number, and each index is made anew by the next run."""
STRONG, EVENTUALLY = "Strong", "Eventually"
MOST_FOUND = 16_384
"""Milvus gives at most so many entities for one question."""

_SIZE = 2  # of the vector that every collection of Milvus must have
_FIELDS = ["number", "collection", "whole", "spec"]


@dataclass(frozen=True)
class Pointer:
    """A generation that became current: its collections (`whole`: "" for none), its spec as text."""

    number: int
    collection: str
    whole: str
    spec: str


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
    pointers = pointers_of(connection)
    if not pointers:
        raise LibraryError(f"{connection.address} has no index; make one with thud index")
    last = pointers[-1]
    try:
        spec = IndexSpec.model_validate_json(last.spec)
    except ValidationError as error:
        raise LibraryError(
            f"{connection.address} has an index of another version of Thud ({first_problem(error)}); run thud "
            "index again"
        ) from error
    return Published(last.number, last.collection, last.whole, spec)


def current_pointer(address: MilvusAddress) -> tuple[int, str]:
    """What changes whenever another generation becomes current; (0, "") where there is none."""
    pointers = pointers_of(_looking_at(address))
    return (pointers[-1].number, pointers[-1].collection) if pointers else (0, "")


@lru_cache(4)
def _looking_at(address: MilvusAddress) -> MilvusConnection:
    """A connection that is kept: services look every few seconds."""
    return MilvusConnection(address)


def open_current(connection: MilvusConnection, bundle_id: str) -> Published:
    """The current generation, which `bundle_id` must have made, loaded, once it is seen to be whole.

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
    """Raise LibraryError unless the collections have as many entities, of as many numbers, as the spec says.

    A collection that somebody has released from memory is loaded.
    """
    if not found.collection.startswith(f"{connection.address.name}_g{ENTITIES}_"):
        raise LibraryError(
            f"{connection.address} has an index of another version of Thud, {found.collection}; run thud index "
            "again"
        )
    spec = found.spec
    columns = len(spec.search.columns or range(spec.embedding_size))
    biased = spec.hubness is not None
    wanted = [(found.collection, columns + biased)]
    wanted += [(found.whole, spec.embedding_size + biased)] if found.whole else []
    for name, size in wanted:
        try:
            connection.call("load_collection", name, seconds=LONG_SECONDS)
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
        "query", collection, filter=condition, output_fields=["count(*)"], consistency_level=EVENTUALLY
    )
    return int(found[0]["count(*)"])


def pointers_of(connection: MilvusConnection) -> list[Pointer]:
    """All pointers, the current one last."""

    def asked() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = connection.call(
            "query",
            _collection(connection.address),
            filter="number >= 0",
            output_fields=_FIELDS,
            consistency_level=STRONG,
        )
        return found

    try:
        try:
            found = asked()
        except CollectionMissingError:
            raise
        except EngineRefusedError:  # it is not in memory: somebody has released it, or a run ended before it was
            connection.call("load_collection", _collection(connection.address), seconds=LONG_SECONDS)
            found = asked()
    except CollectionMissingError:
        return []
    every = [Pointer(int(one["number"]), str(one["collection"]), str(one["whole"]), one["spec"]) for one in found]
    return sorted(every, key=lambda one: (one.number, one.collection))


def point_to(connection: MilvusConnection, pointer: Pointer) -> None:
    """Make a generation the current one."""
    from pymilvus import DataType, MilvusClient

    name = _collection(connection.address)
    if not connection.call("has_collection", name, seconds=LONG_SECONDS):
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("number", DataType.INT64, is_primary=True)
        for field in ("collection", "whole"):
            schema.add_field(field, DataType.VARCHAR, max_length=255)
        schema.add_field("spec", DataType.VARCHAR, max_length=65_535)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=_SIZE)
        connection.call("create_collection", name, schema=schema, consistency_level=STRONG, seconds=LONG_SECONDS)
    if not connection.call("list_indexes", name, seconds=LONG_SECONDS):
        wanted = MilvusClient.prepare_index_params()
        wanted.add_index("vector", index_type="FLAT", metric_type="IP", params={})
        connection.call("create_index", name, wanted, seconds=LONG_SECONDS)
    connection.call("load_collection", name, seconds=LONG_SECONDS)
    entity = vars(pointer) | {"vector": np.zeros(_SIZE, np.float32)}
    connection.call("insert", name, [entity], seconds=LONG_SECONDS)


def forget(connection: MilvusConnection, pointers: list[Pointer]) -> None:
    """Remove pointers."""
    ids = [one.number for one in pointers]
    if ids:
        connection.call("delete", _collection(connection.address), ids=ids, seconds=LONG_SECONDS)


def search_params(probes: int) -> dict[str, Any]:
    """How a collection is searched, `probes` lists of each segment, 0 for all vectors."""
    return {"metric_type": "IP", "params": {"nprobe": probes} if probes else {}}


def _collection(address: MilvusAddress) -> str:
    return f"{address.name}_current"
