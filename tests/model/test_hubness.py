"""Hub biases and how often a sound is recommended, against the definitions written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from model.bundle import Hubness
from model.hubness import Biases, Embeddings, hub_biases, occurrences, skewness


def unit(count: int, seed: int, size: int = 16) -> Embeddings:
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    embeddings: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return embeddings


@settings(max_examples=80, deadline=None)
@given(
    sounds=st.integers(1, 40),
    pictures=st.integers(1, 40),
    neighbours=st.integers(1, 60),
    strength=st.floats(0, 10),
    seed=st.integers(0, 2**32),
)
def test_a_bias_is_the_mean_of_the_largest_cosines(
    sounds: int, pictures: int, neighbours: int, strength: float, seed: int
) -> None:
    library, bank = unit(sounds, seed), unit(pictures, seed + 1)
    biases = hub_biases(library, bank, Hubness(strength=strength, neighbours=neighbours))
    for sound, bias in zip(library, biases, strict=True):
        largest = sorted((float(picture @ sound) for picture in bank), reverse=True)[:neighbours]
        assert bias == pytest.approx(strength * np.mean(largest), abs=1e-5)


def test_the_work_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    library, bank, hubness = unit(100, 0), unit(30, 1), Hubness()
    biases, counts = hub_biases(library, bank, hubness), occurrences(bank, library)
    monkeypatch.setattr("model.hubness._PART", 70)  # two sounds, one picture at a time
    np.testing.assert_array_equal(hub_biases(library, bank, hubness), biases)
    np.testing.assert_array_equal(occurrences(bank, library), counts)


def test_copies_get_one_bias_wherever_they_stand() -> None:
    library = unit(1003, 0, 128)
    copies = [3, 200, 501, 1000, 1001, 1002]
    library[copies] = library[3]
    assert len(set(hub_biases(library, unit(77, 1, 128), Hubness())[copies].tolist())) == 1


@settings(max_examples=80, deadline=None)
@given(
    chosen=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    pictures=st.integers(1, 12),
    k=st.integers(1, 40),
    biased=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_occurrences_are_counted_with_ties_in_the_order_of_rows(
    chosen: list[int], pictures: int, k: int, biased: bool, seed: int
) -> None:
    # Sounds with a single 1: their cosines are the picture's own numbers, to the last bit.
    library, asked = np.eye(6, 16, dtype=np.float32)[chosen], unit(pictures, seed)
    biases: Biases = np.array(chosen, np.float32) / np.float32(7 if biased else np.inf)
    expected = np.zeros(len(chosen), int)
    for picture in asked:
        scores = np.round(picture[chosen] - biases, 6)
        expected[sorted(range(len(chosen)), key=lambda row: (-scores[row], row))[:k]] += 1
    counts = occurrences(asked, library, biases if biased else None, k)
    assert counts.tolist() == expected.tolist()


def test_skewness_is_the_third_standardised_moment() -> None:
    counts = np.random.default_rng(0).poisson(2, 50)
    assert skewness(counts) == pytest.approx(float(skew(counts)))
    assert skewness(np.full(7, 3)) == 0.0
    assert skewness(np.array([0, 0, 0, 0, 9])) > 1
