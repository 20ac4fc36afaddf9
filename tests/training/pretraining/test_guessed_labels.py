"""The benchmark of what labels are worth, on next to nothing."""

import numpy as np
import pytest

from benchmarks.quality import guessed_labels
from benchmarks.quality.guessed_labels import Library, rows
from tests.training.pretraining.conftest import SMALL
from training.pretraining.pretraining_data import PretrainingData


def test_labels_are_worth_more_than_guesses_and_none(
    found: PretrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guessed_labels, "COUNTS", (10, 1000))
    library = Library(found, SMALL)
    order = library.from_the_top()
    assert sorted(order.tolist()) == list(range(68))
    top = np.sort(library.probabilities, axis=1)
    margin = top[order, -1] - top[order, -2]
    assert (np.diff(margin) > -0.02).all(), "the least difference first, but for rounding"
    worth = {name: (count, right, micro, macro) for name, count, right, micro, macro in rows(library)}
    assert list(worth) == [
        "none",
        "all guesses",
        "guesses from 0.3 on",
        "guesses from 0.5 on",
        "10 from the top",
        "all",
        "names",
        "10 random",
        *(f"names, {right:.0%} right" for right in guessed_labels.NAMES_RIGHT),
    ]
    assert [worth[name][0] for name in ("none", "all guesses", "10 from the top", "all")] == [0, 68, 10, 68]
    assert np.isnan(worth["none"][1])
    guess = library.probabilities.argmax(axis=1)
    assert worth["all guesses"][1] == pytest.approx((guess == library.material).mean())
    assert worth["10 from the top"][1] == 1.0
    assert worth["all"][2] > max(worth["none"][2], worth["all guesses"][2])
