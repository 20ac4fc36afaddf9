"""The threshold from which a picture counts as recognised."""

import numpy as np
import pytest

from training.pretraining.recognition import group_shares, recognition_threshold


def even(count: int) -> np.ndarray:
    return np.full(count, 1 / count)


def test_the_threshold_separates_pictures_of_materials_from_those_of_nothing() -> None:
    found = recognition_threshold(np.array([0.5, 0.6, 0.9, 0.4]), even(4), np.array([0.1, 0.2, 0.35]))
    assert 0.35 < found.threshold <= 0.4
    assert found.within_bounds


def test_both_bounds_come_before_the_best_balance() -> None:
    # Up to 0.5 all are recognised, and 0.24 of nothing taken; above, 0.8 and none: a better balance.
    probable, nothing = np.array([0.5] * 2 + [0.8] * 8), np.array([0.5] * 24 + [0.2] * 76)
    found = recognition_threshold(probable, even(10), nothing)
    assert found.within_bounds
    assert 0.2 < found.threshold <= 0.5


def test_without_a_threshold_that_keeps_both_it_is_the_best_balance() -> None:
    found = recognition_threshold(np.array([0.3, 0.6, 0.6, 0.9]), even(4), np.array([0.4, 0.55, 0.1, 0.1]))
    assert not found.within_bounds
    assert 0.55 < found.threshold <= 0.6


def test_photographs_count_by_the_weight_of_their_group() -> None:
    group = np.array(["indoor", "textures", "textures"])
    assert group_shares(group) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    # The one indoor picture outweighs both textures.
    nothing = np.array([0.5, 0.1])
    found = recognition_threshold(np.array([0.3, 0.9, 0.9]), group_shares(group), nothing)
    assert found.threshold <= 0.3
    assert recognition_threshold(np.array([0.3, 0.9, 0.9]), even(3), nothing).threshold > 0.5


def test_without_pictures_of_nothing_all_are_recognised() -> None:
    found = recognition_threshold(np.array([0.3, 0.9]), even(2), np.zeros(0))
    assert found.within_bounds
    assert found.threshold <= 0.3
