"""A Milvus server does what every `VectorStore` must do: the tests are those of tests/index/test_store.py."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count

import pytest

from index.answers.store import VectorStore
from index.catalogue import SoundRecord
from index.milvus.connection import MilvusConnection
from index.nearest.vectors import Vectors
from tests.engines.servers import MilvusServer
from tests.index import test_store
from tests.index.milvus.lite import published
from tests.index.test_store import MakeStore

_numbers = count()

# They are collected here, where the fixture that they ask for is the one below.
globals().update({name: one for name, one in vars(test_store).items() if name.startswith("test_")})


@pytest.fixture
def made(milvus: MilvusServer) -> MakeStore:
    @contextmanager
    def store(records: list[SoundRecord], vectors: Vectors, biases: Vectors | None) -> Iterator[VectorStore]:
        address = milvus.address(f"contract_{next(_numbers)}", seconds=20, drain_seconds=0.01)
        with published(address, records, vectors, biases) as one:
            yield one
        # What is loaded is loaded again when the server is started again, which other tests wait for.
        with closing(MilvusConnection(address)) as connection:
            for name in connection.call("list_collections"):
                if name.startswith(f"{address.name}_"):
                    connection.call("drop_collection", name)

    return store
