"""`shows`, `more` and `less` over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from index.answers.recommender import Recommender
from tests.service.conftest import LIBRARY_SIZE, Library, Server
from tests.service.test_bad_requests import check_problem
from tests.service.test_recognition import grey
from tests.service.test_similar import struck

UNKNOWN = "0" * 20


@pytest.fixture(scope="module")
def client(server_with_heads: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_with_heads.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def sounds(client: httpx.Client) -> list[str]:
    return [one["id"] for one in client.get("/sounds?limit=200").json()["sounds"]]


def ids(answer: Any) -> list[str]:
    return [one["id"] for one in answer["results"]]


def fields(problem: Any) -> list[str]:
    return [error["field"] for error in problem["errors"]]


def test_the_answer_is_that_of_python(client: httpx.Client, library_with_heads: Library, sounds: list[str]) -> None:
    asked = {"shows": ["metal", "glass"], "more": sounds[:2], "less": sounds[5:7]}
    answer = client.post("/recommend", params={"k": 30, **asked}, content=grey(30)).json()
    with Recommender.open(library_with_heads.bundle.folder, library_with_heads.index, threads=1) as recommender:
        expected = recommender.recommend(grey(30), 30, **asked)  # type: ignore[arg-type]
    assert ids(answer) == [one.id for one in expected.results]
    assert answer["recognised"] is True
    assert {one["name"]: one["probability"] for one in answer["materials"][:3]} | {"plastic": 0.0} == {
        "metal": 1.0,
        "glass": 1.0,
        "plastic": 0.0,
    }
    assert {one["match"] for one in answer["results"] if one["material"] is not None} <= {0.0, 1.0}
    assert not set(ids(answer)) & set(asked["less"])


def test_it_goes_with_all_else(client: httpx.Client, sounds: list[str]) -> None:
    base: dict[str, Any] = {
        "shows": "wood",
        "more": sounds[0],
        "less": sounds[1:3],
        "at": "0.3,0.4",
        "diversity": 0.4,
    }
    whole = client.post("/recommend", params={"k": 100, **base}, content=grey(90)).json()
    assert set(ids(whole)) == set(sounds) - set(sounds[1:3])
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.post("/recommend", params={"k": 9, **base, **cursor}, content=grey(90)).json()
        found += ids(page)
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == ids(whole)
    only = client.post("/recommend", params={"k": 100, **base, "material": "metal"}, content=grey(90)).json()
    assert {one["material"]["name"] for one in only["results"]} == {"metal"}
    first = client.post("/recommend", params={"k": 3, **base}, content=grey(90)).json()
    others: tuple[dict[str, Any], ...] = (
        {"shows": "metal"},
        {"more": sounds[4]},
        {"less": sounds[1:4]},
        {"less": []},
    )
    for changed in others:
        answer = client.post(
            "/recommend", params={"k": 3, **base, **changed, "cursor": first["next"]}, content=grey(90)
        )
        check_problem(answer, 422, "another question")


def test_sounds_that_ask_take_feedback(client: httpx.Client, sounds: list[str]) -> None:
    plain = client.get(f"/sounds/{sounds[0]}/similar?k=100").json()
    moved = client.get(
        f"/sounds/{sounds[0]}/similar", params={"k": 100, "more": sounds[9], "less": sounds[3]}
    ).json()
    assert set(ids(moved)) == set(ids(plain)) - {sounds[3]}
    assert ids(moved) != [one for one in ids(plain) if one != sounds[3]]
    sent = client.post(
        "/similar", params={"k": 100, "more": sounds[9], "less": sounds[:2]}, content=struck()
    ).json()
    assert set(ids(sent)) == set(sounds) - set(sounds[:2])
    assert sent["returned"] == LIBRARY_SIZE - 2


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("shows=rubber", "shows", "there is no material 'rubber'"),
        ("shows=wood&shows=", "shows", "there is no material ''"),
        ("shows=unlabelled", "shows", "there is no material 'unlabelled'"),
        ("shows=" + "x" * 500, "shows", "there is no material"),
        ("&".join(["shows=wood"] * 18), "shows", "at most 17"),
        (f"more={UNKNOWN}", "more", UNKNOWN),
        (f"less={UNKNOWN}", "less", UNKNOWN),
        ("more=nothing", "more", "match pattern"),
        ("less=", "less", "match pattern"),
        ("&".join(f"more={number:020x}" for number in range(21)), "more", "at most 20"),
        ("&".join(f"less={number:020x}" for number in range(21)), "less", "at most 20"),
        ("show=wood", "show", "did you mean shows?"),
    ],
)
def test_what_cannot_be_said(client: httpx.Client, query: str, field: str, words: str) -> None:
    problem = check_problem(client.post(f"/recommend?{query}", content=grey(90)), 422, words)
    assert set(fields(problem)) == {f"query.{field}"}


def test_one_sound_cannot_be_both(client: httpx.Client, sounds: list[str]) -> None:
    for answer in (
        client.post(f"/recommend?more={sounds[0]}&less={sounds[0]}", content=grey(90)),
        client.post(f"/similar?more={sounds[0]}&less={sounds[0]}", content=struck()),
        client.get(f"/sounds/{sounds[1]}/similar?more={sounds[0]}&less={sounds[0]}"),
    ):
        assert fields(check_problem(answer, 422, sounds[0])) == ["query.less"]
    for path in ("/similar", f"/sounds/{sounds[1]}/similar"):
        method, content = ("POST", struck()) if path == "/similar" else ("GET", b"")
        unknown = client.request(method, f"{path}?more={UNKNOWN}", content=content)
        assert fields(check_problem(unknown, 422, UNKNOWN)) == ["query.more"]
        check_problem(client.request(method, f"{path}?shows=wood", content=content), 422, "no such parameter")


def test_a_bundle_without_heads_cannot_be_told(server: Server) -> None:
    answer = httpx.post(f"{server.url}/recommend?shows=wood", content=grey(90), timeout=60)
    assert fields(check_problem(answer, 422, "does not know materials")) == ["query.shows"]
