"""A search is what scoring every vector gives: by sound, with filters, page by page, with and without diversity."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.answers.diversity import diversified
from index.answers.file_store import FileStore
from index.answers.matches import Match
from index.answers.search import SoundIndex
from index.catalogue import SoundRecord
from index.catalogue.filters import SoundFilter
from index.nearest.vectors import IndexKind, VectorIndex
from model.errors import FilterError
from tests.index.catalogues import catalogue_of, number_of, sound
from tests.index.scored import SIZE, WOOD, by_hand, library


@contextmanager
def index_of(records: list[SoundRecord], vectors: VectorIndex) -> Iterator[SoundIndex]:
    spec = SimpleNamespace(id="0" * 16, bundle_id="1" * 16, sounds=len(records))
    with catalogue_of(records) as catalogue:
        store = FileStore(catalogue, vectors)
        yield SoundIndex(spec, Path(), catalogue, store)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sounds=st.integers(1, 60),
    most_hits=st.sampled_from([1, 3, 32]),
    k=st.integers(1, 70),
    biased=st.booleans(),
    kind=st.sampled_from(["flat", "ivf"]),
    only=st.sampled_from([None, WOOD]),
    share=st.sampled_from([0.0, 0.05]),
)
def test_a_search_is_what_scoring_every_vector_gives(
    seed: int,
    sounds: int,
    most_hits: int,
    k: int,
    biased: bool,
    kind: IndexKind,
    only: SoundFilter | None,
    share: float,
) -> None:
    records, vectors, drawn = library(seed, sounds, most_hits)
    biases = drawn if biased else None
    query = vectors[seed % len(vectors)]
    shares = {"cup": share}
    expected = by_hand(records, vectors, biases, query, only, shares)
    with index_of(records, VectorIndex.build(vectors, kind, biases=biases)) as index:
        found = index.search(query, k, shares, only=only)
        assert [(number_of(one.record), one.hit) for one in found] == expected[:k]
        assert all(one.span == (max(0, one.hit - 0.05), one.hit + 0.5) for one in found)
        assert (found.next is None) == (k >= len(expected))
        for diversity in (None, 0.7):
            whole = index.search(query, 1000, shares, only=only, diversity=diversity)
            assert sorted(number_of(one.record) for one in whole) == sorted(row for row, _ in expected)
            paged: list[Match] = []
            cursor = None
            while True:
                page = index.search(query, k, shares, only=only, diversity=diversity, cursor=cursor)
                paged += page
                if (cursor := page.next) is None:
                    break
                assert len(page) == k
            assert paged == list(whole) or share  # how many are `nearest` depends on the page
            assert [one.record for one in paged] == [one.record for one in whole]


def test_a_file_of_many_hits_is_not_near_to_everything() -> None:
    """Its chance to have a hit near to whatever is asked with grows with its hits; an answer is not full of it."""
    draws = np.random.default_rng(0)
    counts = [30] * 4 + [1] * 196
    vectors = draws.standard_normal((sum(counts), SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    records = [
        sound(row, hits=tuple(map(float, range(count))), ends=tuple(map(float, range(count))))
        for row, count in enumerate(counts)
    ]
    queries = draws.standard_normal((100, SIZE)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    with index_of(records, VectorIndex.build(vectors, "flat")) as index:
        found = [number_of(one.record) for query in queries for one in index.search(query, 10)]
    # Their hits are 38 % of all.
    assert 0.01 < np.mean(np.array(found) < 4) < 0.1


def test_a_file_is_found_by_its_second_hit() -> None:
    vectors = np.eye(4, SIZE, dtype=np.float32)
    records = [
        sound(0, hits=(0.0, 1.0, 2.0), ends=(0.9, 1.9, 2.9), hit=0.0),
        sound(1, hits=(0.0,), ends=(1.0,)),
    ]
    with index_of(records, VectorIndex.build(vectors, "flat")) as index:
        best = index.search(vectors[1], 1)[0]
    assert (number_of(best.record), best.hit, best.similarity) == (0, 1.0, 1.0)


def test_more_sounds_than_are_diversified_at_once() -> None:
    records, vectors, _ = library(3, 700, 1)
    query = vectors[0]
    with index_of(records, VectorIndex.build(vectors, "flat")) as index:
        plain = [number_of(one.record) for one in index.search(query, 700)]
        mixed = index.search(query, 700, diversity=0.5)
        for start in range(0, 700, 256):
            block = [number_of(one.record) for one in mixed[start : start + 256]]
            assert sorted(block) == sorted(plain[start : start + 256])
            assert block != plain[start : start + 256]
        first = index.search(query, 300, diversity=0.5)
        rest = index.search(query, 400, diversity=0.5, cursor=first.next)
        assert [*first, *rest] == [*mixed[:300], *mixed[300:]]


def test_similar_sounds_leave_out_the_sound_itself() -> None:
    records, vectors, _ = library(5, 40, 3)
    with index_of(records, VectorIndex.build(vectors, "flat")) as index:
        past = np.cumsum([len(record.hits) for record in records])
        for row, record in enumerate(records[:10]):
            query = vectors[past[row] - 1]  # that of its main hit
            expected = [one for one in by_hand(records, vectors, None, query, None, {}) if one[0] != row]
            first = index.similar(record.id, 7)
            rest = index.similar(record.id, 100, cursor=first.next)
            assert [(number_of(one.record), one.hit) for one in (*first, *rest)] == expected
            assert {one.record.material for one in index.similar(record.id, 40, only=WOOD)} == {"wood"}
        with pytest.raises(FilterError, match="no sound 'none'"):
            index.similar("none", 3)
        with pytest.raises(ValueError, match="from 0 to 1"):
            index.similar(records[0].id, 3, diversity=1.5)


def test_takes_of_one_object_do_not_fill_ten() -> None:
    """20 takes of one cup are nearest; four of the first ten are of it, at diversity 1 one."""
    values = np.linspace(0.9, 0.5, 60)
    vectors = np.random.default_rng(0).standard_normal((60, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:20] = vectors[0]
    recordings = np.where(np.arange(60) < 20, 0, np.arange(60))
    materials = np.zeros(60, np.int64)
    for diversity, most in ((0.1, 4), (0.5, 3), (0.7, 2), (1.0, 1)):
        order = diversified(values, vectors, materials, recordings, diversity, 60)
        assert sorted(order.tolist()) == list(range(60))
        for start in (0, 10):  # as long as there are others
            assert np.count_nonzero(recordings[order[start : start + 10]] == 0) <= most
    order = diversified(values, vectors, materials, recordings, 0.2, 10)
    assert order[0] == 0
    again = diversified(values, vectors, materials, recordings, 0.2, 60, before=order.tolist())
    assert [*order, *again] == diversified(values, vectors, materials, recordings, 0.2, 60).tolist()


def test_one_material_does_not_fill_ten() -> None:
    values = np.linspace(0.9, 0.5, 40)
    vectors = np.eye(40, dtype=np.float32)
    materials = np.where(np.arange(40) < 30, 3, -1)
    for diversity, most in ((0.2, 10), (0.5, 8), (1.0, 6)):
        order = diversified(values, vectors, materials, np.arange(40), diversity, 10)
        assert np.count_nonzero(materials[order] == 3) <= most
