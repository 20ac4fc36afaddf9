"""What every `VectorStore` must do. Another engine is one more entry in `STORES`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest

from index.answers.file_store import FileStore
from index.answers.store import Query, VectorId, VectorStore
from index.catalogue import SoundRecord
from index.catalogue.cursors import PATH_KEPT, RankPlace
from index.catalogue.filters import SoundFilter
from index.nearest.vectors import VectorIndex, Vectors
from model.errors import LibraryError
from tests.index.catalogues import catalogue_of, number_of, sound
from tests.index.milvus.lite import new_address, published
from tests.index.scored import SIZE, WOOD, by_hand, library

MakeStore = Callable[[list[SoundRecord], Vectors, Vectors | None], AbstractContextManager[VectorStore]]


@contextmanager
def flat(records: list[SoundRecord], vectors: Vectors, biases: Vectors | None) -> Iterator[VectorStore]:
    with catalogue_of(records) as catalogue:
        yield FileStore(catalogue, VectorIndex.build(vectors, "flat", biases=biases))


@contextmanager
def lists(records: list[SoundRecord], vectors: Vectors, biases: Vectors | None) -> Iterator[VectorStore]:
    with catalogue_of(records) as catalogue:
        yield FileStore(catalogue, VectorIndex.build(vectors, "ivf", biases=biases))


@contextmanager
def milvus(records: list[SoundRecord], vectors: Vectors, biases: Vectors | None) -> Iterator[VectorStore]:
    with published(new_address(), records, vectors, biases) as store:
        yield store


STORES: dict[str, MakeStore] = {"flat": flat, "lists": lists, "milvus": milvus}


@pytest.fixture(params=STORES)
def made(request: pytest.FixtureRequest) -> MakeStore:
    return STORES[request.param]


def after(found: list[tuple[SoundRecord, float]]) -> RankPlace:
    record, value = found[-1]
    return RankPlace.after(len(found), value, record.path, record.id)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("where", [None, WOOD])
@pytest.mark.parametrize("share", [0.0, 0.05])
def test_pages_of_a_search_are_what_scoring_every_vector_gives(
    made: MakeStore, biased: bool, where: SoundFilter | None, share: float
) -> None:
    records, vectors, drawn = library(7, 60, 4)
    biases = drawn if biased else None
    with made(records, vectors, biases) as store:
        assert len(store) == 60
        for number in (0, 20, 50):
            query = Query(vectors[number], {"cup": share})
            expected = by_hand(records, vectors, biases, query.embedding, where, query.shares)
            given: list[tuple[SoundRecord, float]] = []
            hits: list[float] = []
            while True:
                found = store.search(query, 7, where, after(given) if given else None)
                at = range(len(found))
                page = found.records(at)
                assert found.ids(at) == [one.id for one in page]
                assert found.materials.tolist() == [
                    {"wood": 15, "metal": 3, None: -1}[one.material] for one in page
                ]
                assert [bool(one >= 0) for one in found.named] == [bool(share and one.objects) for one in page]
                cosines = found.vectors(at) @ query.embedding
                np.testing.assert_allclose(found.similarities, cosines, atol=2e-6)
                given += zip(page, found.values.tolist(), strict=True)
                hits += [one.hits[hit] for one, hit in zip(page, found.hits.tolist(), strict=True)]
                if not found.more:
                    break
                assert len(found) == 7
            assert [(number_of(one), hit) for (one, _), hit in zip(given, hits, strict=True)] == expected
            assert [value for _, value in given] == sorted((value for _, value in given), reverse=True)
            assert np.all(found.places < len(expected))


def test_sounds_of_many_hits(made: MakeStore) -> None:
    records, vectors, biases = library(3, 25, 12)
    with made(records, vectors, biases) as store:
        for number in (0, 9, 40):
            query = Query(vectors[number])
            expected = by_hand(records, vectors, biases, query.embedding, None, {})
            found = store.search(query, 25)
            given = zip(found.records(range(25)), found.hits.tolist(), strict=True)
            assert [(number_of(one), one.hits[hit]) for one, hit in given] == expected


def test_a_sound_can_be_left_out(made: MakeStore) -> None:
    records, vectors, _ = library(5, 30, 3)
    with made(records, vectors, None) as store:
        query = Query(vectors[0])
        whole = store.search(query, 30).ids(range(30))
        for without in ((whole[0],), (whole[12],), (whole[3], whole[0], whole[29])):
            found = store.search(query, 30, without=without)
            assert not found.more
            assert found.ids(range(len(found))) == [one for one in whole if one not in without]
        assert store.search(query, 30, without=("0" * 20,)).ids(range(30)) == whole


def test_vectors_by_their_ids(made: MakeStore) -> None:
    records, vectors, _ = library(5, 30, 3)
    ids = [VectorId(record.id, hit) for record in records for hit in range(len(record.hits))]
    order = np.random.default_rng(0).permutation(len(ids)).tolist()
    with made(records, vectors, None) as store:
        np.testing.assert_array_equal(store.vectors([ids[place] for place in order]), vectors[order])
        assert store.vectors([]).shape == (0, SIZE)
        for none in (
            VectorId("0" * 20, 0),
            VectorId(records[0].id, len(records[0].hits)),
            VectorId(records[0].id, -1),
        ):
            with pytest.raises(KeyError):
                store.vectors([ids[0], none])


def test_what_cannot_be_asked_is_refused(made: MakeStore) -> None:
    records, vectors, _ = library(5, 5, 1)
    with made(records, vectors, None) as store:
        with pytest.raises(ValueError, match="at least 1"):
            store.search(Query(vectors[0]), 0)
        for wrong in (vectors[0, :-1], np.full(SIZE, np.nan, np.float32)):
            with pytest.raises(ValueError, match="8 finite numbers"):
                store.search(Query(wrong), 3)
        assert len(store.search(Query(vectors[0]), 3, SoundFilter(tag=("none",)))) == 0


def test_a_store_says_whether_it_can_answer(made: MakeStore) -> None:
    records, vectors, _ = library(5, 5, 2)
    with made(records, vectors, None) as store:
        store.health()
        store.close()
        store.close()
        for asked in (store.health, lambda: store.search(Query(vectors[0]), 3, WOOD).records([0])):
            with pytest.raises(LibraryError):
                asked()


def test_paths_of_any_length_do_not_end_paging(made: MakeStore) -> None:
    """A place keeps the beginning of a path: where many begin alike, the id says after which of them it is."""
    deep = "/".join(["a folder with a long name"] * 400)
    assert len(deep) > 8192 > PATH_KEPT
    records = [sound(row, path=f"{deep}/{row:02}.wav") for row in range(20)]
    vectors = np.zeros((20, SIZE), np.float32)
    vectors[:, 0] = 1  # all are equally near
    with made(records, vectors, None) as store:
        given: list[tuple[SoundRecord, float]] = []
        while True:
            found = store.search(Query(vectors[0]), 3, None, after(given) if given else None)
            given += zip(found.records(range(len(found))), found.values.tolist(), strict=True)
            if not found.more:
                break
        assert [one for one, _ in given] == records
    # The sound is gone since: what begins alike comes again, and nothing is lost.
    with made(records[10:], vectors[10:], None) as store:
        rest = store.search(Query(vectors[0]), 20, None, after(given[:5]))
        assert rest.records(range(len(rest))) == records[10:]
