"""Measures of recommended sounds against values worked by hand and against a slow, plain reference."""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

import training.measures.retrieval
from model.errors import TrainingError
from model.materials import MATERIALS
from training.measures.records import MaterialMeasures, Mean, RetrievalMeasures, Way
from training.measures.retrieval import hubness_skew, measure_retrieval

Problem = tuple[
    npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int8], list[str]
]


def held(*materials: set[int]) -> npt.NDArray[np.bool_]:
    return np.array([[id_ in some for id_ in range(17)] for some in materials])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small whole numbers, so that cosines are exact and often equal."""
    pictures, sounds = draw(st.integers(1, 6)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = rng.random((pictures, 17)) < draw(st.sampled_from([0.06, 0.3]))
    present[rng.integers(pictures), rng.integers(17)] = True
    return (
        rng.integers(-2, 3, (pictures, 3)).astype(np.float32),
        rng.integers(-2, 3, (sounds, 3)).astype(np.float32),
        present,
        rng.integers(draw(st.sampled_from([2, 17])), size=sounds).astype(np.int8),
        [f"video {index}" for index in rng.integers(1, 4, pictures)],
    )


def ordinary(pictures: int, groups: int, seed: int = 0) -> Problem:
    """A problem that is solved now and then: pictures lean towards the sounds of their materials."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(17, 8))
    present = rng.random((pictures, 17)) < 0.1
    present[np.arange(pictures), rng.integers(17, size=pictures)] = True
    material = rng.integers(17, size=400).astype(np.int8)
    return (
        (present @ centre + 2 * rng.normal(size=(pictures, 8))).astype(np.float32),
        (centre[material] + rng.normal(size=(400, 8))).astype(np.float32),
        present,
        material,
        [f"video {index % groups}" for index in range(pictures)],
    )


WAYS: tuple[Way, ...] = ("micro", "macro")


def scores(measured: RetrievalMeasures) -> dict[str, Mean]:
    """All the measures that have micro, macro and their intervals."""
    return {
        "map": measured.map,
        "ndcg": measured.ndcg_at_10,
        **{f"p {k}": score for k, score in measured.p_at.items()},
        **{f"coverage {k}": score for k, score in measured.coverage_at.items()},
    }


def slow(problem: Problem, most_k: int) -> dict[str, Any]:
    """The definitions once more, without arrays."""
    pictures, sounds, present, material, _ = problem
    each: dict[str, list[float]] = {}
    shares = []
    for picture, row in zip(pictures.tolist(), present.tolist(), strict=True):
        cosine = [sum(a * b for a, b in zip(picture, sound, strict=True)) for sound in sounds.tolist()]
        ranked = [int(material[j]) for j in sorted(range(len(cosine)), key=lambda j: (-cosine[j], j))]
        wanted = {id_ for id_ in range(17) if row[id_]}
        good = [id_ in wanted for id_ in ranked]
        precisions = [sum(good[:k]) / k for k in range(1, len(good) + 1)]
        at_hits = [precision for precision, hit in zip(precisions, good, strict=True) if hit]
        gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(good[:10]) if hit)
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, sum(good))))
        each.setdefault("map", []).append(sum(at_hits) / len(at_hits) if at_hits else 0.0)
        each.setdefault("ndcg", []).append(gain / ideal if ideal else 0.0)
        for k in (1, 5, 10, 25, 50):
            if k <= min(most_k, len(good)):
                each.setdefault(f"p {k}", []).append(precisions[k - 1])
                covered = len(wanted & set(ranked[:k])) / len(wanted) if wanted else 0.0
                each.setdefault(f"coverage {k}", []).append(covered)
        each.setdefault("chance", []).append(sum(good) / len(good))
        shares.append(precisions[:most_k])
    occurring = [id_ for id_ in range(17) if present[:, id_].any()]

    def by_material(values: list[float]) -> dict[int, float]:
        return {
            id_: float(np.mean([value for value, row in zip(values, present, strict=True) if row[id_]]))
            for id_ in occurring
        }

    return {
        "micro": {name: float(np.mean(values)) for name, values in each.items()},
        "macro": {name: float(np.mean(list(by_material(values).values()))) for name, values in each.items()},
        "at_ten": by_material(each["p 10"]) if "p 10" in each else {},
        "chance": by_material(each["chance"]),
        "good_share": np.mean(shares, axis=0).tolist(),
        "without_good": sum(value == 0 for value in each["chance"]),
    }


def test_two_pictures_and_four_sounds_by_hand() -> None:
    pictures = np.array([[1, 0], [0, 1]], np.float32)
    sounds = np.array([[0, 1], [1, 0], [0.6, 0.8], [0.6, 0.8]], np.float32)
    # The first picture hears materials 1 2 0 0 and wants 1 and 2; the second hears 0 2 0 1 and wants 0.
    found = measure_retrieval(pictures, sounds, held({1, 2}, {0}), np.array([0, 1, 2, 0], np.int8), ["a", "b"])
    assert found.good_share == pytest.approx([1, 3 / 4, 2 / 3, 1 / 2])
    # Of two groups a resample has both or one of them twice: at K = 2 it gives 3/4, 1 or 1/2.
    assert (found.good_low[1], found.good_high[1]) == (0.5, 1.0)
    assert (found.map.micro, found.map.macro) == pytest.approx((11 / 12, 17 / 18))
    assert found.map.micro_interval == pytest.approx([5 / 6, 1])
    second = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    assert (found.ndcg_at_10.micro, found.ndcg_at_10.macro) == pytest.approx(((1 + second) / 2, (2 + second) / 3))
    assert (found.p_at["1"].micro, found.coverage_at["1"].micro) == (1, 3 / 4)
    assert found.coverage_at["1"].macro == pytest.approx(2 / 3)
    assert found.chance == Mean(micro=0.5, macro=0.5)
    assert found.by_material == {
        name: MaterialMeasures(pictures=1, chance=0.5) for name in ("plastic", "drywall", "rock")
    }
    assert found.without_good == 0
    assert found.by_picture is not None
    assert found.by_picture.model_dump() == {
        "group": ["a", "b"],
        "materials": [[1, 2], [0]],
        "ndcg_at_10": [1.0, round(second, 6)],
        "map": [1.0, round(5 / 6, 6)],
    }


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from([7, 50]))
def test_it_measures_what_the_definitions_say(problem: Problem, most_k: int) -> None:
    found, wanted = measure_retrieval(*problem, most_k=most_k), slow(problem, most_k)
    for way in WAYS:
        measured = {name: score.by(way).value for name, score in scores(found).items()}
        assert measured | {"chance": found.chance.by(way).value} == pytest.approx(wanted[way])
    assert found.good_share == pytest.approx(wanted["good_share"])
    assert len(found.good_low) == len(found.good_high) == min(most_k, len(problem[1]))
    assert found.without_good == wanted["without_good"]
    names = {id_: MATERIALS[id_].name for id_ in wanted["chance"]}
    for id_, name in names.items():
        entry = found.by_material[name]
        assert entry.pictures == problem[2][:, id_].sum()
        assert entry.chance == pytest.approx(wanted["chance"][id_])
        assert (entry.p_at_10 is not None) == (entry.interval is not None) == ("10" in found.p_at)
        assert entry.p_at_10 == pytest.approx(wanted["at_ten"].get(id_))
    assert set(found.by_material) == set(names.values())
    json.dumps(found.model_dump(), allow_nan=False)


def test_a_picture_without_a_good_sound_stays_in_with_nothing() -> None:
    pictures = np.ones((2, 3), np.float32)
    sounds = np.ones((12, 3), np.float32)
    found = measure_retrieval(pictures, sounds, held({4}, {9}), np.full(12, 4, np.int8), ["a", "b"])
    assert found.without_good == 1
    assert {score.micro for score in scores(found).values()} == {0.5}
    assert found.by_material["glass"] == MaterialMeasures(pictures=1, p_at_10=0, interval=(0, 0), chance=0)
    assert found.by_material["leaf"] == MaterialMeasures(pictures=1, p_at_10=1, interval=(1, 1), chance=1)


@pytest.mark.parametrize("pictures", [1, 5, 31, 64])
@pytest.mark.parametrize("sounds", [50, 203, 1003])
def test_copies_of_one_sound_rank_in_their_order(pictures: int, sounds: int) -> None:
    # In a plain matrix product their cosines differ in the last bits, by shape.
    rng = np.random.default_rng(0)
    copies = np.repeat(rng.normal(size=(1, 128)), sounds, axis=0).astype(np.float32)
    vectors = rng.normal(size=(pictures, 128)).astype(np.float32)
    material = np.r_[np.full(sounds - 3, 3), np.full(3, 8)].astype(np.int8)
    found = measure_retrieval(vectors, copies, held(*[{3}] * pictures), material, range(pictures))
    assert found.map.micro == 1


def test_parts_make_one_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ordinary(60, 60)
    whole, skewness = measure_retrieval(*problem), hubness_skew(problem[0], problem[1])
    monkeypatch.setattr(training.measures.retrieval, "PART", 7 * 400)
    assert measure_retrieval(*problem) == whole
    assert hubness_skew(problem[0], problem[1]) == skewness


def test_intervals_hold_the_value_and_repeat_with_the_seed() -> None:
    problem = ordinary(120, 60)
    found = measure_retrieval(*problem, seed=4)
    for score in scores(found).values():
        for way in WAYS:
            value, interval = score.by(way)
            assert interval is not None
            assert interval[0] < value < interval[1]
    for entry in found.by_material.values():
        assert entry.interval is not None
        assert entry.p_at_10 is not None
        assert entry.interval[0] <= entry.p_at_10 <= entry.interval[1]
    for low, share, high in zip(found.good_low, found.good_share, found.good_high, strict=True):
        assert low < share < high
    assert found.p_at["10"].micro_interval == pytest.approx([found.good_low[9], found.good_high[9]])
    assert measure_retrieval(*problem, seed=4) == found
    assert measure_retrieval(*problem, seed=5).map.micro_interval != found.map.micro_interval


def width(score: Mean, way: Way) -> float:
    interval = score.by(way).interval
    assert interval is not None
    return interval[1] - interval[0]


def test_more_groups_narrow_the_intervals() -> None:
    few, many = (scores(measure_retrieval(*ordinary(count, count))) for count in (40, 640))
    for name in few:
        for way in WAYS:
            assert width(many[name], way) < 0.6 * width(few[name], way)


def test_groups_are_resampled_and_not_pictures() -> None:
    pictures, sounds, present, material, groups = ordinary(40, 40)
    once = measure_retrieval(pictures, sounds, present, material, groups)

    def ten_times(names: list[str]) -> RetrievalMeasures:
        return measure_retrieval(np.tile(pictures, (10, 1)), sounds, np.tile(present, (10, 1)), material, names)

    same, apart = ten_times(groups * 10), ten_times([str(index) for index in range(400)])
    for name, score in scores(once).items():
        for way in WAYS:
            assert scores(same)[name].by(way).interval == pytest.approx(score.by(way).interval)
            assert width(scores(apart)[name], way) < 0.6 * width(score, way)


def test_a_material_in_few_groups_is_left_out_where_it_is_not_drawn() -> None:
    # Three videos; only the first has material 2, where everything is good: its mean is 1 or there is none.
    pictures, sounds = np.ones((3, 3), np.float32), np.ones((10, 3), np.float32)
    material = np.array([2] * 5 + [6] * 5, np.int8)
    found = measure_retrieval(pictures, sounds, held({2, 6}, {6}, {6}), material, [7, 8, 9])
    assert found.by_material["rock"].interval == (1, 1)
    # P@5 is 1, 0, 0: its macro is 1, alone 0, and the three together (1 + 1/3) / 2.
    assert found.p_at["5"].macro == pytest.approx(2 / 3)
    assert found.p_at["5"].macro_interval == (0, 1)


def test_nothing_to_measure_is_said() -> None:
    one, none = np.ones((1, 3), np.float32), np.ones((0, 3), np.float32)
    wood, ids = held({15}), np.array([15], np.int8)
    with pytest.raises(TrainingError, match=r"no picture$"):
        measure_retrieval(none, one, wood[:0], ids, [])
    with pytest.raises(TrainingError, match=r"no sound$"):
        measure_retrieval(one, none, wood, ids[:0], ["a"])
    with pytest.raises(TrainingError, match="no picture has a material"):
        measure_retrieval(one, one, held(set()), ids, ["a"])
    with pytest.raises(TrainingError, match="the vector of a sound is not finite"):
        measure_retrieval(one, one * np.nan, wood, ids, ["a"])
    with pytest.raises(TrainingError, match=r"no picture$"):
        hubness_skew(none, one)


def test_hubness_by_hand() -> None:
    sounds = np.eye(4, dtype=np.float32)
    assert hubness_skew(sounds, sounds, k=1) == 0
    assert hubness_skew(sounds, sounds, k=4) == hubness_skew(sounds, sounds, k=10) == 0
    # The first sound is chosen 4 times, the others never: mean 1, variance 3, third moment (27 - 3) / 4 = 6.
    assert hubness_skew(np.tile(sounds[:1], (4, 1)), sounds, k=1) == pytest.approx(6 / 3**1.5)


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from([1, 3, 10]))
def test_hubness_is_the_skewness_of_how_often_a_sound_is_near(problem: Problem, k: int) -> None:
    pictures, sounds = problem[:2]
    near = [0] * len(sounds)
    for picture in pictures.tolist():
        cosine = [sum(a * b for a, b in zip(picture, sound, strict=True)) for sound in sounds.tolist()]
        for j in sorted(range(len(sounds)), key=lambda j: (-cosine[j], j))[:k]:
            near[j] += 1
    wanted = float(skew(near)) if len(set(near)) > 1 else 0.0
    assert hubness_skew(pictures, sounds, k) == pytest.approx(wanted, abs=1e-9)
