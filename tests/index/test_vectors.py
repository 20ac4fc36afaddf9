"""The vectors: search is what NumPy computes by brute force, ties have an order, bad vectors are refused."""

from concurrent.futures import ThreadPoolExecutor
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
    FLAT_UP_TO,
    LISTS,
    VECTORS,
    IndexKind,
    VectorIndex,
    Vectors,
    choose_kind,
    normalised,
)
from model.bundle import QUERIES
from model.errors import LibraryError
from model.unit_vectors import save_unit_vectors
from tests.index.conftest import Strike
from tests.tiny_bundle import write_tiny_bundle

SIZE = 128
COUNT = 6000
COLUMNS = (3, 4, 5, 6, 7, 8, 9, 20)


def clustered(count: int, seed: int = 0, clusters: int = 60) -> Vectors:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, SIZE), np.float32)
    return normalised(centres[rng.integers(clusters, size=count)] + rng.standard_normal((count, SIZE), np.float32))


def load(folder: Path, built: VectorIndex, *, biased: bool = False) -> VectorIndex:
    """The index from what it saved into `folder`."""
    contents = {name: (folder / name).read_bytes() for name in built.record.files}
    return VectorIndex.load(contents, built.record, SIZE, biased=biased)


def queries_off(library: Vectors, count: int) -> Vectors:
    """Sounds of the library all moved by one offset, as the embeddings of pictures lie off those of sounds."""
    offset = normalised(np.random.default_rng(99).standard_normal((1, SIZE), np.float32))
    return normalised(library[np.arange(count) * 31 % len(library)] + 2 * offset)


@pytest.mark.parametrize("count", [1, 2, 9, 1000])
@pytest.mark.parametrize("k", [1, 10, 5000])
def test_flat_search_is_brute_force(count: int, k: int) -> None:
    vectors = clustered(count)
    index = VectorIndex.build(vectors)
    assert index.kind == "flat"
    for query in queries_off(vectors, 5):
        exact = vectors @ query
        similarities, rows = index.search(query, k)
        assert len(rows) == min(k, count)
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_allclose(similarities, np.sort(exact)[::-1][:k], atol=2e-6)
        np.testing.assert_allclose(exact[rows], similarities, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(copies=st.lists(st.integers(0, 5), min_size=1, max_size=80), k=st.integers(1, 90))
def test_copies_come_in_the_order_of_their_rows_also_at_the_edge_of_k(copies: list[int], k: int) -> None:
    distinct = np.eye(6, SIZE, dtype=np.float32)
    query = normalised(np.arange(SIZE, 0, -1, dtype=np.float32)[None])[0]
    _, rows = VectorIndex.build(distinct[copies]).search(query, k)
    expected = sorted(range(len(copies)), key=lambda row: (copies[row], row))
    assert rows.tolist() == expected[:k]


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(1, 60),
    k=st.integers(1, 70),
    kind=st.sampled_from(["flat", "ivf"]),
    spread=st.sampled_from([0.0, 0.3, 5.0]),
    seed=st.integers(0, 2**32),
)
def test_search_with_biases_is_brute_force(count: int, k: int, kind: IndexKind, spread: float, seed: int) -> None:
    vectors = clustered(count, seed, clusters=3)
    biases = (spread * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)
    index = VectorIndex.build(vectors, kind, biases=biases)
    assert index.record.recall_at_10 >= (1.0 if kind == "flat" else 0.99)
    query = queries_off(vectors, 1)[0]
    cosines = vectors @ query
    scores = cosines - biases
    similarities, rows = index.search(query, k)
    assert len(set(rows.tolist())) == len(rows) == min(k, count)
    if kind == "flat":  # an inverted file may miss one in a hundred
        np.testing.assert_allclose(scores[rows], np.sort(scores)[::-1][:k], atol=4e-6)
    np.testing.assert_allclose(cosines[rows], similarities, atol=2e-6)
    assert np.array_equal(index.vectors(rows), vectors[rows])


def test_copies_with_equal_biases_tie_wherever_they_stand() -> None:
    vectors = clustered(1003)
    copies = [3, 200, 501, 1000, 1001, 1002]
    vectors[copies] = vectors[3]
    biases = np.full(1003, 0.1, np.float32)
    index = VectorIndex.build(vectors, biases=biases)
    similarities, rows = index.search(vectors[3], 6)
    assert rows.tolist() == copies
    assert set(similarities.tolist()) == {1.0}


def test_copies_tie_wherever_they_stand() -> None:
    vectors = clustered(1003)
    copies = [3, 200, 501, 1000, 1001, 1002]
    vectors[copies] = vectors[3]
    index = VectorIndex.build(vectors)
    similarities, rows = index.search(vectors[3], 6)
    assert rows.tolist() == copies
    assert set(similarities.tolist()) == {1.0}


def test_large_libraries_get_an_inverted_file() -> None:
    assert choose_kind(1) == choose_kind(FLAT_UP_TO) == "flat"
    assert choose_kind(FLAT_UP_TO + 1) == "ivf"


@pytest.fixture(scope="module")
def library() -> Vectors:
    return clustered(COUNT)


@pytest.fixture(scope="module")
def inverted(library: Vectors) -> VectorIndex:
    return VectorIndex.build(library, "ivf", threads=2)


def test_an_inverted_file_finds_nearly_all_of_brute_force(library: Vectors, inverted: VectorIndex) -> None:
    assert inverted.kind == "ivf"
    queries = queries_off(library, 300)
    found = 0
    for query in queries:
        _, rows = inverted.search(query, 10)
        found += len(set(rows.tolist()) & set(np.argsort(-(library @ query))[:10].tolist()))
    assert found / 3000 >= 0.98
    assert 0.99 <= inverted.record.recall_at_10 <= 1.0


def test_an_inverted_file_gives_the_whole_library_when_asked(library: Vectors, inverted: VectorIndex) -> None:
    similarities, rows = inverted.search(library[0], 30_000)
    assert sorted(rows.tolist()) == list(range(COUNT))
    assert (np.diff(similarities) <= 0).all()


def test_the_file_does_not_depend_on_the_threads_that_built_it(
    library: Vectors, inverted: VectorIndex, tmp_path: Path
) -> None:
    for name, built in (("two", inverted), ("one", VectorIndex.build(library, "ivf", threads=1))):
        (tmp_path / name).mkdir()
        for file in built.save(tmp_path / name):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_biases_survive_the_file(kind: IndexKind, library: Vectors, tmp_path: Path) -> None:
    biases = np.random.default_rng(3).uniform(0, 0.5, len(library)).astype(np.float32)
    built = VectorIndex.build(library, kind, threads=2, biases=biases)
    assert built.record.recall_at_10 >= 0.99
    built.save(tmp_path)
    loaded = load(tmp_path, built, biased=True)
    assert (loaded.kind, len(loaded), loaded.size) == (kind, COUNT, SIZE)
    with pytest.raises(LibraryError, match="not as many as"):
        load(tmp_path, built)
    for query in queries_off(library, 20):
        similarities, rows = loaded.search(query, 20)
        assert np.array_equal(rows, built.search(query, 20)[1])
        np.testing.assert_allclose(similarities, library[rows] @ query, atol=2e-6)
        assert (np.diff(similarities - biases[rows]) <= 2e-6).all()


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_saved_index_answers_the_same_from_any_thread(
    kind: str, library: Vectors, inverted: VectorIndex, tmp_path: Path
) -> None:
    built = inverted if kind == "ivf" else VectorIndex.build(library, "flat")
    built.save(tmp_path)
    loaded = load(tmp_path, built)
    assert (loaded.kind, len(loaded), loaded.size) == (kind, COUNT, SIZE)
    queries = queries_off(library, 40)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda query: loaded.search(query, 20), queries))
    for query, (similarities, rows) in zip(queries, answers, strict=True):
        expected = built.search(query, 20)
        assert np.array_equal(similarities, expected[0])
        assert np.array_equal(rows, expected[1])


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0, 0.0])
def test_vectors_that_are_not_of_length_1_are_refused(bad: float) -> None:
    vectors = clustered(5)
    vectors[3] *= bad
    with pytest.raises(LibraryError, match=r"1 of 5 vectors.*row 3"):
        VectorIndex.build(vectors)


@pytest.mark.parametrize(
    "vectors", [np.zeros((0, SIZE), np.float32), np.zeros(SIZE, np.float32), np.eye(3, dtype=np.float64)]
)
def test_arrays_that_are_no_vectors_are_refused(vectors: Vectors) -> None:
    with pytest.raises(LibraryError, match="needs float32"):
        VectorIndex.build(vectors)


def test_queries_that_are_none_are_refused() -> None:
    index = VectorIndex.build(clustered(5))
    for query in (np.ones(64, np.float32), np.full(SIZE, np.nan, np.float32), np.ones((1, SIZE), np.float32)):
        with pytest.raises(ValueError, match="128 finite numbers"):
            index.search(query, 1)


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
