"""The vectors: search is what NumPy computes by brute force, ties have an order, bad vectors are refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.nearest.vectors import (
    FLAT_UP_TO,
    IndexKind,
    VectorIndex,
    Vectors,
    choose_kind,
    normalised,
)
from model.errors import LibraryError

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
