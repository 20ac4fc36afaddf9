"""A Milvus server does what every `VectorStore` must do: the tests are those of tests/index/test_store.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from index.answers.store import VectorStore
from index.catalogue import SoundRecord
from index.nearest.vectors import Vectors
from tests.engines.servers import MilvusServer
from tests.index.milvus.lite import published
from tests.index.test_store import *  # noqa: F403 -- they are collected here, with the fixture below
from tests.index.test_store import MakeStore

_numbers = count()


@pytest.fixture
def made(  # type: ignore[no-redef] # this one is what they ask for
    milvus: MilvusServer,
) -> MakeStore:
    @contextmanager
    def store(records: list[SoundRecord], vectors: Vectors, biases: Vectors | None) -> Iterator[VectorStore]:
        address = milvus.address(f"contract_{next(_numbers)}", seconds=20, drain_seconds=0.01)
        with published(address, records, vectors, biases) as one:
            yield one

    return store
