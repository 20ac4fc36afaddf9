"""What a person says of a picture and of its sounds moves the answer: `shows`, `more`, `less`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.answers.feedback import (
    LESS_WEIGHT,
    MORE_WEIGHT,
    MOST_JUDGED,
    TOLD,
    Feedback,
    rocchio,
    told_materials,
    towards_materials,
)
from index.answers.recommender import Recommender
from index.answers.store import VectorId
from index.building.build import build_index
from index.catalogue.filters import SoundFilter
from index.nearest.vectors import Vectors, normalised
from model.bundle import HEADS, Bundle, Calibration
from model.errors import FilterError
from model.materials import MATERIALS
from tests.index.conftest import Strike
from tests.tiny_bundle import tiny_heads, write_shade, write_tiny_bundle

SIZE = 128
WOOD = 15


def unit(seed: int, count: int = 1) -> Vectors:
    return normalised(np.random.default_rng(seed).standard_normal((count, SIZE)).astype(np.float32))


def test_rocchio_is_what_rocchio_wrote() -> None:
    query, more, less = unit(0)[0], unit(1, 3), unit(2, 2)
    expected = query + MORE_WEIGHT * more.mean(axis=0) - LESS_WEIGHT * less.mean(axis=0)
    expected /= np.linalg.norm(expected)
    assert rocchio(query, more, less) == pytest.approx(expected, abs=1e-6)
    none = np.zeros((0, SIZE), np.float32)
    assert rocchio(query, none, none) == pytest.approx(query, abs=1e-6)
    # What would have no length stays where it was.
    assert (rocchio(query, -query[None], none, 1.0) == query).all()


def test_what_is_told_moves_towards_what_the_head_listens_for() -> None:
    heads, embedding = tiny_heads(), unit(0)[0]
    direction = heads.sound_weights[WOOD] / np.linalg.norm(heads.sound_weights[WOOD])
    moved = towards_materials(embedding, (WOOD,), heads)
    expected = (1 - TOLD) * embedding + TOLD * direction
    assert moved == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert np.linalg.norm(moved) == pytest.approx(1, abs=1e-6)
    of_two = towards_materials(embedding, (WOOD, 3), heads)
    assert moved @ direction > of_two @ direction > embedding @ direction
    # As near to one as to the other, whatever is seen in the picture.
    other = heads.sound_weights[3] / np.linalg.norm(heads.sound_weights[3])
    assert of_two @ direction == pytest.approx(of_two @ other, abs=1e-5)
    assert towards_materials(embedding, (WOOD,), heads, 0.0) == pytest.approx(embedding, abs=1e-6)


def test_feedback_names_each_sound_once() -> None:
    assert Feedback(("b", "a", "b")) == Feedback(("a", "b"))
    assert not Feedback()
    with pytest.raises(FilterError, match="named by more and by less") as both:
        Feedback(("a",), ("b", "a"))
    assert both.value.field == "less"
    for name in ("more", "less"):
        ids = tuple(map(str, range(MOST_JUDGED + 1)))
        assert Feedback(**{name: ids[:-1]})
        with pytest.raises(FilterError, match=f"{name} names 21 sounds; at most 20") as many:
            Feedback(**{name: ids})
        assert many.value.field == name
    assert Feedback.of("ab", iter(["b", "a"])) == Feedback(("ab",), ("a", "b"))
    assert told_materials(["Wood", "plastic bag", "wood"]) == (12, 15)
    assert told_materials("plastic bag") == (12,)
    with pytest.raises(FilterError, match="there is no material 'rubber'"):
        told_materials(["wood", "rubber"])


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory, strike: Strike) -> Iterator[Recommender]:
    """Six sounds of wood, six of glass, four unlabelled, and a bundle with heads."""
    folder = tmp_path_factory.mktemp("feedback")
    for number, name in enumerate(("ash", "elm", "fir", "oak", "pine", "yew")):  # takes of one would be kept apart
        strike(folder / "sounds" / "wood" / f"{name}.wav", 200 + 37 * number)
        strike(folder / "sounds" / "glass" / f"{name}.wav", 2200 + 370 * number)
    for number in range(4):
        strike(folder / "sounds" / "others" / f"thing {number}.wav", 500 + 400 * number)
    tiny_heads().save(folder / "heads.npz")
    bundle = write_tiny_bundle(
        folder / "bundle",
        others={HEADS: folder / "heads.npz"},
        calibration=Calibration(recognised=0.5),
        label_strength=0.8,
    )
    build_index(bundle, folder / "sounds", folder / "index")
    with Recommender.open(folder / "bundle", folder / "index", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "dark.png"
    write_shade(path, 40)
    return path


def ids_of(recommender: Recommender) -> list[str]:
    return [record.id for record in recommender.index.page(limit=50).sounds]


@pytest.mark.parametrize("name", ["wood", "glass"])
def test_a_picture_that_shows_a_material_gets_its_sounds(
    recommender: Recommender, picture: Path, name: str
) -> None:
    plain = recommender.recommend(picture, 6)
    told = recommender.recommend(picture, 6, shows=[name])
    assert {one.material and one.material.name for one in told.results} == {name}
    assert {one.match for one in told.results} == {1.0}
    assert told.recognised is True
    assert plain.recognised is False
    assert told.materials is not None
    assert {one.name for one in told.materials if one.probability == 1} == {name} == {told.materials[0].name}
    assert {one.probability for one in told.materials} == {0.0, 1.0}
    assert len(told.materials) == len(MATERIALS)
    # It is a ranking of all sounds, the unlabelled ones too.
    everything = recommender.recommend(picture, 50, shows=[name], diversity=0)
    assert everything.returned == len(recommender.index) == 16


def test_two_materials_can_be_told(recommender: Recommender, picture: Path) -> None:
    told = recommender.recommend(picture, 12, shows=["wood", "Glass"])
    assert {one.material and one.material.name for one in told.results} == {"wood", "glass"}
    with pytest.raises(FilterError, match="another question"):
        recommender.recommend(picture, 3, shows=["wood"], cursor=recommender.recommend(picture, 3).next)


def test_a_bundle_without_heads_cannot_be_told(
    tiny_bundle: Bundle, recommender: Recommender, picture: Path, tmp_path: Path
) -> None:
    build_index(tiny_bundle, recommender.index.root, tmp_path / "index")
    with Recommender.open(tiny_bundle.folder, tmp_path / "index", threads=1) as other:
        with pytest.raises(FilterError, match="does not know materials") as error:
            other.recommend(picture, 3, shows=["wood"])
        assert error.value.field == "shows"
        some = other.recommend(picture, 3).results[0].id
        assert other.recommend(picture, 3, more=[some]).results[0].id == some


def test_more_comes_nearer_and_less_does_not_come_again(recommender: Recommender, picture: Path) -> None:
    plain = recommender.recommend(picture, 50, diversity=0)
    wanted, unwanted = plain.results[-1].id, plain.results[0].id
    answer = recommender.recommend(picture, 50, diversity=0, more=[wanted], less=[unwanted])
    order = [one.id for one in answer.results]
    assert unwanted not in order
    assert set(order) == set(ids_of(recommender)) - {unwanted}
    assert order.index(wanted) < len(order) - 1
    assert answer.materials == plain.materials
    similarities = {one.id: one.similarity for one in answer.results}
    assert similarities[wanted] > next(one.similarity for one in plain.results if one.id == wanted)
    # By brute force; every sound has one hit.
    every = ids_of(recommender)
    vectors = recommender.index._store.vectors([VectorId(one, 0) for one in every])
    embedding = recommender.towers.embed_picture(picture.read_bytes()).embedding[0]
    at = {one: number for number, one in enumerate(every)}
    query = rocchio(embedding, vectors[[at[wanted]]], vectors[[at[unwanted]]])
    cosines = np.round(vectors.astype(np.float64) @ query.astype(np.float64), 6)
    expected = [every[place] for place in np.lexsort((np.arange(len(every)), -cosines))]
    assert order == [one for one in expected if one != unwanted]


def test_all_the_same_with_pages_filters_and_diversity(recommender: Recommender, picture: Path) -> None:
    every = ids_of(recommender)
    for diversity in (0.0, 0.2, 0.9):
        asked = {"more": every[:2], "less": every[3:6], "diversity": diversity, "shows": ["glass"]}
        whole = [one.id for one in recommender.recommend(picture, 50, **asked).results]  # type: ignore[arg-type]
        paged: list[str] = []
        cursor = None
        while True:
            page = recommender.recommend(picture, 4, cursor=cursor, **asked)  # type: ignore[arg-type]
            paged += [one.id for one in page.results]
            assert [one.rank for one in page.results] == list(range(len(paged) - page.returned + 1, len(paged) + 1))
            if (cursor := page.next) is None:
                break
        assert paged == whole
        assert set(whole) == set(every) - set(every[3:6])
    only = SoundFilter(material=("wood",))
    woods = [one.id for one in recommender.index.page(only, limit=50).sounds]
    answer = recommender.recommend(picture, 50, only=only, more=every[:1], less=woods[:2])
    assert {one.id for one in answer.results} == set(woods[2:])
    first = recommender.recommend(picture, 3, more=every[:1])
    for other in ({"more": every[1:2]}, {"less": every[:1]}, {}, {"more": every[:1], "less": every[1:2]}):
        with pytest.raises(FilterError, match="another question"):
            recommender.recommend(picture, 3, cursor=first.next, **other)  # type: ignore[arg-type]


def test_a_sound_that_has_gone_since_is_passed_over_on_the_next_page(
    recommender: Recommender, picture: Path, tmp_path: Path
) -> None:
    every = ids_of(recommender)
    asked = {"more": every[:2], "less": every[8:10], "diversity": 0.0}
    first = recommender.recommend(picture, 3, **asked)  # type: ignore[arg-type]
    shutil.copytree(str(recommender.index.root), tmp_path / "sounds")
    for number in (0, 8):
        record = recommender.index.sound(every[number])
        assert record is not None
        (tmp_path / "sounds" / record.path).unlink()
    build_index(recommender.bundle, tmp_path / "sounds", tmp_path / "index")
    with Recommender.open(recommender.bundle.folder, tmp_path / "index", threads=1) as smaller:
        going_on = smaller.recommend(picture, 50, cursor=first.next, **asked)  # type: ignore[arg-type]
        given_ids = {one.id for one in (*first.results, *going_on.results)}
        assert given_ids >= set(every) - {every[0], every[8], every[9]}
        assert not {every[8], every[9]} & given_ids
        with pytest.raises(FilterError, match="there is no sound"):
            smaller.recommend(picture, 3, **asked)  # type: ignore[arg-type]
        of_a_sound = recommender.index.similar(every[1], 3, feedback=Feedback((every[0],)))
        assert len(smaller.index.similar(every[1], 3, cursor=of_a_sound.next, feedback=Feedback((every[0],)))) == 3


def test_like_a_sound_takes_feedback_too(recommender: Recommender) -> None:
    every = ids_of(recommender)
    found = recommender.index.similar(every[0], 50, feedback=Feedback((every[8],), (every[1],)))
    assert {one.record.id for one in found} == set(every) - {every[0], every[1]}
    sound = Path(recommender.index.root / "wood/ash.wav")
    answer = recommender.recommend_by_sound(sound, 50, more=[every[9]], less=[every[2]])
    assert {one.id for one in answer.results} == set(every) - {every[2]}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shows=st.lists(st.text(max_size=12) | st.sampled_from([one.name for one in MATERIALS]), max_size=3),
    more=st.lists(st.text(max_size=25), max_size=3),
    less=st.lists(st.text(max_size=25), max_size=3),
)
def test_what_is_no_material_and_no_sound_is_said(
    recommender: Recommender, picture: Path, shows: list[str], more: list[str], less: list[str]
) -> None:
    known = {one.name for one in MATERIALS}
    unknown = [one for one in shows if one.strip().lower().replace(" ", "-").replace("_", "-") not in known]
    given_ids = {"shows": unknown, "more": more, "less": less}
    if not any(given_ids.values()):
        assert recommender.recommend(picture, 3, shows=shows).returned == 3
        return
    with pytest.raises(FilterError) as error:
        recommender.recommend(picture, 3, shows=shows, more=more, less=less)
    assert any(repr(one) in str(error.value) for one in given_ids[error.value.field])
    assert "\n" not in str(error.value)
