"""Hub biases and measures of hubs against their definitions; the bank: saved, loaded, and refused."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from model.bundle import BANK, Bundle, Hubness
from model.errors import BundleError
from model.hubness import Biases, hub_biases, load_bank, occurrences, skewness
from model.unit_vectors import Embeddings, save_unit_vectors
from tests.tiny_bundle import write_tiny_bundle, write_tiny_bundle_with_bank

Array = np.ndarray[Any, Any]


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


def test_the_block_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    library, bank, hubness = unit(100, 0), unit(30, 1), Hubness()
    biases, counts = hub_biases(library, bank, hubness), occurrences(bank, library)
    monkeypatch.setattr("model.hubness._COSINES_AT_A_TIME", 70)  # two sounds, one picture at a time
    np.testing.assert_array_equal(hub_biases(library, bank, hubness), biases)
    np.testing.assert_array_equal(occurrences(bank, library), counts)


def test_copies_of_a_sound_get_the_same_bias_in_any_row() -> None:
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


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle_with_bank(tmp_path_factory.mktemp("bank") / "bundle", unit(5, 0, 128), Hubness())


def test_a_saved_bank_is_loaded(bundle: Bundle, tmp_path: Path) -> None:
    loaded = load_bank(bundle)

    assert loaded.dtype == np.float32
    assert loaded.shape == (5, 128)
    np.testing.assert_allclose(loaded, unit(5, 0, 128), atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(loaded.astype(np.float64), axis=1), 1, atol=1e-6)
    assert bundle.file(BANK).stat().st_size == 128 + 5 * 128 * 2  # NumPy's header, then float16
    save_unit_vectors(tmp_path / "again.npy", unit(5, 0, 128))
    assert (tmp_path / "again.npy").read_bytes() == bundle.file(BANK).read_bytes()


def test_the_bank_changes_the_bundles_id(bundle: Bundle, tmp_path: Path) -> None:
    other = write_tiny_bundle_with_bank(tmp_path / "other", unit(5, 1, 128), Hubness())
    assert len({bundle.id, other.id, write_tiny_bundle(tmp_path / "without").id}) == 3


def test_a_bundle_without_a_bank_says_so(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    save_unit_vectors(bundle.file(BANK), unit(5, 0, 128))  # lies there, but bundle.json does not list it
    with pytest.raises(BundleError, match=r"has no bank\.npy"):
        load_bank(bundle)


def with_row(number: int, value: float) -> Array:
    bank = unit(5, 0, 128).astype(np.float16)
    bank[number] = value
    return bank


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (unit(5, 0, 128), "it is float32, not float16"),
        (np.zeros((5, 128), np.int16), "it is int16, not float16"),
        (unit(5, 0, 128)[0].astype(np.float16), r"it is \[128\], not \[N, d\]"),
        (np.zeros((0, 128), np.float16), "cannot be read|at least one row"),
        (with_row(3, np.nan), "1 of its 5 rows are not of length 1 .first: row 3"),
        (with_row(0, np.inf), "1 of its 5 rows are not of length 1 .first: row 0"),
        (with_row(1, 0.0), "1 of its 5 rows are not of length 1"),
        (with_row(1, 0.1), "1 of its 5 rows are not of length 1"),
        (unit(5, 0, 64).astype(np.float16), "embeddings of 64 numbers; those of the bundle have 128"),
        (np.array([{"a": 1}], object), "cannot be read as a NumPy array"),
    ],
)
def test_an_array_that_is_no_bank_is_refused(tmp_path: Path, array: Array, message: str) -> None:
    np.save(tmp_path / "bank.npy", array, allow_pickle=True)
    bundle = write_tiny_bundle(tmp_path / "b", others={BANK: tmp_path / "bank.npy"})
    with pytest.raises(BundleError, match=message):
        load_bank(bundle)


def test_a_wrong_bank_is_not_saved(tmp_path: Path) -> None:
    for wrong in (
        unit(3, 0, 128) * 2,
        unit(3, 0, 128)[0],
        unit(3, 0, 128)[:0],
        np.full((2, 128), np.nan, np.float32),
    ):
        with pytest.raises(ValueError, match=r"it is|not of length 1"):
            save_unit_vectors(tmp_path / "bank.npy", wrong)
    assert not list(tmp_path.iterdir())


def test_a_header_that_declares_too_much_reserves_no_memory(bundle: Bundle, tmp_path: Path) -> None:
    whole = bundle.file(BANK).read_bytes()
    declared = whole.replace(b"(5, 128), }" + b" " * 12, b"(500000000000, 128), }" + b" ")
    assert len(declared) == len(whole)
    assert declared != whole
    with pytest.raises(BundleError, match="cannot be read as a NumPy array"):
        load_bank(holding(bundle, declared, tmp_path))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_a_bank(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The bundle's hashes find damage; a file that was wrong from the start must give a BundleError, too."""
    content = bytearray(bundle.file(BANK).read_bytes()[: data.draw(st.integers(0, 1408), "length")])
    for place, value in data.draw(st.dictionaries(st.integers(0, 139), st.integers(0, 255), max_size=4)).items():
        if place < len(content):
            content[place] = value
    folder = tmp_path_factory.mktemp(hashlib.sha256(content).hexdigest()[:8])
    try:
        loaded = load_bank(holding(bundle, bytes(content), folder))
    except BundleError:
        pass
    else:
        np.testing.assert_allclose(np.linalg.norm(loaded, axis=1), 1, atol=1e-6)
        assert loaded.shape[1] == 128
    finally:
        shutil.rmtree(folder)


def holding(bundle: Bundle, content: bytes, folder: Path) -> Bundle:
    """The bundle as if its bank had this content: it is read from `folder`."""
    (folder / BANK).write_bytes(content)
    return bundle.model_copy(update={"folder": folder})
