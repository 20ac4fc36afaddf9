"""Inverted lists of a Milvus server: what a filter leaves is compared whole, all other answers are nearly right."""

from typing import Any

import numpy as np
import pytest

from index.answers.milvus_store import MilvusStore
from index.answers.store import Query
from tests.engines.servers import MilvusServer
from tests.index.catalogues import number_of
from tests.index.milvus.lite import published
from tests.index.scored import WOOD, by_hand, library


def test_answers_of_lists(milvus: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.milvus.publisher.FLAT_UP_TO", 1000)
    records, vectors, biases = library(3, 3000, 6)
    right, probes = [], list[int]()
    found_in = MilvusStore._found

    def noted(store: MilvusStore, *arguments: Any) -> Any:
        probes.append(arguments[4])
        return found_in(store, *arguments)

    monkeypatch.setattr(MilvusStore, "_found", noted)
    with published(milvus.address("lists", seconds=20, drain_seconds=0.01), records, vectors, biases) as store:
        assert store.published.spec.search.kind == "ivf"
        for number in (0, 500, 2500, 7000):
            query = Query(vectors[number], {"cup": 0.05})
            for few, only in ((100_000, WOOD), (0, WOOD), (0, None)):
                monkeypatch.setattr("index.answers.milvus_store._FEW", few)
                probes.clear()
                right_order = by_hand(records, vectors, biases, query.embedding, only, query.shares)
                expected = [row for row, _ in right_order[:10]]
                found = [number_of(one) for one in store.search(query, 10, only).records(range(10))]
                if few:
                    assert found == expected
                    assert set(probes) == {65_536}
                else:
                    assert min(probes) < 65_536
                    right.append(np.isin(found, expected).mean())
    assert np.mean(right) >= 0.9
