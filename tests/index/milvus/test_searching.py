"""What a search asks of a Milvus: as little as it can."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from index.answers.milvus_store import MilvusStore
from index.answers.store import Query
from index.milvus.connection import MilvusConnection
from index.milvus.entities import number_of
from index.nearest.vectors import Vectors
from tests.index.milvus.lite import new_address, published
from tests.index.scored import WOOD, library


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[MilvusStore, Vectors]]:
    records, vectors, _ = library(7, 60, 3)
    with published(new_address(), records, vectors) as store:
        yield store, vectors


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each method was called, and each object searched for."""
    calls: Counter[str] = Counter()
    call = MilvusConnection.call

    def noted(self: MilvusConnection, method: str, *arguments: Any, **options: Any) -> Any:
        calls[method] += 1
        for name in ("cup", "violin"):
            if method == "search" and str(number_of("object", name)) in options["filter"]:
                calls[name] += 1
        return call(self, method, *arguments, **options)

    monkeypatch.setattr(MilvusConnection, "call", noted)
    return calls


def test_candidates_come_with_what_orders_them(made: tuple[MilvusStore, Vectors], asked: Counter[str]) -> None:
    store, vectors = made
    for number in range(3):
        found = store.search(Query(vectors[number]), 10, WOOD)
        assert len(found.vectors(range(10))) == len(found.materials) == 10
    assert asked == {"search": 3}
    assert len(found.records(range(10))) == 10
    assert asked == {"search": 3, "get": 1}


def test_what_no_sound_names_is_not_searched_for(made: tuple[MilvusStore, Vectors], asked: Counter[str]) -> None:
    store, vectors = made
    for number in range(3):
        store.search(Query(vectors[number], {"cup": 0.1, "violin": 0.2}), 5)
    assert asked == {"query": 2, "search": 6, "cup": 3}
