"""An index whose bundle draws labels in: answers follow what a person said a sound is of, not what was heard."""

from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.nearest.vectors import Vectors
from model.bundle import HEADS, Bundle
from model.heads import MaterialHeads, blend_labels
from model.materials import MATERIALS, material_named
from model.runtime import TowerRuntime
from tests.tiny_bundle import tiny_heads, write_tiny_bundle

STRENGTH = 0.8


@pytest.fixture(scope="module")
def heads() -> MaterialHeads:
    return tiny_heads()


@pytest.fixture(scope="module")
def bundle(heads: MaterialHeads, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("labels")
    heads.save(folder / HEADS)
    return write_tiny_bundle(folder / "bundle", others={HEADS: folder / HEADS}, label_strength=STRENGTH)


def unit(vectors: Vectors) -> Vectors:
    divided: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return divided


def direction(heads: MaterialHeads, name: str) -> Vectors:
    material = material_named(name)
    assert material is not None
    return unit(heads.sound_weights[material.id])


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return unit(np.random.default_rng(1).standard_normal((4, 128)).astype(np.float32))


def test_a_label_draws_its_sound_towards_its_material(heads: MaterialHeads, vectors: Vectors) -> None:
    wood, before = direction(heads, "wood"), vectors.copy()
    cosines = [blend_labels(vectors, ["wood"] * 4, heads, strength) @ wood for strength in (0.0, 0.3, 0.8, 1.0)]
    assert cosines[0] == pytest.approx(vectors @ wood, abs=1e-6)
    for weaker, stronger in pairwise(cosines):
        assert (stronger > weaker).all()
    assert cosines[-1] == pytest.approx(1.0)
    assert (vectors == before).all(), "what was passed stays as it was"


def test_unlabelled_sounds_stay_where_they_are_and_all_keep_length_one(
    heads: MaterialHeads, vectors: Vectors
) -> None:
    folded = blend_labels(vectors, ["wood", None, "glass", None], heads, STRENGTH)
    assert folded.dtype == np.float32
    assert (folded[[1, 3]] == vectors[[1, 3]]).all()
    assert np.linalg.norm(folded, axis=1) == pytest.approx(1.0)


def test_a_material_without_a_direction_is_not_drawn_to(heads: MaterialHeads, vectors: Vectors) -> None:
    weights = heads.sound_weights.copy()
    weights[MATERIALS[0].id] = 0.0
    without = MaterialHeads(heads.picture_weights, heads.picture_bias, weights, heads.sound_bias)
    folded = blend_labels(vectors, [MATERIALS[0].name] * 4, without, 1.0)
    assert (folded == vectors).all()


def test_answers_follow_the_labels(bundle: Bundle, heads: MaterialHeads, sounds: Path, tmp_path: Path) -> None:
    report = build_index(bundle, sounds, tmp_path / "with")
    plain = build_index(bundle, sounds, tmp_path / "without", labels=False)
    assert (report.spec.label_strength, plain.spec.label_strength) == (STRENGTH, 0.0)
    assert report.spec.id != plain.spec.id
    names = ["metal", "wood", "plastic-bag"]
    found = {}
    for folder in ("with", "without"):
        with closing(SoundIndex.open(tmp_path / folder, bundle)) as index:
            found[folder] = [index.search(direction(heads, name), 1)[0].record.material for name in names]
    assert found["with"] == names
    assert found["without"] != names, "what is heard alone must differ, or this test says nothing"


def test_nothing_to_draw_and_nowhere_to_be_drawn_to(heads: MaterialHeads) -> None:
    assert blend_labels(np.zeros((0, 128), np.float32), [], heads, STRENGTH).shape == (0, 128)
    away = -direction(heads, "wood")[None]
    assert (blend_labels(away, ["wood"], heads, 0.5) == away).all()


def test_a_bundle_without_heads_leaves_vectors_as_they_are(sounds: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", label_strength=STRENGTH)
    assert build_index(bundle, sounds, tmp_path / "index").spec.label_strength == 0.0


def test_a_library_of_which_some_sounds_are_labelled(
    bundle: Bundle, heads: MaterialHeads, sounds: Path, tmp_path: Path
) -> None:
    """Labelled sounds come by their labels, and the others stay where they were heard."""
    drawn = build_index(bundle, sounds, tmp_path / "with").spec
    assert (drawn.sounds, drawn.unlabelled) == (9, 3)
    build_index(bundle, sounds, tmp_path / "without", labels=False)
    similarities: dict[str, dict[str, float]] = {}
    for folder in ("with", "without"):
        with closing(SoundIndex.open(tmp_path / folder, bundle)) as index:
            matches = index.search(direction(heads, "metal"), 9)
        similarities[folder] = {match.record.path: match.similarity for match in matches}
        if folder == "with":
            assert [match.record.material for match in matches[:3]] == ["metal"] * 3
            unlabelled = [match for match in matches if match.record.material is None]
            # Whose embedding is shown is what the tower heard, not what a label made of it.
            runtime = TowerRuntime(bundle)
            for match in unlabelled:
                heard = runtime.embed_sound(sounds / match.record.path).embedding
                assert match.embedding == pytest.approx(heard, abs=1e-6)
    for path, similarity in similarities["without"].items():
        if path.startswith("unsorted/"):
            assert similarities["with"][path] == pytest.approx(similarity, abs=2e-6)
        else:
            assert similarities["with"][path] != pytest.approx(similarity, abs=0.01)
