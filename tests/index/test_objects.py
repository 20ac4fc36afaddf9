"""Sounds that name what a picture shows: their share of the score, and why each sound is in the answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index.answers.objects import MaterialFit, shares, shown_objects
from index.answers.recommendation import PictureObject
from index.answers.recommender import Recommender
from index.answers.search import SoundIndex
from index.answers.store import Query, VectorId
from index.building.build import build_index
from index.nearest import vectors as index_vectors
from index.nearest.vectors import Vectors, normalised
from model.bundle import Bundle, Hubness, ObjectSpec
from model.region import Region
from tests.index.conftest import Strike
from tests.tiny_bundle import tiny_heads, write_tiny_bundle, write_tiny_bundle_with_bank

NAMES = ["bottle", "door", "bottle on door", "tap"]
COUNT = 60
SHARES = {"bottle": 0.02, "door": 0.05, "cup": 0.4}


@pytest.fixture(scope="module")
def library(strike: Strike, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 sounds, of which a quarter each names a bottle, a door, both and nothing."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(COUNT):
        strike(folder / f"{NAMES[number % 4]} {number:02}.wav", 150 + 37 * (number * 7 % COUNT))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("objects") / "bundle", with_objects=True)


@pytest.fixture(scope="module", params=["flat", "ivf", "hubs"])
def index(
    request: pytest.FixtureRequest, bundle: Bundle, library: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SoundIndex]:
    """The library in each kind of index, and in one whose sounds have hub biases."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "ivf":
            patch.setattr(index_vectors, "FLAT_UP_TO", 0)
        if request.param == "hubs":
            bank = normalised(np.random.default_rng(1).standard_normal((20, 128)).astype(np.float32))
            bundle = write_tiny_bundle_with_bank(folder / "bundle", bank, Hubness(strength=1.0, neighbours=3))
        spec = build_index(bundle, library, folder / "index").spec
    assert (spec.search.kind, spec.hubness is not None) == (
        "ivf" if request.param == "ivf" else "flat",
        "hubs" in folder.name,
    )
    with SoundIndex.open(folder / "index", bundle) as opened:
        yield opened


def queries() -> Vectors:
    return normalised(np.random.default_rng(0).standard_normal((20, 128)).astype(np.float32))


def test_the_answer_is_that_of_scoring_every_sound(index: SoundIndex) -> None:
    lifted = 0
    for query in queries():
        plain = index.search(query, COUNT)
        # Nothing but the share is added, to a rank by nearness that the plain search knows.
        nearness = {
            one.record.path: score for one, score in zip(plain, _nearness(index, query, plain), strict=True)
        }
        gains = {one.record.path: max((SHARES[name] for name in one.record.objects), default=0.0) for one in plain}
        scores = {path: round((nearness[path] + 1) / 2 + gains[path], 6) for path in nearness}
        expected = sorted(scores, key=lambda path: (-scores[path], path))
        for k in (1, 10, 37, COUNT, 1000):
            found = index.search(query, k, SHARES)
            assert [one.record.path for one in found] == expected[:k]
            near = {one.record.path for one in plain[:k]}
            assert [one.nearest for one in found] == [one.record.path in near for one in found]
        similarities = {one.record.path: one.similarity for one in plain}
        for one in found:
            assert one.similarity == pytest.approx(similarities[one.record.path], abs=2e-6)
            # Of two objects the one with the larger share.
            assert one.object == ("door" if "door" in one.record.objects else (*one.record.objects, None)[0])
        lifted += expected[:10] != [one.record.path for one in plain[:10]]
    assert lifted > 10


def _nearness(index: SoundIndex, query: Vectors, plain: list) -> list[float]:  # type: ignore[type-arg]
    """What a search ranks the sounds by."""
    found = index._store.search(Query(query), COUNT)
    values = dict(zip(found.ids(range(len(found))), found.values.tolist(), strict=True))
    return [values[one.record.id] for one in plain]


def test_without_a_name_or_a_share_nothing_changes(index: SoundIndex) -> None:
    for query in queries():
        plain = index.search(query, 10)
        assert all(one.object is None and one.nearest for one in plain)
        for none in ({}, {"cup": 0.5}, {"door": 0.0, "bottle": 0.0}):
            found = index.search(query, 10, none)
            assert found == plain
            assert [one.similarity for one in found] == [one.similarity for one in plain]


def test_equal_sounds_come_in_the_order_of_the_catalogue(bundle: Bundle, strike: Strike, tmp_path: Path) -> None:
    for name in ("b door", "a tap", "c door", "d door"):
        file = strike(tmp_path / "sounds" / f"{name}.wav", 440)
        with file.open("ab") as handle:
            handle.write(name.encode())  # another sound for the catalogue, the same to the ear
    build_index(bundle, tmp_path / "sounds", tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", bundle) as index:
        found = index.search(queries()[0], 4, {"door": 0.1})
    assert [one.record.title for one in found] == ["b door", "c door", "d door", "a tap"]


def test_the_shown_objects_are_few_and_likely() -> None:
    spec = ObjectSpec(names=tuple("abcdefgh"), shown=0.1)
    found = shown_objects(np.array([[0.1, 0.3, 0.0999, 0.1, 0.2, 0.1, 0.1, 0.1]], np.float32), spec)
    assert found is not None
    assert shown_objects(None, None) is None
    assert [one.name for one in found] == ["b", "e", "a", "d", "f"]
    assert found[0] == PictureObject("b", 0.3)
    assert shares(found[:2], 0.5) == {"b": 0.15, "e": 0.1}
    assert shares(found, 0.0) == {}


def test_a_sound_gets_its_share_as_far_as_its_material_fits(index: SoundIndex) -> None:
    in_picture = np.zeros(17)
    in_picture[[3, 15]] = 0.8, 0.2  # metal and wood
    heads = tiny_heads()
    fit = MaterialFit(heads, in_picture)
    unlabelled = queries()[:2]
    heard = heads.sounds(unlabelled).astype(np.float64) @ in_picture / 0.8
    found = fit(np.array([15, -1, 3, -1, 0]), unlabelled)
    np.testing.assert_allclose(found, [0.0625, heard[0] ** 2, 1.0, heard[1] ** 2, 0.0])
    assert (MaterialFit(heads, np.zeros(17))(np.array([3]), unlabelled[:0]) == 1.0).all()
    # No sound of this library has a label: each is heard.
    query = queries()[0]
    plain = index.search(query, COUNT)
    paths = np.array([one.record.path for one in plain])
    nearness = np.array(_nearness(index, query, plain))
    gain = np.array([max((SHARES[name] for name in one.record.objects), default=0.0) for one in plain])
    gain *= fit(np.full(COUNT, -1), index._store.vectors([VectorId(one.record.id, 0) for one in plain]))
    scores = np.round((nearness + 1) / 2 + gain, 6)
    expected = paths[np.lexsort((paths, -scores))]
    assert [one.record.path for one in index.search(query, 20, SHARES, fit)] == expected[:20].tolist()


@pytest.fixture(scope="module")
def recommender(bundle: Bundle, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    folder = tmp_path_factory.mktemp("recommender") / "index"
    build_index(bundle, library, folder)
    with Recommender.open(bundle.folder, folder, threads=1, object_weight=0.05) as opened:
        yield opened


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_is_from_0_to_1(recommender: Recommender, weight: float) -> None:
    with pytest.raises(ValueError, match="it must be from 0 to 1"):
        recommender.recommend(Image.new("RGB", (40, 30), "red"), 3, object_weight=weight)


def test_an_answer_says_what_is_shown_and_why_each_sound_is_there(recommender: Recommender) -> None:
    red = Image.new("RGB", (40, 30), (250, 120, 120))
    answer = recommender.recommend(red, 10)
    assert answer.objects is not None
    assert [one.name for one in answer.objects] == ["bottle"]
    assert answer.objects[0].probability > 0.9
    plain = recommender.recommend(red, 10, object_weight=0.0)
    assert plain.objects == answer.objects
    assert {one.because for one in plain.results} == {"material"}
    near = {one.id for one in plain.results}
    whys = set()
    for one in answer.results:
        named = "bottle" in one.title
        assert one.object == ("bottle" if named else None)
        assert one.because == ("material" if not named else "both" if one.id in near else "object")
        whys.add(one.because)
    assert {"object", "both"} <= whys
    assert [one.rank for one in answer.results] == list(range(1, 11))
    # More results begin with the same ones.
    more = recommender.recommend(red, 25)
    assert [one.id for one in more.results[:10]] == [one.id for one in answer.results]


def test_a_picture_of_no_object_is_answered_as_without_objects(recommender: Recommender) -> None:
    green = Image.new("RGB", (40, 30), (100, 250, 100))
    answer = recommender.recommend(green, 10)
    assert answer.objects == []
    plain = recommender.recommend(green, 10, object_weight=0.0)
    assert replace(answer, next=None).json() == replace(plain, next=None).json()


def test_a_part_of_a_picture_shows_what_is_in_it(recommender: Recommender) -> None:
    picture = Image.new("RGB", (80, 40), (250, 120, 120))
    picture.paste((120, 120, 250), (40, 0, 80, 40))
    shown = []
    for x in (0.0, 0.5):
        answer = recommender.recommend(picture, 3, region=Region(x, 0, 0.5, 1))
        shown.append([one.name for one in answer.objects or ()])
    assert shown == [["bottle"], ["door"]]


def test_a_bundle_without_objects_answers_as_ever(library: Path, tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "bundle")
    build_index(plain, library, tmp_path / "index")
    picture = Image.new("RGB", (40, 30), (250, 120, 120))
    with Recommender.open(plain.folder, tmp_path / "index", threads=1) as opened:
        answer = opened.recommend(picture, 10)
        assert replace(answer, next=None) == replace(opened.recommend(picture, 10, object_weight=0.0), next=None)
    assert answer.objects is None
    assert {(one.because, one.object) for one in answer.results} == {("material", None)}
