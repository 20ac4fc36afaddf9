"""Measures of told materials, and their intervals, against values by hand and a slow, plain reference."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.measures.bootstrap
from model.errors import NoDataError, TrainingError
from training.measures.bootstrap import Resamples, macro_mean
from training.measures.classification import measure_classes, measure_labels, measure_pairs
from training.measures.records import ClassMeasures, LabelMeasures, PairMeasures

Measures = ClassMeasures | LabelMeasures | PairMeasures
Measure = Callable[..., Measures]
Case = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def logits_of(*said: int) -> npt.NDArray[np.float32]:
    """Logits log 4 for the said class and 0 for the 16 others: the probabilities 0.2 and 0.05."""
    return (np.eye(17)[list(said)] * math.log(4)).astype(np.float32)


def classes_case(count: int) -> Case:
    rng = np.random.default_rng(count)
    truth = rng.integers(17, size=count)
    return (2 * np.eye(17)[truth] + rng.normal(size=(count, 17))).astype(np.float32), truth


def labels_case(count: int) -> Case:
    rng = np.random.default_rng(count)
    truth = rng.random((count, 17)) < 0.15
    return (2 * truth - 1 + rng.normal(size=(count, 17))).astype(np.float32), truth


def pairs_case(count: int) -> Case:
    rng = np.random.default_rng(count)
    match = rng.random(count) < 0.5
    return np.clip(0.3 + 0.4 * match + rng.normal(0, 0.25, count), 0, 1).astype(np.float32), match


CASES = pytest.mark.parametrize(
    ("measure", "case"),
    [(measure_classes, classes_case), (measure_labels, labels_case), (measure_pairs, pairs_case)],
)


def intervals_of(found: Measures) -> dict[str, tuple[float, float]]:
    return {name: value for name, value in found.model_dump().items() if name.endswith("_interval")}


def test_classes_by_hand() -> None:
    # Wood twice right and once taken for metal, metal right, glass taken for wood.
    found = measure_classes(logits_of(15, 15, 3, 3, 15), np.array([15, 15, 15, 3, 9]), list("abcde"))
    assert (found.samples, found.accuracy) == (5, 0.6)
    assert found.macro_accuracy == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.loss == pytest.approx(-(3 * math.log(0.2) + 2 * math.log(0.05)) / 5)
    counts = {
        (row, column): n for row, line in enumerate(found.confusion or []) for column, n in enumerate(line) if n
    }
    assert counts == {(15, 15): 2, (15, 3): 1, (3, 3): 1, (9, 15): 1}
    assert [len(row) for row in found.confusion or []] == [17] * 17


def test_a_single_class_and_large_logits() -> None:
    found = measure_classes(1e4 * np.eye(17)[[5, 5]], np.array([5, 5]), ["a", "b"])
    assert (found.accuracy, found.macro_accuracy, found.loss) == (1, 1, 0)
    assert found.accuracy_interval == found.macro_accuracy_interval == (1, 1)


def test_equal_logits_say_the_lower_id() -> None:
    assert measure_classes(np.zeros((2, 17)), np.array([0, 1]), ["a", "b"]).accuracy == 0.5


def test_labels_by_hand() -> None:
    logits, truth = np.full((3, 17), -math.log(3)), np.zeros((3, 17), bool)
    logits[:, 3] = [2 * math.log(3), math.log(3), -2 * math.log(3)]
    truth[:, 3] = [True, False, True]
    truth[1, 9] = True
    found = measure_labels(logits, truth, ["a", "b", "c"])
    # Said: metal in the first (right) and the second (wrong); missed: metal in the third, glass in the second.
    assert (found.pictures, found.accuracy) == (3, 48 / 51)
    assert (found.precision, found.recall) == (1 / 2, 1 / 3)
    assert found.f1 == pytest.approx(2 / 5)
    # Metal ranks right, wrong, right: (1 + 2/3) / 2. All three share glass's one place: 1/3.
    assert found.map == pytest.approx((5 / 6 + 1 / 3) / 2)
    costs = {0.9: 1, 0.25: 1, 0.1: 1, 0.75: 47}  # probability of the truth: cells
    costs[0.25] += 1
    wanted = -sum(cells * math.log(probability) for probability, cells in costs.items()) / 51
    assert found.loss == pytest.approx(wanted)


def test_the_order_of_tied_pictures_does_not_matter() -> None:
    logits, truth = np.round(labels_case(40)[0]), labels_case(40)[1]
    groups = np.arange(40) // 2
    turned = measure_labels(logits[::-1], truth[::-1], groups[::-1])
    found = measure_labels(logits, truth, groups)
    assert turned.model_dump().keys() == found.model_dump().keys()
    for name, value in found.model_dump().items():
        assert turned.model_dump()[name] == pytest.approx(value)


def test_pairs_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.2], np.float32)
    match = np.array([1, 0, 1, 1, 0], np.float32)
    found = measure_pairs(scores, match, list("abcde"))
    assert (found.pairs, found.accuracy) == (5, 0.6)
    assert (found.precision, found.recall, found.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert found.loss == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.4, 0.8]).mean(), rel=1e-6)
    assert measure_pairs(scores, match > 0, list("abcde")) == found


def test_no_match_and_none_said_give_0() -> None:
    found = measure_pairs(np.zeros(3), np.zeros(3), ["a", "b", "c"])
    assert (found.accuracy, found.precision, found.recall, found.f1) == (1, 0, 0, 0)
    assert found.precision_interval == found.f1_interval == (0, 0)
    assert found.loss == pytest.approx(1e-7, rel=1e-3)
    # Wholly wrong costs as much as a score 1e-7 from the other end.
    assert measure_pairs(np.ones(1), np.zeros(1), ["a"]).loss == pytest.approx(-math.log(1e-7), rel=1e-3)


def slow_average_precision(logits: list[float], truth: list[bool]) -> float:
    """At each distinct logit as threshold, the precision times the recall that it adds."""
    found = 0.0
    for threshold in set(logits):
        above = [true for logit, true in zip(logits, truth, strict=True) if logit >= threshold]
        here = sum(true for logit, true in zip(logits, truth, strict=True) if logit == threshold)
        found += here / sum(truth) * sum(above) / len(above)
    return found


def slow_labels(logits: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> dict[str, float]:
    cells = list(zip((logits > 0).ravel().tolist(), truth.ravel().tolist(), strict=True))
    hits, said, true = (sum(said and true for said, true in cells), *map(sum, zip(*cells, strict=True)))
    precision, recall = hits / said if said else 0.0, hits / true if true else 0.0
    columns = [(logits[:, id_].tolist(), truth[:, id_].tolist()) for id_ in range(17) if truth[:, id_].any()]
    return {
        "accuracy": sum(s == t for s, t in cells) / len(cells),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "map": float(np.mean([slow_average_precision(*column) for column in columns])) if columns else math.nan,
    }


def slow_classes(logits: npt.NDArray[Any], truth: npt.NDArray[Any]) -> dict[str, float]:
    said = logits.argmax(axis=1)
    recalls = [float((said[truth == id_] == id_).mean()) for id_ in set(truth.tolist())]
    return {"accuracy": float((said == truth).mean()), "macro_accuracy": float(np.mean(recalls))}


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([0.03, 0.3]))
def test_labels_are_measured_as_defined(pictures: int, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    logits, truth = rng.integers(-3, 4, (pictures, 17)) / 8, rng.random((pictures, 17)) < density
    truth[0, rng.integers(17)] = True
    found = measure_labels(logits, truth, range(pictures), intervals=False)
    assert {name: getattr(found, name) for name in slow_labels(logits, truth)} == pytest.approx(
        slow_labels(logits, truth)
    )


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 16), min_size=1, max_size=20), st.integers(0, 2**32))
def test_classes_are_measured_as_defined(materials: list[int], seed: int) -> None:
    truth = np.array(materials, np.int8)
    logits = np.random.default_rng(seed).integers(-2, 3, (len(truth), 17)) + 2 * np.eye(17)[truth]
    found = measure_classes(logits, truth, range(len(truth)), intervals=False)
    wanted = slow_classes(logits, truth)
    assert {name: getattr(found, name) for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("measure", "slowly", "case"),
    [(measure_classes, slow_classes, classes_case), (measure_labels, slow_labels, labels_case)],
)
def test_intervals_are_of_the_resampled_entries_measured_anew(measure: Measure, slowly: Any, case: Any) -> None:
    given_, truth = case(9)
    given_ = np.round(given_)
    groups = ["a", "b", "b", "c", "a", "d", "e", "e", "e"]
    drawn: dict[str, list[float]] = {}
    for weights in Resamples(groups, seed=3).weights():
        for row in weights:
            entries = np.repeat(np.arange(9), row.astype(int))
            for name, value in slowly(given_[entries], truth[entries]).items():
                drawn.setdefault(name, []).append(value)
    intervals = intervals_of(measure(given_, truth, groups, seed=3))
    wanted = {f"{name}_interval": np.nanquantile(values, [0.025, 0.975]) for name, values in drawn.items()}
    assert intervals.keys() == wanted.keys()
    for name, ends in wanted.items():
        assert intervals[name] == pytest.approx(ends.tolist())


@CASES
def test_intervals_hold_the_value_and_repeat_with_the_seed(measure: Measure, case: Any) -> None:
    found = measure(*case(200), [f"video {index % 80}" for index in range(200)])
    for name, (low, high) in intervals_of(found).items():
        assert low < getattr(found, name.removesuffix("_interval")) < high
    assert measure(*case(200), [f"video {index % 80}" for index in range(200)]) == found
    other = intervals_of(measure(*case(200), [f"video {index % 80}" for index in range(200)], seed=1))
    assert other != intervals_of(found)
    json.dumps(found.model_dump(), allow_nan=False)


@CASES
def test_more_groups_narrow_the_intervals(measure: Measure, case: Any) -> None:
    few, many = (intervals_of(measure(*case(count), np.arange(count))) for count in (60, 960))
    for name in few:
        assert np.ptp(many[name]) < 0.6 * np.ptp(few[name])


@CASES
def test_groups_are_resampled_and_not_entries(measure: Measure, case: Any) -> None:
    given_, truth = case(60)
    once = intervals_of(measure(given_, truth, np.arange(60)))
    given_, truth = np.repeat(given_, 10, axis=0), np.repeat(truth, 10, axis=0)
    same = intervals_of(measure(given_, truth, np.arange(600) // 10))
    apart = intervals_of(measure(given_, truth, np.arange(600)))
    for name, ends in once.items():
        assert same[name] == pytest.approx(ends)
        assert np.ptp(apart[name]) < 0.6 * np.ptp(ends)


@CASES
def test_without_intervals_the_values_are_the_same(measure: Measure, case: Any) -> None:
    found = measure(*case(30), range(30))
    whole, bare = found.model_dump(), measure(*case(30), range(30), intervals=False).model_dump()
    assert bare == {name: value for name, value in whole.items() if name in bare}
    assert set(whole) - set(bare) - {"confusion"} == set(intervals_of(found))
    assert "confusion" not in bare


@CASES
def test_nothing_to_measure_and_broken_numbers_are_said(measure: Measure, case: Any) -> None:
    given_, truth = case(3)
    with pytest.raises(NoDataError, match="there is nothing to measure"):
        measure(given_[:0], truth[:0], [], intervals=False)
    with pytest.raises(TrainingError, match="not finite"):
        measure(given_ * np.nan, truth, ["a", "b", "c"], intervals=False)


def test_pictures_without_any_material_cannot_be_measured() -> None:
    with pytest.raises(TrainingError, match="no picture has a material"):
        measure_labels(np.zeros((2, 17)), np.zeros((2, 17), bool), ["a", "b"])


def test_a_resample_without_a_measure_is_left_out() -> None:
    # One of two pictures has a material, ranked first or alone: a resample's AP is 1, or there is none.
    logits, truth = np.full((2, 17), -1.0), np.zeros((2, 17), bool)
    logits[0, 2], truth[0, 2] = 1.0, True
    assert measure_labels(logits, truth, ["a", "b"]).map_interval == (1, 1)
    # A precision without a case is 0, as the value itself would be.
    assert measure_labels(logits, truth, ["a", "b"]).precision_interval == (0, 1)


def test_resamples_draw_as_many_groups_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ["b", "a", "b", "c", "b"]
    resamples = Resamples(groups, times=200)
    weights = np.concatenate(list(resamples.weights()))
    assert weights.shape == (200, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert set(np.unique(weights)) == {0, 1, 2, 3}
    values = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])
    assert resamples.sums(values[:, None])[:, 0] == pytest.approx(weights @ values)
    monkeypatch.setattr(training.measures.bootstrap, "PART", 35)
    parts = list(resamples.weights())
    assert len(parts) == 29
    assert (np.concatenate(parts) == weights).all()


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(5, 2, 2500)
    low, high = Resamples(np.arange(2500)).mean_interval(values)
    # 1.96 standard errors of 2 / 50 to either side.
    assert (low, high) == pytest.approx((values.mean() - 0.0784, values.mean() + 0.0784), abs=0.01)


def test_values_that_are_none_are_left_out_of_a_mean() -> None:
    assert Resamples(["a", "b", "c"]).mean_interval(np.array([4.0, np.nan, 4.0])) == (4, 4)


def test_macro_weighs_classes_alike() -> None:
    held = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 1]], bool)
    assert macro_mean(np.array([0.0, 0.0, 0.9]), held) == pytest.approx((0.3 + 0.9) / 2)


def test_one_group_has_no_spread_and_none_is_refused() -> None:
    assert Resamples(["a", "a"]).mean_interval(np.array([1.0, 2.0])) == (1.5, 1.5)
    with pytest.raises(TrainingError, match="no entry to resample"):
        Resamples([])
