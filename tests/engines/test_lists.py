"""Inverted lists of a Milvus server: what a filter leaves is compared whole, all other answers are nearly right."""

import numpy as np
import pytest

from index.answers.store import Query
from tests.engines.servers import MilvusServer
from tests.index.catalogues import number_of
from tests.index.milvus.lite import published
from tests.index.scored import WOOD, by_hand, library


def test_answers_of_lists(milvus: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.milvus.publisher.FLAT_UP_TO", 1000)
    records, vectors, biases = library(3, 3000, 6)
    right = []
    with published(milvus.address("lists", seconds=20, drain_seconds=0.01), records, vectors, biases) as store:
        assert store.published.spec.search.kind == "ivf"
        for number in (0, 500, 2500, 7000):
            query = Query(vectors[number], {"cup": 0.05})
            for only in (None, WOOD):
                expected = by_hand(records, vectors, biases, query.embedding, only, query.shares)[:10]
                found = store.search(query, 10, only).records(range(10))
                if only:
                    assert [number_of(one) for one in found] == [row for row, _ in expected]
                right.append(np.isin([number_of(one) for one in found], [row for row, _ in expected]).mean())
    assert np.mean(right) >= 0.95
