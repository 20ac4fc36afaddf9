"""A search compares the columns that pictures use: among some rows, in lists, with centroids used again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.nearest import vectors as index_vectors
from index.nearest.recall import WANTED_RECALL
from index.nearest.vectors import (
    LISTS,
    VECTORS,
    IndexKind,
    VectorIndex,
    Vectors,
    normalised,
)
from model.bundle import QUERIES
from model.unit_vectors import save_unit_vectors
from tests.index.conftest import Strike
from tests.index.test_vectors import COLUMNS, COUNT, SIZE, clustered
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def library() -> Vectors:
    return clustered(COUNT)


def pictures(count: int, columns: tuple[int, ...] = COLUMNS) -> Vectors:
    """Unit vectors that are 0 outside these columns."""
    found = np.zeros((count, SIZE), np.float32)
    found[:, columns] = np.random.default_rng(7).standard_normal((count, len(columns)))
    return normalised(found)


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(1, 80),
    k=st.integers(1, 90),
    kind=st.sampled_from(["flat", "ivf"]),
    columns=st.sampled_from([None, COLUMNS, (0, 1, 2), (5, 127)]),
    of_picture=st.booleans(),
    biased=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_search_among_some_rows_is_brute_force(
    count: int,
    k: int,
    kind: IndexKind,
    columns: tuple[int, ...] | None,
    of_picture: bool,
    biased: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    vectors = clustered(count, seed, clusters=3)[rng.integers(count, size=count)]  # with copies
    biases = rng.standard_normal(count).astype(np.float32) if biased else None
    index = VectorIndex.build(vectors, kind, biases=biases, columns=columns)
    query = (
        pictures(1, columns or COLUMNS)[0]
        if of_picture
        else normalised(rng.standard_normal((1, SIZE), np.float32))[0]
    )
    among = np.flatnonzero(rng.random(count) < rng.random())
    similarities, rows = index.search(query, k, among)
    cosines = vectors.astype(np.float64) @ query.astype(np.float64)
    values = np.round(cosines - (0 if biases is None else biases), 6).astype(np.float32)
    expected = among[np.lexsort((among, -values[among]))][:k]
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(similarities, cosines[rows], atol=6e-7)
    if columns is not None and not of_picture:  # exact in an index of any kind, also where all are searched
        assert index.search(query, k)[1].tolist() == np.lexsort((np.arange(count), -values))[:k].tolist()


def test_the_columns_of_pictures_give_their_whole_cosines(library: Vectors) -> None:
    whole, narrow = VectorIndex.build(library), VectorIndex.build(library, columns=COLUMNS)
    for query in pictures(20):
        similarities, rows = narrow.search(query, 30)
        expected = whole.search(query, 30)
        assert np.array_equal(similarities, expected[0])
        assert np.array_equal(rows, expected[1])


@pytest.fixture(scope="module")
def narrow(library: Vectors) -> VectorIndex:
    return VectorIndex.build(library, "ivf", threads=2, columns=COLUMNS, queries=pictures(200))


def test_the_record_says_how_many_lists_it_takes(library: Vectors, narrow: VectorIndex) -> None:
    record = narrow.record
    assert (record.kind, record.vectors, record.columns, record.most) == ("ivf", COUNT, COLUMNS, 1000)
    assert (record.queries, record.trained_on) == ("pictures", COUNT)
    assert min(record.recall_at_10, record.recall_at_most) >= WANTED_RECALL
    assert 0 < record.probes < record.probes_at_most
    asked = pictures(200)
    for k, recall in ((10, record.recall_at_10), (1000, record.recall_at_most)):
        found = [len(set(narrow.search(one, k)[1]) & set(np.argsort(-(library @ one))[:k])) for one in asked]
        assert sum(found) / (k * len(asked)) == pytest.approx(recall, abs=0.002)


def test_without_pictures_they_are_imitated(library: Vectors) -> None:
    record = VectorIndex.build(library, "ivf", threads=2, columns=COLUMNS).record
    assert record.queries == "imitated"
    assert record.recall_at_10 >= WANTED_RECALL


@pytest.mark.parametrize("of_one_list", [True, False])
def test_a_filter_that_keeps_many_loses_little(
    library: Vectors, narrow: VectorIndex, of_one_list: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose rows all lie together, far from most queries: a material of a labelled library."""
    monkeypatch.setattr(index_vectors, "EXACT_AMONG_UP_TO", 0)
    centre = pictures(1)[0]
    among = np.sort(np.argsort(library @ centre)[:900] if of_one_list else np.arange(0, COUNT, 7))
    found = 0
    for query in pictures(100):
        similarities, rows = narrow.search(query, 10, among)
        assert set(rows.tolist()) <= set(among.tolist())
        np.testing.assert_allclose(similarities, library[rows] @ query, atol=2e-6)
        found += len(set(rows) & set(among[np.argsort(-(library[among] @ query))[:10]]))
        everything = narrow.search(query, COUNT, among)[1]
        assert sorted(everything.tolist()) == among.tolist()
    assert found / 1000 >= 0.98


def test_copies_tie_also_in_lists_and_among_some(library: Vectors) -> None:
    copied = library.copy()
    copies = [5, 700, 1500, 5999]
    copied[copies] = copied[5]
    index = VectorIndex.build(copied, "ivf", columns=COLUMNS)
    query = np.zeros(SIZE, np.float32)
    query[list(COLUMNS)] = copied[5, COLUMNS]
    query = normalised(query[None])[0]
    rows = index.search(query, 300)[1].tolist()
    place = rows.index(5)
    assert rows[place : place + 4] == copies
    assert index.search(query, place + 2)[1].tolist()[-2:] == copies[:2]
    assert index.search(query, 1, np.array(copies[2:]))[1].tolist() == [1500]


def test_centroids_are_used_again_until_the_library_has_doubled() -> None:
    first = VectorIndex.build(clustered(600), "ivf", columns=COLUMNS)

    def trained_on(count: int, previous: VectorIndex = first, **options: Any) -> int:
        given: dict[str, Any] = {"columns": COLUMNS, "previous": previous} | options
        return VectorIndex.build(clustered(count, seed=3), "ivf", **given).record.trained_on

    assert (trained_on(600), trained_on(1199), trained_on(301)) == (600, 600, 600)
    assert (trained_on(1200), trained_on(300)) == (1200, 300)
    assert trained_on(700, columns=COLUMNS[1:]) == 700
    assert trained_on(700, biases=np.zeros(700, np.float32)) == 700
    assert trained_on(700, VectorIndex.build(clustered(600), "flat", columns=COLUMNS)) == 700


def test_mapped_vectors_give_the_same_index(library: Vectors, narrow: VectorIndex, tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", library)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    built = VectorIndex.build(mapped, "ivf", columns=COLUMNS, queries=pictures(200))
    names = built.save(tmp_path)
    whole = tmp_path / "whole"
    whole.mkdir()
    assert narrow.save(whole) == names == (VECTORS, LISTS)
    assert all((tmp_path / name).read_bytes() == (whole / name).read_bytes() for name in names)
    assert built.record == narrow.record


def test_an_index_of_a_library_is_measured_with_the_pictures_of_its_bundle(
    sounds: Path, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that a sound more leaves the centroids of the lists as they were."""
    monkeypatch.setattr(index_vectors, "FLAT_UP_TO", 0)
    save_unit_vectors(tmp_path / QUERIES, pictures(20, tuple(range(SIZE))))
    bundle = write_tiny_bundle(tmp_path / "bundle", others={QUERIES: tmp_path / QUERIES})
    first = build_index(bundle, sounds, tmp_path / "index").spec.search
    assert (first.kind, first.queries, first.trained_on) == ("ivf", "pictures", first.vectors)
    strike(sounds / "metal" / "one more.wav", 1500)
    second = build_index(bundle, sounds, tmp_path / "index").spec.search
    assert (second.vectors, second.trained_on) == (first.vectors + 1, first.vectors)
    with SoundIndex.open(tmp_path / "index", bundle) as index:
        assert len(index.search(pictures(1)[0], 100)) == 10
