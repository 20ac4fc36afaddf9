"""The queries of a bundle: saved and loaded, absent, and arrays that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from model.bundle import QUERIES
from model.errors import BundleError
from model.queries import load_queries
from model.unit_vectors import save_unit_vectors
from tests.tiny_bundle import write_tiny_bundle


def unit(count: int, size: int = 128) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((count, size))
    scaled: npt.NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def test_saved_queries_are_loaded_as_unit_vectors(tmp_path: Path) -> None:
    save_unit_vectors(tmp_path / QUERIES, unit(7))
    bundle = write_tiny_bundle(tmp_path / "b", others={QUERIES: tmp_path / QUERIES})
    assert QUERIES in bundle.spec.files
    loaded = load_queries(bundle)
    assert loaded is not None
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, unit(7), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(loaded, axis=1), 1, atol=1e-6)


def test_a_bundle_without_queries_has_none(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    save_unit_vectors(bundle.file(QUERIES), unit(7))  # lies there, but bundle.json does not list it
    assert load_queries(bundle) is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (unit(5), "it is float32, not float16"),
        (unit(5)[0].astype(np.float16), r"it is \[128\], not \[N, d\]"),
        (np.zeros((5, 128), np.float16), "5 of its 5 rows are not of length 1"),
        (unit(5, 64).astype(np.float16), "embeddings of 64 numbers; those of the bundle have 128"),
        (np.array([{"a": 1}], object), "cannot be read as a NumPy array"),
    ],
)
def test_an_array_that_is_no_queries_is_one_line(tmp_path: Path, array: npt.NDArray[Any], message: str) -> None:
    np.save(tmp_path / QUERIES, array, allow_pickle=True)
    bundle = write_tiny_bundle(tmp_path / "b", others={QUERIES: tmp_path / QUERIES})
    with pytest.raises(BundleError, match=message) as refused:
        load_queries(bundle)
    assert "\n" not in str(refused.value)
    assert QUERIES in str(refused.value)
