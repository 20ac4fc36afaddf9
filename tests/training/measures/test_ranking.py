"""The measures of rankings against scikit-learn's, and their tie rule."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from training.measures.ranking import average_precision, list_average_precision, ndcg, precision_at, rank

seeds = st.integers(0, 2**32)


def lists(seed: int, count: int, length: int, good: float) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(seed).random((count, length)) < good


def falling(length: int) -> npt.NDArray[np.float64]:
    """Scores that rank a list as it stands, none equal."""
    return np.arange(length, 0, -1, dtype=np.float64)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.integers(0, 3), seeds)
def test_average_precision_is_scikit_learns_with_ties_and_weights(entries: int, decimals: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = rng.normal(size=entries).round(decimals), rng.random(entries) < 0.4
    truth[rng.integers(entries)] = True
    weights = rng.integers(0, 4, (5, entries)).astype(np.float64)
    assert average_precision(scores, truth) == pytest.approx([average_precision_score(truth, scores)])
    for row, found in zip(weights, average_precision(scores, truth, weights), strict=True):
        if not row[truth].any():
            assert np.isnan(found)
            continue
        assert found == pytest.approx(average_precision_score(truth, scores, sample_weight=row))
        # An entry that counts n times is n entries.
        times = row.astype(int)
        assert found == pytest.approx(average_precision(np.repeat(scores, times), np.repeat(truth, times))[0])


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(2, 40), st.sampled_from([0.05, 0.5]), seeds)
def test_lists_are_measured_as_scikit_learn_does_without_ties(
    count: int, length: int, good: float, seed: int
) -> None:
    found = lists(seed, count, length, good)
    precisions, gains = list_average_precision(found), ndcg(found[:, :10], found.sum(axis=1), length)
    for row, precision, gain in zip(found, precisions, gains, strict=True):
        if row.any():
            assert precision == pytest.approx(average_precision_score(row, falling(length)))
        else:
            assert np.isnan(precision)
        assert gain == pytest.approx(ndcg_score([row], [falling(length)], k=10))
    for k in range(1, length + 1):
        assert precision_at(found)[:, k - 1] == pytest.approx(found[:, :k].mean(axis=1))


def test_equal_scores_share_a_place_and_equal_sounds_do_not() -> None:
    scores, truth = np.array([1.0, 1.0, 0.0]), np.array([False, True, False])
    assert average_precision(scores, truth).tolist() == [1 / 2]
    assert average_precision(scores[[1, 0, 2]], truth[[1, 0, 2]]).tolist() == [1 / 2]
    assert rank(scores[None]).tolist() == [[0, 1, 2]]
    assert rank(scores[None], 2).tolist() == [[0, 1]]
    assert list_average_precision(truth[rank(scores[None])]).tolist() == [1 / 2]
    assert list_average_precision(truth[[[1, 0, 2]]]).tolist() == [1.0]


def test_without_anything_good_there_is_no_average_precision_and_no_gain() -> None:
    nothing = np.zeros((1, 3), bool)
    assert np.isnan(list_average_precision(nothing)).all()
    assert np.isnan(average_precision(np.arange(3.0), nothing[0])).all()
    assert ndcg(nothing, np.zeros(1, np.int64), 3).tolist() == [0.0]
