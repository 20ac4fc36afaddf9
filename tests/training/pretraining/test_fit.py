"""Classifiers with a prior, leaving out sources, calibration, and the steps between features and vectors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from model.materials import MATERIALS, material_named
from model.runtime import session_options
from training.pretraining.calibrate import balanced_weights, calibrate_heads
from training.pretraining.classifier import LinearClassifier, fit_classifier, fit_ridge, prior_classifier
from training.pretraining.discriminant import fit_discriminant, source_weights
from training.pretraining.fit_heads import Recordings, fit_pictures, fit_sounds, left_out, lower_bound
from training.pretraining.imagenet_prior import material_knowledge
from training.pretraining.material_files import NOTHING
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.space import CONSTANT, TOUCHABLE, SoundProjection, picture_projection
from training.pretraining.standardise import Standardise

WIDTH = 128


def features(count: int, classes: int, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Features around one centre a class, and the classes."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, WIDTH))
    labels = random.integers(0, classes, count)
    noisy = centres[labels] + 0.3 * random.standard_normal((count, WIDTH))
    return torch.from_numpy(noisy.astype(np.float32)), labels


def recordings(heard: Tensor, material: np.ndarray, **changes: Any) -> Recordings:
    """Recordings with one variant each, the same; their teacher says nothing."""
    one = np.full(len(heard), "one")
    silent = torch.zeros(len(heard), 2, len(MATERIALS))
    whole = Recordings(heard[:, None].repeat(1, 2, 1), silent, material, one, one, np.ones(len(heard), np.bool_))
    return replace(whole, **changes)


def test_a_classifier_fits_its_examples_and_a_class_without_examples_keeps_its_prior() -> None:
    seen, labels = features(300, 5)
    prior = LinearClassifier(torch.randn(6, WIDTH, generator=torch.manual_seed(0)), torch.zeros(6))
    fitted = fit_classifier(seen, torch.from_numpy(labels), torch.full((300,), 1 / 300), 6, 1e-3, prior)
    unseen, wanted = features(200, 5, seed=1)
    assert (fitted(unseen)[:, :5].argmax(dim=1).numpy() == wanted).mean() > 0.95
    alone = fit_classifier(seen, torch.from_numpy(labels), torch.full((300,), 1 / 300), 6, 1e3, prior)
    torch.testing.assert_close(alone.weight, prior.weight, atol=0.02, rtol=0.02)


def test_known_classes_keep_their_rows_while_the_others_are_fitted_beside_them() -> None:
    seen, labels = features(300, 5)
    material = torch.from_numpy(labels)
    share = torch.full((300,), 1 / 300)
    whole = fit_classifier(seen, material, share, 5, 1e-3)
    prior = LinearClassifier(torch.cat([whole.weight[:3], torch.zeros(2, WIDTH)]), whole.bias)
    fitted = fit_classifier(seen, material, share, 5, 1e-3, prior, known=3)
    torch.testing.assert_close(fitted.weight[:3], whole.weight[:3])
    torch.testing.assert_close(fitted.bias[:3], whole.bias[:3])
    unseen, wanted = features(200, 5, seed=1)
    assert (fitted(unseen).argmax(dim=1).numpy() == wanted).mean() > 0.95


def test_the_prior_is_a_mean_over_classes_for_every_material_and_for_nothing() -> None:
    table = material_knowledge()
    assert table.shape == (len(MATERIALS) + 1, 1000)
    torch.testing.assert_close(table.sum(dim=1), torch.ones(len(table)))
    bag = material_named("plastic-bag")
    assert bag is not None
    assert int(table[bag.id].argmax()) == 728  # ImageNet's "plastic bag"
    listed = table[:NOTHING].sum(dim=0) > 0
    assert not (listed & (table[NOTHING] > 0)).any()


def test_a_prior_is_scaled_on_the_given_features() -> None:
    seen, _ = features(100, 3)
    rows = torch.randn(1000, WIDTH, generator=torch.manual_seed(1))
    logits = prior_classifier(seen, rows, material_knowledge(), 2.0)(seen)
    torch.testing.assert_close(logits.std(dim=0), torch.full((18,), 2.0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(logits.mean(dim=0), torch.zeros(18), atol=1e-3, rtol=1e-3)


def test_each_group_gets_a_fit_without_it_and_groups_never_trained_on_share_one() -> None:
    source = np.array(["a", "a", "b", "c", "d"])
    trained_on = np.array([True, True, True, False, False])
    asked: list[list[bool]] = []

    def fit(rows: np.ndarray, without: str) -> LinearClassifier:
        assert not rows[source == without].any()
        asked.append(rows.tolist())
        return LinearClassifier(torch.zeros(1, 1), torch.zeros(1))

    fitted = left_out(source, trained_on, fit)
    assert asked == [[False, False, True, False, False], [True, True, False, False, False], trained_on.tolist()]
    assert fitted["c"] is fitted["d"]


def test_the_cosine_orders_sounds_by_the_pictures_logits() -> None:
    recipe = PretrainingRecipe(picture_decay=1e-4)
    seen, of_pictures = features(400, 4)
    heard, of_sounds = features(400, 4, seed=2)
    rows = torch.randn(1000, WIDTH, generator=torch.manual_seed(1))
    empty = of_pictures == 3  # one kind stands for nothing to touch
    labels = np.where(empty, NOTHING, of_pictures)
    pictures = fit_pictures(seen, labels, np.full(400, "one"), rows, recipe)
    sounds = fit_sounds(recordings(heard, of_sounds), recipe)
    with torch.no_grad():
        seen_at = torch.nn.functional.normalize(picture_projection(pictures)(seen), dim=1)
        vectors = SoundProjection(sounds, heard)(heard)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(400), atol=1e-5, rtol=0)
    assert (seen_at[:, CONSTANT] > 0).all()
    first = (seen_at[~empty] @ vectors.T).topk(10, dim=1).indices.numpy()
    assert (of_sounds[first] == of_pictures[~empty, None]).mean() > 0.9
    assert ((seen_at[:, TOUCHABLE] > 0).numpy() == ~empty).mean() > 0.95


def test_ridge_regression_finds_what_is_linear_and_a_large_decay_leaves_nothing() -> None:
    seen = features(400, 5)[0]
    seen -= seen.mean(dim=0)
    wanted = torch.randn(WIDTH, 3, generator=torch.manual_seed(0))
    found = fit_ridge(seen, seen @ wanted + 7.0, 1e-6)
    torch.testing.assert_close(found.weight, wanted.T, atol=1e-2, rtol=1e-2)
    assert not found(torch.zeros(1, WIDTH)).any()
    assert float(fit_ridge(seen, seen @ wanted, 1e6).weight.abs().max()) < 1e-3


def test_what_the_teacher_says_is_learnt_also_of_a_material_without_recordings() -> None:
    """The fourth class has no labelled recording, but the teacher knows it."""
    heard, material = features(400, 4)
    teacher = torch.zeros(400, 2, len(MATERIALS))
    teacher[material == 3, :, 16] = 3.0
    learnt = recordings(heard, material, teacher=teacher, labelled=material != 3)
    unheard, wanted = features(200, 4, seed=1)
    for strength, told in ((0.0, 0.0), (2.0, 1.0)):
        classifier = fit_sounds(learnt, PretrainingRecipe(teacher=strength))
        predicted = classifier(unheard).argmax(dim=1).numpy()
        assert (predicted[wanted == 3] == 16).mean() == pytest.approx(told, abs=0.1)
        assert (predicted[wanted != 3] == wanted[wanted != 3]).mean() > 0.95


def test_the_lower_bound_is_the_mean_of_the_heads_less_what_they_differ_by() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 2.0]])
    torch.testing.assert_close(lower_bound(logits, 2, 0.5), torch.tensor([[1.5, 2.0]]))
    torch.testing.assert_close(lower_bound(logits, 1, 9.0), logits)


def test_a_cue_that_only_one_group_has_counts_for_less_than_one_that_all_have() -> None:
    """Sounds of material 0 have a cue in all groups, in one of them another beside it."""
    random = np.random.default_rng(0)
    material, group = np.arange(600) % 3, np.array(["first", "second", "third"])[np.arange(600) // 200]
    heard = torch.from_numpy(random.standard_normal((600, WIDTH)).astype(np.float32))
    heard[material == 0, 0] += 4.0
    heard[(material == 0) & (group == "first"), 1] += 8.0
    asked = torch.zeros(2, WIDTH)
    asked[0, 0], asked[1, 1] = 4.0, 8.0
    whole = recordings(heard, material, group=group, source=group)
    falls = []
    for penalty in (0.0, 2.0):
        classifier = fit_sounds(whole, PretrainingRecipe(penalty=penalty, teacher=0.0))
        assert len(classifier.weight) == (4 if penalty else 1)
        falls.append(classifier(asked)[:, 0])
    everywhere, only_first = (falls[0] - falls[1]).tolist()
    assert only_first > 2 * everywhere


@pytest.mark.parametrize("heads", [1, 3])
def test_the_layers_after_the_network_are_exported_for_any_number_of_sounds(heads: int, tmp_path: Path) -> None:
    heard, material = features(300, 4)
    group = np.array([f"group {number % heads}" for number in range(300)])
    classifier = fit_sounds(recordings(heard, material, group=group, source=group), PretrainingRecipe())
    assert len(classifier.weight) == (heads + 1 if heads > 1 else 1)
    projection, file = SoundProjection(classifier, heard).eval(), tmp_path / "layers.onnx"
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        projection, (heard[:2],), str(file), dynamo=True, external_data=False, verbose=False,
        dynamic_shapes=({0: batch},),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(file), session_options(1))
    for count in (1, 3, 7):
        found = session.run(None, {session.get_inputs()[0].name: heard[:count].numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, projection(heard[:count]).numpy(), atol=1e-5)


def test_a_group_has_its_weight_and_in_it_every_material_the_same() -> None:
    material = np.array([0, 0, 0, 1, 2])
    weights = balanced_weights(material, np.array(["a", "a", "a", "a", "b"]))
    assert weights == pytest.approx([1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 2])
    # Indoor scenes have weight 2, textures weight 1.
    weights = balanced_weights(material, np.array(["indoor"] * 4 + ["textures"]))
    assert weights == pytest.approx([1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3])


def test_calibrated_probabilities_are_frequencies() -> None:
    random = np.random.default_rng(0)
    count = 6000
    material = random.integers(0, 17, count)
    predicted = np.where(random.random(count) < 0.6, material, random.integers(0, 17, count))
    vectors = np.zeros((count, 128), np.float32)
    vectors[np.arange(count), predicted] = 0.8
    vectors[:, CONSTANT] = 0.6
    unit = torch.from_numpy(vectors)
    even = np.full(count, 1 / count)
    heads = calibrate_heads(unit, material, even, unit, material, even, 1.0)
    for probabilities in (heads.pictures(vectors), heads.sounds(vectors)):
        top = probabilities[np.arange(count), predicted]
        assert top.mean() == pytest.approx((material == predicted).mean(), abs=0.02)


def test_the_likeliest_material_is_right_as_often_as_its_probability_says() -> None:
    """Also where the groups differ, a third of the pictures are of nothing, and most materials are rare."""
    random = np.random.default_rng(0)
    count = 4000
    material = np.minimum(random.geometric(0.3, count), 17) - 1
    good = random.random(count) < np.where(np.arange(count) < 3000, 0.7, 0.3)
    predicted = np.where(good, material, random.integers(0, 17, count))
    vectors = random.normal(0, 0.1, (count, 128)).astype(np.float32)
    vectors[np.arange(count), predicted] += np.where(good, 0.7, 0.5)
    vectors[:, CONSTANT] = 0.5
    empty = random.random(count) < 0.3
    vectors[empty, NOTHING] += 0.5
    unit = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    labels = np.where(empty, NOTHING, material)
    group = np.where(empty, "nothing", np.where(np.arange(count) < 3000, "indoor", "textures"))
    weight = balanced_weights(labels, group)
    kept = torch.from_numpy(~empty)
    heard = weight[~empty] / weight[~empty].sum()
    heads = calibrate_heads(unit, labels, weight, unit[kept], material[~empty], heard, 10.0)
    for found in (heads.pictures(unit.numpy())[~empty], heads.sounds(unit.numpy())[~empty]):
        right = (found.argmax(axis=1) == material[~empty]) @ heard
        assert found.max(axis=1).astype(np.float64) @ heard == pytest.approx(right, abs=0.02)


def test_a_class_without_examples_is_never_predicted_and_sources_have_their_weight() -> None:
    seen, labels = features(300, 3)
    weight = source_weights(labels, np.full(300, "one"), 0.5)
    fitted = fit_discriminant(seen, weight, torch.from_numpy(labels), 17, 0.6, 0.8)
    predicted = fitted(torch.cat([seen, torch.randn(200, WIDTH, generator=torch.manual_seed(0))])).argmax(dim=1)
    assert (predicted[:300].numpy() == labels).mean() > 0.95
    assert int(predicted.max()) < 3
    assert fitted(seen)[:, :3].std().item() == pytest.approx(0.8, rel=0.01)
    weights = source_weights(np.array([0, 0, 0, 0, 0, 1]), np.array(["a", "a", "a", "a", "b", "b"]), 0.5)
    # Of class 0 a source of four rows counts twice as much as one of one row.
    assert weights.tolist() == pytest.approx([1 / 6] * 4 + [1 / 3, 1.0])


def test_constant_features_are_standardised_too() -> None:
    standardise = Standardise(torch.ones(2, 6))
    assert torch.isfinite(standardise(torch.tensor([[1.0, 1.0, 1.0, 2.0, 1.0, 1.0]]))).all()
