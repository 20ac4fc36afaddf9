"""The heads: their probabilities, their file, and the files that are refused."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import HEADS
from model.errors import BundleError
from model.heads import Embeddings, MaterialHeads
from model.materials import MATERIALS
from tests.tiny_bundle import tiny_heads, write_tiny_bundle, write_tiny_bundle_with_heads

Arrays = dict[str, Any]


def unit(count: int) -> Embeddings:
    vectors = np.random.default_rng(2).standard_normal((count, 128)).astype(np.float32)
    normalised: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def arrays(size: int = 128) -> Arrays:
    return {
        "picture_weights": np.ones((17, size), np.float32),
        "picture_bias": np.zeros(17, np.float32),
        "sound_weights": np.ones((17, size), np.float32),
        "sound_bias": np.zeros(17, np.float32),
    }


def test_a_picture_can_have_several_materials_and_a_sound_has_one() -> None:
    heads = tiny_heads()
    embeddings = unit(5)

    pictures, sounds = heads.pictures(embeddings), heads.sounds(embeddings)

    exact = embeddings.astype(np.float64) @ heads.picture_weights.T + heads.picture_bias
    np.testing.assert_allclose(pictures, 1 / (1 + np.exp(-exact)), atol=1e-6)
    powers = np.exp(embeddings.astype(np.float64) @ heads.sound_weights.T + heads.sound_bias)
    np.testing.assert_allclose(sounds, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
    assert pictures.shape == sounds.shape == (5, len(MATERIALS))
    assert pictures.dtype == sounds.dtype == np.float32


def test_large_logits_do_not_overflow() -> None:
    steep = arrays() | {"picture_bias": np.linspace(-1e30, 1e30, 17, dtype=np.float32)}
    heads = MaterialHeads(**steep | {"sound_bias": steep["picture_bias"]})

    assert heads.pictures(unit(1))[0, [0, -1]].tolist() == [0.0, 1.0]
    assert heads.sounds(unit(1))[0].tolist() == [0.0] * 16 + [1.0]


def test_a_picture_is_recognised_by_the_recognition_weights_or_else_by_its_probability() -> None:
    embeddings = np.zeros((4, 128), np.float32)
    embeddings[:, 3], embeddings[:, 19] = [0.9, 0.9, -0.9, 0.0], [0.4, -0.4, 0.4, 0.0]
    rows = np.zeros((18, 128), np.float32)
    rows[np.arange(17), np.arange(17)], rows[17, 19] = 1.0, 1.0
    rows[[*range(3), *range(4, 17)], 20] = -1.0
    embeddings[:, 20] = 0.1
    plain = arrays() | {"picture_weights": rows[:17]}

    assert MaterialHeads(**plain).recognised(embeddings, 0.5).tolist() == [True, True, False, True]
    assert MaterialHeads(**plain, recognition_weights=rows).recognised(embeddings, 0.5).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    bundle = write_tiny_bundle_with_heads(tmp_path / "b")

    loaded = MaterialHeads.load(bundle)

    assert loaded is not None
    np.testing.assert_array_equal(loaded.pictures(unit(3)), tiny_heads().pictures(unit(3)))
    np.testing.assert_array_equal(loaded.sounds(unit(3)), tiny_heads().sounds(unit(3)))
    with zipfile.ZipFile(bundle.file(HEADS)) as stored:
        # With the time of writing in it, the same heads would be another bundle.
        assert {member.date_time for member in stored.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert bundle.id != write_tiny_bundle(tmp_path / "without").id


def test_a_bundle_need_not_have_heads(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    assert MaterialHeads.load(bundle) is None
    tiny_heads().save(bundle.file(HEADS))
    assert MaterialHeads.load(bundle) is None  # a file that bundle.json does not list is none of the bundle's


def without_bias(found: Arrays) -> None:
    del found["sound_bias"]


def of_16_materials(found: Arrays) -> None:
    found["sound_weights"] = found["sound_weights"][:16]


def of_two_sizes(found: Arrays) -> None:
    found["sound_weights"] = np.ones((17, 64), np.float32)


def in_double_precision(found: Arrays) -> None:
    found["picture_bias"] = np.zeros(17)


def with_a_nan(found: Arrays) -> None:
    found["picture_weights"][3, 5] = np.nan


def with_an_object(found: Arrays) -> None:
    found["picture_bias"] = np.array([None] * 17)


def with_a_number_for_weights(found: Arrays) -> None:
    found["picture_weights"] = np.float32(1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_bias, "it has no array sound_bias"),
        (of_16_materials, r"sound_weights is float32 \[16, 128\], not float32 \[17, 128\]"),
        (of_two_sizes, r"sound_weights is float32 \[17, 64\], not float32 \[17, 128\]"),
        (in_double_precision, r"picture_bias is float64 \[17\], not float32 \[17\]"),
        (with_a_nan, "picture_weights has values that are not finite"),
        (with_an_object, "picture_bias cannot be read: Object arrays"),
        (with_a_number_for_weights, r"picture_weights is float32 \[\], not float32 \[17, d\]"),
    ],
)
def test_wrong_arrays_are_refused(spoil: Callable[[Arrays], None], message: str, tmp_path: Path) -> None:
    found = arrays()
    spoil(found)
    np.savez(tmp_path / "spoilt.npz", **found)
    bundle = write_tiny_bundle(tmp_path / "b", others={HEADS: tmp_path / "spoilt.npz"})

    with pytest.raises(BundleError, match=f"heads.npz: {message}"):
        MaterialHeads.load(bundle)


def damaged() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays())
    data = bytearray(buffer.getvalue())
    data[1000] ^= 1
    return bytes(data)


def no_arrays() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", "words")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no NumPy archive"),
        (b"\x80\x04N.", "it is no NumPy archive"),
        (damaged(), "picture_weights cannot be read: Bad CRC-32"),
        (no_arrays(), "picture_weights is no array"),
    ],
)
def test_a_file_that_is_no_npz_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "spoilt").write_bytes(content)
    bundle = write_tiny_bundle(tmp_path / "b", others={HEADS: tmp_path / "spoilt"})

    with pytest.raises(BundleError, match=f"heads.npz: {message}"):
        MaterialHeads.load(bundle)


def test_heads_that_do_not_fit_the_bundle_are_refused(tmp_path: Path) -> None:
    MaterialHeads(**arrays(64)).save(tmp_path / "small.npz")
    small = write_tiny_bundle(tmp_path / "small", others={HEADS: tmp_path / "small.npz"})
    with pytest.raises(BundleError, match="for embeddings of 64 numbers; those of the bundle have 128"):
        MaterialHeads.load(small)

    bundle = write_tiny_bundle_with_heads(tmp_path / "b")
    spec = bundle.spec.model_copy(update={"materials": bundle.spec.materials[::-1]})
    with pytest.raises(BundleError, match="not the 17"):
        MaterialHeads.load(bundle.model_copy(update={"spec": spec}))
