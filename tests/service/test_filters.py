"""Filters, pages and text over HTTP, compared with a look at each record: nothing is lost, nothing else found."""

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from index.building.build import build_index
from tests.service.conftest import Encode, Library, running
from tests.service.labelled import SOUNDS, make_labelled_library
from tests.service.test_bad_requests import check_problem
from tests.waiting import within

Record = dict[str, Any]
Query = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return make_labelled_library(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def client(labelled: Library) -> Iterator[httpx.Client]:
    with running(labelled) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def records(client: httpx.Client) -> list[Record]:
    found: list[Record] = client.get("/sounds?limit=200").json()["sounds"]
    assert len(found) == SOUNDS
    return found


def ids(answer: Any) -> list[str]:
    """The ids of an answer, of whatever route."""
    return [one["id"] for one in answer["results" if "results" in answer else "sounds"]]


def folded(text: str | None) -> str | None:
    return None if text is None else unicodedata.normalize("NFC", text).casefold()


def material(record: Record) -> str:
    return record["material"]["name"] if record["material"] else "unlabelled"


def inside(record: Record, folder: str) -> bool:
    return str(record["path"]).startswith(f"{folder}/")


FILTERS: dict[str, tuple[Query, Callable[[Record], bool]]] = {
    "material": ([("material", "glass")], lambda one: material(one) == "glass"),
    "materials": ([("material", "metal"), ("material", "Wood")], lambda one: material(one) in ("metal", "wood")),
    "unlabelled": (
        [("material", "unlabelled"), ("material", "glass")],
        lambda one: material(one) in ("unlabelled", "glass"),
    ),
    "a material of none": ([("material", "water")], lambda one: False),
    "action": ([("action", "scratch")], lambda one: one["action"] == "scratch"),
    "actions": ([("action", "HIT"), ("action", "scratch")], lambda one: one["action"] is not None),
    "source": ([("source", "freesound")], lambda one: one["source"] == "freesound"),
    "licence": ([("licence", "cc0-1.0")], lambda one: one["licence"] == "CC0-1.0"),
    "tag": ([("tag", "bottle")], lambda one: "bottle" in one["tags"]),
    "tags": (
        [("tag", "old"), ("tag", "KÜCHE")],
        lambda one: bool({"old", "küche"} & set(map(folded, one["tags"]))),
    ),
    "folder": ([("folder", "kitchen")], lambda one: inside(one, "kitchen")),
    "folders": (
        [("folder", "kitchens/"), ("folder", "Straße/Ünterführung")],
        lambda one: inside(one, "kitchens") or inside(one, "Straße"),
    ),
    "a folder of none": ([("folder", "kitch")], lambda one: False),
    "min_duration": ([("min_duration", 0.8)], lambda one: one["duration"] >= 0.8),
    "max_duration": ([("max_duration", 0.8)], lambda one: one["duration"] <= 0.8),
    "min_loudness": ([("min_loudness", -30)], lambda one: one["loudness"] >= -30),
    "max_loudness": ([("max_loudness", -30)], lambda one: one["loudness"] <= -30),
    "all together": (
        [
            ("material", "glass"),
            ("material", "wood"),
            ("min_duration", 0.4),
            ("max_loudness", -20),
            ("tag", "bottle"),
        ],
        lambda one: (
            material(one) in ("glass", "wood")
            and one["duration"] >= 0.4
            and one["loudness"] <= -20
            and "bottle" in one["tags"]
        ),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_what_meets_it_and_loses_nothing(
    client: httpx.Client, labelled: Library, records: list[Record], encode: Encode, name: str
) -> None:
    query, meets = FILTERS[name]
    wanted = [one["id"] for one in records if meets(one)]
    picture, sound = encode(), records[0]
    audio = (labelled.sounds / sound["path"]).read_bytes()
    assert (0 < len(wanted) < SOUNDS) != name.endswith("of none")

    page = client.get(f"/sounds?limit=200&{urlencode(query)}").json()
    assert (ids(page), page["total"]) == (wanted, len(wanted))

    ask: dict[str, Callable[[str], httpx.Response]] = {
        "picture": lambda asked: client.post(f"/recommend?diversity=0&{asked}", content=picture),
        "sound": lambda asked: client.post(f"/similar?diversity=0&{asked}", content=audio),
        "like this": lambda asked: client.get(f"/sounds/{sound['id']}/similar?diversity=0&{asked}"),
    }
    for kind, one in ask.items():
        everything = ids(one("k=1000").json())
        assert len(everything) == SOUNDS - (kind == "like this")
        best = [found for found in everything if found in wanted]
        assert ids(one(f"k=1000&{urlencode(query)}").json()) == best, kind
        assert ids(one(f"k=3&{urlencode(query)}").json()) == best[:3], kind


def test_all_that_a_manifest_says_is_in_the_record(records: list[Record]) -> None:
    for name in ("action", "source", "licence", "author", "origin", "description", "material"):
        assert any(record[name] for record in records), name
    record = next(one for one in records if one["title"] == "Sound number 1")
    assert (record["author"], record["origin"]) == ("Жюль Верн", "https://example.org/1")
    assert record["label_from"] in ("manifest", None)


@pytest.mark.parametrize(
    "query", ["", "material=glass&material=wood", "diversity=0.6", "diversity=1&min_duration=0.5"]
)
@pytest.mark.parametrize("k", [1, 7])
def test_page_after_page_is_the_whole_answer(
    client: httpx.Client, labelled: Library, records: list[Record], encode: Encode, query: str, k: int
) -> None:
    audio = (labelled.sounds / records[3]["path"]).read_bytes()
    ask: list[Callable[[str], httpx.Response]] = [
        lambda asked: client.post(f"/recommend?{asked}", content=encode()),
        lambda asked: client.post(f"/similar?{asked}", content=audio),
        lambda asked: client.get(f"/sounds/{records[3]['id']}/similar?{asked}"),
    ]
    for one in ask:
        whole = one(f"k=1000&{query}").json()
        assert whole["next"] is None
        assert whole["returned"] == len(whole["results"]) > k
        seen: list[str] = []
        asked = f"k={k}&{query}"
        while True:
            page = one(asked).json()
            assert page["returned"] == len(page["results"]) <= k
            seen += ids(page)
            if page["next"] is None:
                break
            asked = f"k={k}&{query}&cursor={page['next']}"
        assert seen == ids(whole)


def test_a_cursor_belongs_to_its_question(client: httpx.Client, records: list[Record], encode: Encode) -> None:
    cursor = client.post("/recommend?k=3&material=glass", content=encode()).json()["next"]
    following = client.get("/sounds?limit=3&material=glass").json()["next"]
    for answer in (
        client.post(f"/recommend?k=3&material=wood&cursor={cursor}", content=encode()),
        client.get(f"/sounds/{records[0]['id']}/similar?material=glass&cursor={cursor}"),
        client.get(f"/sounds?material=glass&cursor={cursor}"),
        client.get(following.replace("glass", "wood")),
    ):
        problem = check_problem(answer, 422, "another question")
        assert [error["field"] for error in problem["errors"]] == ["query.cursor"]


def test_a_cursor_belongs_to_what_was_asked_with(
    client: httpx.Client, labelled: Library, records: list[Record], encode: Encode
) -> None:
    audio, other = ((labelled.sounds / records[number]["path"]).read_bytes() for number in (3, 4))
    of_picture = client.post("/recommend?k=3&box=0,0,0.5,1", content=encode()).json()["next"]
    of_sound = client.post("/similar?k=3", content=audio).json()["next"]
    for path, content in (
        (f"/recommend?k=3&box=0,0,0.5,1&cursor={of_picture}", encode("PNG", size=(60, 90))),
        (f"/recommend?k=3&box=0,0,1,1&cursor={of_picture}", encode()),
        (f"/recommend?k=3&cursor={of_picture}", encode()),
        (f"/recommend?k=3&box=0,0,0.5,1&object_weight=0.01&cursor={of_picture}", encode()),
        (f"/similar?k=3&cursor={of_picture}", audio),
        (f"/similar?k=3&cursor={of_sound}", other),
        (f"/recommend?k=3&cursor={of_sound}", encode()),
    ):
        check_problem(client.post(path, content=content), 422, "another question")


def test_ranks_go_on_from_page_to_page(
    client: httpx.Client, labelled: Library, records: list[Record], encode: Encode
) -> None:
    audio = (labelled.sounds / records[3]["path"]).read_bytes()
    for path, content in (("/recommend", encode()), ("/similar", audio)):
        for diversity in (0, 0.5):
            asked, seen = f"{path}?k=5&diversity={diversity}", []
            answer = client.post(asked, content=content).json()
            while True:
                seen += [one["rank"] for one in answer["results"]]
                if answer["next"] is None:
                    break
                answer = client.post(f"{asked}&cursor={answer['next']}", content=content).json()
            assert seen == list(range(1, SOUNDS + 1))


def test_sounds_like_a_sound_are_not_there_for_a_picture(
    client: httpx.Client, labelled: Library, records: list[Record], encode: Encode
) -> None:
    audio = (labelled.sounds / records[3]["path"]).read_bytes()
    for answer in (client.post("/similar", content=audio), client.get(f"/sounds/{records[3]['id']}/similar")):
        assert {one["because"] for one in answer.json()["results"]} == {None}
    by_picture = client.post("/recommend", content=encode()).json()["results"]
    assert {one["because"] for one in by_picture} == {"material"}


def test_diversity_mixes_takes_and_materials(client: httpx.Client, encode: Encode) -> None:
    def names(query: str) -> list[str]:
        results = client.post(f"/recommend?{query}", content=encode()).json()["results"]
        return [result["id"] for result in results]

    plain, mixed = names("k=10&diversity=0"), names("k=10&diversity=0.8")
    assert plain != mixed
    assert len(set(mixed)) == 10
    assert sorted(names("k=1000&diversity=0.8")) == sorted(names("k=1000"))


def test_pages_go_on_over_a_swap(tmp_path: Path, encode: Encode) -> None:
    own = make_labelled_library(tmp_path)
    picture = encode()
    with (
        running(own, "--watch-seconds", "0.05", says=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):

        def paths() -> dict[str, str]:
            return {one["id"]: one["path"] for one in client.get("/sounds?limit=200").json()["sounds"]}

        before = paths()
        pages = {"recommended": client.post("/recommend?k=9", content=picture).json()}
        pages["listed"] = client.get("/sounds?limit=9").json()
        pages["found"] = client.get("/sounds?limit=9&q=sound").json()
        seen = {name: ids(page) for name, page in pages.items()}
        # Some of those that were seen go, some that were not, and new ones come in between.
        gone = [*seen["recommended"][:3], *seen["listed"][:2], *list(before)[-3:]]
        for one in set(gone):
            (own.sounds / before[one]).unlink()
        kept = next(path for one, path in before.items() if one not in gone)
        data = (own.sounds / kept).read_bytes()
        for number in range(5):
            (own.sounds / "kitchen" / f"new {number}.wav").write_bytes(data[:-2] + bytes([number, 1]))
        renewed = build_index(own.bundle, own.sounds, own.index).spec.id
        within(20, lambda: client.get("/readyz").json().get("index") == renewed)
        after = paths()
        assert set(after) - set(before)

        for name, page in pages.items():
            following = page["next"]
            while following is not None:
                if name == "recommended":
                    further = client.post(f"/recommend?k=9&cursor={following}", content=picture).json()
                else:
                    further = client.get(following).json()
                seen[name] += ids(further)
                following = further["next"]
            assert len(seen[name]) == len(set(seen[name])), name
            assert set(before) & set(after) <= set(seen[name]), name
