"""The bounds from which a picture counts as recognised."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.heads import MaterialHeads
from training.pretraining.recognition import fit_recognition, group_shares
from training.pretraining.space import CONSTANT, TOUCHABLE

NONE = MaterialHeads(np.zeros((17, 128), np.float32), *(np.zeros(s, np.float32) for s in (17, (17, 128), 17)))

FITTED = 0.92
"""So many are to be recognised of those that the bounds are fitted to."""


def pictures(touchable: npt.ArrayLike, material: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Embeddings of pictures with these logits of something to touch and of one material."""
    vectors = np.zeros((len(np.asarray(touchable)), 128), np.float32)
    vectors[:, TOUCHABLE], vectors[:, 5], vectors[:, CONSTANT] = touchable, material, 6.0
    unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def even(count: int) -> npt.NDArray[np.float64]:
    return np.full(count, 1 / count)


def test_both_scores_tell_pictures_of_nothing() -> None:
    good = pictures(np.linspace(1, 4, 100), np.linspace(2, 5, 100))
    nothing = pictures([-3, -2, 5, 5], [4, 4, 0.1, 0.2])  # like those of nothing; like none of both
    found = fit_recognition(good, even(100), nothing)
    heads = replace(NONE, recognition_weights=found.weights(128))
    assert not heads.recognised(nothing, 0.0).any()
    assert heads.recognised(good, 0.0).mean() >= FITTED


def test_where_they_cannot_be_told_apart_photographs_come_first() -> None:
    same = pictures(np.linspace(-1, 1, 50), np.linspace(1, 3, 50))
    found = fit_recognition(same, even(50), same)
    heads = replace(NONE, recognition_weights=found.weights(128))
    assert heads.recognised(same, 0.0).mean() >= FITTED


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 60), empty=st.integers(0, 30))
def test_so_many_photographs_are_recognised_whatever_the_scores(seed: int, count: int, empty: int) -> None:
    random = np.random.default_rng(seed)
    group = random.choice(["indoor", "textures", "web"], count)
    share = group_shares(group)
    good = pictures(random.normal(1, 2, count), random.normal(3, 2, count))
    nothing = pictures(random.normal(-1, 2, empty), random.normal(2, 2, empty))
    found = fit_recognition(good, share, nothing)
    heads = replace(NONE, recognition_weights=found.weights(128))
    assert share[heads.recognised(good, 0.0)].sum() >= FITTED - 1e-6


def test_each_group_has_its_weight() -> None:
    # Two thirds of the weight are that of the one indoor scene.
    assert group_shares(np.array(["indoor", "textures", "textures"])) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_without_pictures_of_nothing_photographs_are_recognised() -> None:
    good = pictures([1.0, 2.0], [3.0, 4.0])
    found = fit_recognition(good, even(2), good[:0])
    heads = replace(NONE, recognition_weights=found.weights(128))
    assert heads.recognised(good, 0.0).all()
