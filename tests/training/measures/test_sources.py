"""Measures of recommendations and of predicted materials, against their definitions written out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.hubness import occurrences, skewness
from training.measures import means
from training.measures import sources as measures
from training.measures.sources import Fold, Least, Scored

WOOD, METAL, GLASS, WATER = 15, 3, 9, 7
seeds = st.integers(0, 2**32)


def ids(rng: np.random.Generator, count: int, materials: int = 4) -> npt.NDArray[np.int64]:
    return rng.choice([WOOD, METAL, GLASS, WATER][:materials], size=count).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(pictures=st.integers(1, 30), sounds=st.integers(1, 30), least=st.integers(1, 8), seed=seeds)
def test_recommendations_by_definition(pictures: int, sounds: int, least: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture_material, library = ids(rng, pictures), ids(rng, sounds)
    # One decimal, so that many tie.
    cosines, biases = rng.uniform(-1, 1, (pictures, sounds)).round(1), rng.uniform(0, 1, sounds).round(1)
    labelled = rng.uniform(-1, 1, (pictures, sounds)).round(1)
    found = measures.score_recommendations(cosines - biases, picture_material, library, least, cosines, labelled)
    again = measures.score_recommendations(labelled, picture_material, library, least)
    for name in ("P@10 labelled", "P@10 labelled macro"):
        assert found.numbers[name] == pytest.approx(again.numbers[name.replace(" labelled", "")], nan_ok=True)
    values: dict[str, list[float]] = {name: [] for name in ("P@1", "P@5", "P@10", "nDCG@10")}
    kept = []
    for row, material in zip(cosines, picture_material, strict=True):
        scores = [round(float(cosine - bias), 6) for cosine, bias in zip(row, biases, strict=True)]
        order = sorted(range(sounds), key=lambda place, scores=scores: (-scores[place], place))  # type: ignore[misc]
        good = [bool(library[place] == material) for place in order]
        if not any(good):
            continue
        kept.append(int(material))
        for k in (1, 5, 10):
            values[f"P@{k}"].append(sum(good[:k]) / min(k, sounds))
        gain = sum(1 / np.log2(place + 2) for place, is_good in enumerate(good[:10]) if is_good)
        values["nDCG@10"].append(gain / sum(1 / np.log2(place + 2) for place in range(min(10, sum(good)))))
    assert found.material.tolist() == kept
    assert found.left_out == pictures - len(kept)
    for name, expected in values.items():
        assert found.each[name] == pytest.approx(expected)
        check_means(found, name, least)


def check_means(found: Scored, name: str, least: int) -> None:
    each: dict[int, list[float]] = {}
    for material, value in zip(found.material.tolist(), found.each[name].tolist(), strict=True):
        each.setdefault(material, []).append(value)
    counted = [float(np.mean(values)) for values in each.values() if len(values) >= least]
    every = [value for values in each.values() for value in values]
    micro, macro = (np.mean(values) if values else np.nan for values in (every, counted))
    assert found.numbers[name] == pytest.approx(micro, nan_ok=True)
    assert found.numbers[f"{name} macro"] == pytest.approx(macro, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(pictures=st.integers(1, 30), sounds=st.integers(1, 30), seed=seeds)
def test_skew_is_that_of_the_index(pictures: int, sounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Axes against multiples of 1/64: every score is exact in float32 and float64 alike, and many tie.
    queries = np.eye(8, dtype=np.float32)[rng.integers(8, size=pictures)]
    library = (rng.integers(-64, 65, (sounds, 8)) / 64).astype(np.float32)
    biases = (rng.integers(0, 65, sounds) / 64).astype(np.float32)
    picture_material, library_material = ids(rng, pictures), ids(rng, sounds)
    cosines = queries @ library.T
    found = measures.score_recommendations(cosines - biases, picture_material, library_material, 1, cosines)
    answered = queries[np.isin(picture_material, library_material)]
    if len(answered):
        assert found.numbers["skew"] == skewness(occurrences(answered, library, biases))
        assert found.numbers["skew without biases"] == skewness(occurrences(answered, library))
    else:
        assert "skew" not in found.numbers


def test_chance_is_what_random_rankings_give() -> None:
    rng = np.random.default_rng(0)
    picture_material, library = ids(rng, 40), ids(rng, 25, materials=3)
    chance = measures.score_chance(picture_material, library, 2)
    drawn = [
        measures.score_recommendations(rng.uniform(size=(40, 25)), picture_material, library, 2).numbers
        for _ in range(400)
    ]
    for name, value in chance.numbers.items():
        assert np.mean([numbers[name] for numbers in drawn]) == pytest.approx(value, abs=0.01)
    assert chance.left_out == (picture_material == WATER).sum()


def test_the_commonest_is_a_ranking_by_material() -> None:
    rng = np.random.default_rng(1)
    library = np.array([WOOD] * 12 + [METAL] * 7 + [GLASS] * 3)
    picture_material = ids(rng, 50)
    scores = np.tile((library == WOOD).astype(float), (50, 1))
    always = measures.score_commonest(picture_material, library, 3)
    ranked = measures.score_recommendations(scores, picture_material, library, 3).numbers
    for name in ("P@1", "P@5", "P@10", "P@10 macro"):
        assert always.numbers[name] == pytest.approx(ranked[name])
    assert always.numbers["P@10 macro"] == pytest.approx(1 / 3)
    few = measures.score_commonest(np.array([WOOD]), np.array([WOOD, WOOD, METAL]), 1)
    assert few.numbers["P@1"] == few.numbers["nDCG@10"] == 1
    assert few.numbers["P@10"] == pytest.approx(2 / 3)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), least=st.integers(1, 8), decimals=st.integers(1, 7), seed=seeds)
def test_told_materials_by_definition(count: int, least: int, decimals: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    material, probabilities = ids(rng, count), rng.uniform(size=(count, 17)).round(decimals)
    found = measures.score_pictures(probabilities, material, least, recognised=probabilities.max(axis=1) >= 0.95)
    for place, (row, own) in enumerate(zip(probabilities, material, strict=True)):
        order = sorted(range(17), key=lambda id_, row=row: (-row[id_], id_))  # type: ignore[misc]
        assert found.each["top-1"][place] == (order[0] == own)
        assert found.each["top-3"][place] == (own in order[:3])
        assert found.each["probability"][place] == max(row)
        assert found.each["recognised"][place] == (max(row) >= 0.95)
    for name in ("top-1", "top-3", "probability", "recognised"):
        check_means(found, name, least)
    precisions = [
        brute_average_precision(probabilities[:, id_], material == id_)
        for id_ in range(17)
        if least <= (material == id_).sum() < count
    ]
    assert found.numbers["mAP"] == pytest.approx(np.mean(precisions) if precisions else np.nan, nan_ok=True)
    tops = [(row.max(), row.argmax() == own) for row, own in zip(probabilities, material, strict=True)]
    assert found.numbers["ECE"] == pytest.approx(brute_calibration_error(tops))
    sounds = measures.score_sounds(probabilities, material, least)
    assert sounds.numbers["ECE"] == pytest.approx(brute_calibration_error(tops))
    assert sounds.numbers["top-1 macro"] == pytest.approx(found.numbers["top-1 macro"], nan_ok=True)


def brute_average_precision(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Mean, over the true ones, of the precision among all that score at least as much."""
    return float(np.mean([truth[scores >= score].mean() for score in scores[truth]]))


def brute_calibration_error(cells: list[tuple[float, bool]]) -> float:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for probability, truth in cells:
        bins.setdefault(min(int(probability * 15), 14), []).append((probability, truth))
    gaps = [
        len(inside) * abs(np.mean([p for p, _ in inside]) - np.mean([t for _, t in inside]))
        for inside in bins.values()
    ]
    return float(sum(gaps) / len(cells))


def test_perfect_probabilities_leave_nothing_to_be_desired() -> None:
    material = np.repeat([WOOD, METAL], 5)
    sure = (material[:, None] == np.arange(17)).astype(np.float32)
    found = measures.score_pictures(sure, material, 5, recognised=np.ones(10, bool)).numbers
    assert found == {
        **dict.fromkeys(
            (name + mean for name in ("top-1", "top-3", "probability", "recognised") for mean in ("", " macro")),
            1.0,
        ),
        "mAP": 1.0,
        "ECE": 0.0,
    }
    # Where all pictures are of one material, no order of them is wrong.
    assert np.isnan(measures.score_pictures(sure[:5], material[:5], 5).numbers["mAP"])


def scored(values: npt.NDArray[np.float64], material: npt.NDArray[np.int64], least: int = 3) -> Scored:
    right = np.where(values > 0.5, material, (material + 1) % 17)
    return measures.score_sounds((right[:, None] == np.arange(17)).astype(np.float64), material, least)


def test_sources_weigh_the_same_and_intervals_are_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    large = scored(rng.uniform(size=400), ids(rng, 400, materials=2))
    small = scored(np.ones(2), np.array([WOOD, METAL]))
    together = means.mean_over([large, small])
    assert together["top-1"] == pytest.approx((large.numbers["top-1"] + 1) / 2)
    # The small one has too few files of each material for a macro mean.
    assert np.isnan(small.numbers["top-1 macro"])
    assert together["top-1 macro"] == large.numbers["top-1 macro"]
    found = means.interval_over([large, small], "top-1", seed=1)
    assert found == means.interval_over([large, small], "top-1", seed=1)
    assert found != means.interval_over([large, small], "top-1", seed=2)
    for name, share in (("top-1", 0.5), ("top-1 macro", 1.0)):
        low, high = found[name]
        assert low < together[name] < high
        # The small source is right whatever is drawn; the large one's spread is that of a mean of 400.
        assert high - low == pytest.approx(2 * 1.96 * share * 0.5 / np.sqrt(400), rel=0.15)
    assert means.interval_over([small], "top-1")["top-1"] == (1.0, 1.0)
    assert "top-1 macro" not in means.interval_over([small], "top-1")
    assert means.interval_over([], "top-1") == {}


def test_a_source_counts_by_its_weight() -> None:
    right, wrong = (scored(np.full(3, value), np.full(3, WOOD)) for value in (1.0, 0.0))
    heavy = replace(wrong, weight=3.0)
    assert means.mean_over([right, wrong])["top-1"] == pytest.approx(0.5)
    assert means.mean_over([right, heavy])["top-1"] == pytest.approx(0.25)
    assert means.mean_over([right, heavy])["top-1 macro"] == pytest.approx(0.25)
    # Without a number, a source takes no weight either.
    few = replace(scored(np.zeros(2), np.full(2, WOOD)), weight=9.0)
    assert means.mean_over([right, few])["top-1 macro"] == 1.0
    for low_and_high in means.interval_over([right, heavy], "top-1").values():
        assert low_and_high == pytest.approx((0.25, 0.25))


def test_a_fold_gives_its_weight_to_all_and_rare_materials_are_in_no_macro_mean() -> None:
    material = np.array([WOOD] * 3 + [METAL] * 3)
    probabilities = (material[:, None] == np.arange(17)).astype(np.float64)
    probabilities[3:] = np.roll(probabilities[3:], 1, axis=1)  # metal is told wrong
    fold = Fold(
        material, material, material, np.eye(6),
        picture_probabilities=probabilities, sound_probabilities=probabilities,
        weight=2.0, rare_pictures=(METAL,), rare_sounds=(WOOD,),
    )  # fmt: skip
    found = measures.score_fold(fold, Least(1, 1))
    assert found.pictures is not None
    assert found.sounds is not None
    assert found.recommended is not None
    assert (found.pictures.numbers["top-1 macro"], found.sounds.numbers["top-1 macro"]) == (1.0, 0.0)
    assert found.pictures.numbers["top-1"] == found.sounds.numbers["top-1"] == 0.5
    assert (found.pictures.counted.tolist(), found.recommended.counted.tolist()) == ([WOOD], [WOOD])
    assert found.recommended.weight == found.pictures.weight == found.sounds.weight == 2.0


def test_a_fold_may_lack_pictures_sounds_or_heads() -> None:
    rng = np.random.default_rng(0)
    none, some, library = np.zeros(0, np.int64), ids(rng, 6), ids(rng, 12)
    probabilities = rng.uniform(size=(6, 17))
    pictures = measures.score_fold(Fold(some, none, library, rng.uniform(size=(6, 12))), Least(1, 1))
    assert pictures.recommended is not None
    assert pictures.chance is not None
    assert pictures.commonest is not None
    assert pictures.pictures is pictures.sounds is None
    assert pictures.recommended.numbers["skew"] == pictures.recommended.numbers["skew without biases"]
    seen, recognised = np.zeros((0, 17)), np.zeros(0, bool)
    fold = Fold(none, some, library, np.zeros((0, 12)), None, None, seen, probabilities, recognised)
    sounds = measures.score_fold(fold)
    assert sounds.recommended is sounds.chance is sounds.commonest is sounds.pictures is None
    assert sounds.sounds is not None
    assert sounds.sounds.numbers == pytest.approx(
        measures.score_sounds(probabilities, some, 10).numbers, nan_ok=True
    )


def test_pictures_that_no_sound_can_answer_are_left_out() -> None:
    found = measures.score_recommendations(np.ones((3, 2)), np.array([WATER] * 3), np.array([WOOD, METAL]), 1)
    assert found.left_out == 3
    assert np.isnan(found.numbers["P@10"])
    assert np.isnan(means.mean_over([found])["P@10"])
