"""The bank: what is saved is loaded, and files that are no bank are refused."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle import BANK, Bundle, Hubness
from model.errors import BundleError
from model.hubness import Embeddings, load_bank, save_bank
from tests.tiny_bundle import write_tiny_bundle, write_tiny_bundle_with_bank

Array = np.ndarray[Any, Any]


def unit(count: int, size: int = 128, seed: int = 0) -> Embeddings:
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    embeddings: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return embeddings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle_with_bank(tmp_path_factory.mktemp("bank") / "bundle", unit(5), Hubness())


def test_what_is_saved_is_loaded(bundle: Bundle, tmp_path: Path) -> None:
    loaded = load_bank(bundle)

    assert loaded.dtype == np.float32
    assert loaded.shape == (5, 128)
    np.testing.assert_allclose(loaded, unit(5), atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(loaded.astype(np.float64), axis=1), 1, atol=1e-6)
    assert bundle.file(BANK).stat().st_size == 128 + 5 * 128 * 2  # NumPy's header, then float16
    save_bank(tmp_path / "again.npy", unit(5))
    assert (tmp_path / "again.npy").read_bytes() == bundle.file(BANK).read_bytes()


def test_the_bank_is_part_of_the_bundles_id(bundle: Bundle, tmp_path: Path) -> None:
    other = write_tiny_bundle_with_bank(tmp_path / "other", unit(5, seed=1), Hubness())
    assert len({bundle.id, other.id, write_tiny_bundle(tmp_path / "without").id}) == 3


def test_a_bundle_without_a_bank_says_so(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    save_bank(bundle.file(BANK), unit(5))  # lies there, but bundle.json does not list it
    with pytest.raises(BundleError, match=r"has no bank\.npy"):
        load_bank(bundle)


def with_row(number: int, value: float) -> Array:
    bank = unit(5).astype(np.float16)
    bank[number] = value
    return bank


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (unit(5), "it is float32, not float16"),
        (np.zeros((5, 128), np.int16), "it is int16, not float16"),
        (unit(5)[0].astype(np.float16), r"it is \[128\], not \[N, d\]"),
        (np.zeros((0, 128), np.float16), "cannot be read|at least one row"),
        (with_row(3, np.nan), "1 of its 5 rows are not of length 1 .first: row 3"),
        (with_row(0, np.inf), "1 of its 5 rows are not of length 1 .first: row 0"),
        (with_row(1, 0.0), "1 of its 5 rows are not of length 1"),
        (with_row(1, 0.1), "1 of its 5 rows are not of length 1"),
        (unit(5, 64).astype(np.float16), "embeddings of 64 numbers; those of the bundle have 128"),
        (np.array([{"a": 1}], object), "cannot be read as a NumPy array"),
    ],
)
def test_an_array_that_is_no_bank_is_refused(tmp_path: Path, array: Array, message: str) -> None:
    np.save(tmp_path / "bank.npy", array, allow_pickle=True)
    bundle = write_tiny_bundle(tmp_path / "b", others={BANK: tmp_path / "bank.npy"})
    with pytest.raises(BundleError, match=message):
        load_bank(bundle)


def test_what_is_no_bank_is_not_saved(tmp_path: Path) -> None:
    for wrong in (unit(3) * 2, unit(3)[0], unit(3)[:0], np.full((2, 128), np.nan, np.float32)):
        with pytest.raises(ValueError, match=r"it is|not of length 1"):
            save_bank(tmp_path / "bank.npy", wrong)
    assert not list(tmp_path.iterdir())


def test_a_header_that_promises_too_much_reserves_no_memory(bundle: Bundle, tmp_path: Path) -> None:
    whole = bundle.file(BANK).read_bytes()
    promised = whole.replace(b"(5, 128), }" + b" " * 12, b"(500000000000, 128), }" + b" ")
    assert len(promised) == len(whole)
    assert promised != whole
    with pytest.raises(BundleError, match="cannot be read as a NumPy array"):
        load_bank(holding(bundle, promised, tmp_path))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_a_bank(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The bundle's hashes find damage; a file that was made wrong must end in an error of ours all the same."""
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
