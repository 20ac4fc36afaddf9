"""Query parameters that there are not, or that are given too often, are refused and named, wherever they matter."""

from typing import Any

import httpx
import pytest

from tests.service.conftest import Encode
from tests.service.test_bad_requests import check_problem

_OPEN = ("/livez", "/readyz", "/metrics")


@pytest.fixture(scope="module")
def sound(client: httpx.Client) -> str:
    found: str = client.get("/sounds?limit=1").json()["sounds"][0]["id"]
    return found


@pytest.fixture(scope="module")
def operations(client: httpx.Client, sound: str) -> list[tuple[str, str]]:
    """Method and address of all that the document describes."""
    paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    filled = {path: path.replace("{sound_id}", sound) for path in paths}
    return [(method.upper(), filled[path]) for path, methods in paths.items() for method in methods]


def fields_of(response: httpx.Response) -> list[str]:
    """The fields that a 422 names."""
    return [error["field"] for error in check_problem(response, 422)["errors"]]


def test_every_route_but_probes_refuses_what_it_does_not_have(
    client: httpx.Client, operations: list[tuple[str, str]]
) -> None:
    refusing = [(method, path) for method, path in operations if path not in _OPEN]
    assert len(refusing) == len(operations) - len(_OPEN) >= 10
    for method, path in refusing:
        answer = client.request(method, f"{path}?zzz=1")
        assert fields_of(answer) == ["query.zzz"], path
        if method == "GET":
            assert client.head(f"{path}?zzz=1").status_code == 422
        assert client.delete(f"{path}?zzz=1").status_code == 405


@pytest.mark.parametrize("path", [*_OPEN, "/", "/page/page.js", "/docs", "/openapi.json"])
def test_the_page_and_the_probes_take_any(client: httpx.Client, path: str) -> None:
    assert client.get(f"{path}?v=3&utm_source=x&utm_source=y&=").status_code == 200


@pytest.mark.parametrize(
    ("query", "name", "meant"),
    [
        ("materials=wood", "materials", "material"),
        ("Material=wood", "Material", "material"),
        ("licences=CC0", "licences", "licence"),
        ("license=CC0", "license", "licence"),
        ("max_durations=2", "max_durations", "max_duration"),
        ("mindur=2", "mindur", "min_duration"),
        ("xyz=2", "xyz", None),
        ("duration=2", "duration", "min_duration"),
    ],
)
def test_the_nearest_parameter_is_named(client: httpx.Client, query: str, name: str, meant: str | None) -> None:
    for answer in (client.get(f"/sounds?{query}"), client.post(f"/recommend?{query}", content=b"x")):
        assert fields_of(answer) == [f"query.{name}"]
        said = answer.json()["detail"]
        assert (f"did you mean {meant}?" in said) if meant else ("there are " in said and "material" in said)


def test_a_filter_is_never_ignored(client: httpx.Client, encode: Encode) -> None:
    answer = client.post("/recommend?k=40&material=wood", content=encode()).json()

    assert {result["material"]["name"] for result in answer["results"]} == {"wood"}
    assert fields_of(client.get("/materials?material=wood")) == ["query.material"]


@pytest.mark.parametrize(
    "query", ["k=3&k=3", "object_weight=0&object_weight=0.1", "cursor=a&cursor=b", "at=.1,.1&at="]
)
def test_what_has_one_value_is_given_once(client: httpx.Client, encode: Encode, query: str) -> None:
    name = query.partition("=")[0]

    problem = client.post(f"/recommend?{query}", content=encode())

    assert fields_of(problem) == [f"query.{name}"]
    assert "2 times" in problem.json()["detail"]


def test_all_that_is_wrong_is_named(client: httpx.Client) -> None:
    assert fields_of(client.get("/sounds?limit=1&limit=2&folders=a&nothing")) == [
        "query.limit",
        "query.folders",
        "query.nothing",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "=",
        "=1",
        "%00=1",
        "%ff%fe=1",
        "x" * 5000 + "=1",
        "&".join(f"p{number}=1" for number in range(700)),
        "__proto__=1",
        "q[]=1",
        "limit[$gt]=1",
        "material%00=wood",
        "%6daterial%3d=wood",
        "материал=wood",
        "limit=1;drop table",
    ],
)
def test_odd_names_are_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/sounds?{query}")

    problem = check_problem(answer, 422)
    assert all(len(error["field"]) < 100 for error in problem["errors"])
    assert client.get("/sounds?limit=1").status_code == 200


@pytest.mark.parametrize("query", ["", "&", "&&", "limit=1&", "&limit=1"])
def test_a_query_of_nothing_is_none(client: httpx.Client, query: str) -> None:
    assert client.get(f"/sounds?{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("material=cheese", "material"),
        ("material=", "material"),
        ("material=wood&material=cheese", "material"),
        ("tag=", "tag"),
        ("folder=", "folder"),
        ("action=x&action=", "action"),
        ("min_duration=few", "min_duration"),
        ("min_duration=-1", "min_duration"),
        ("max_duration=nan", "max_duration"),
        ("max_duration=1e999", "max_duration"),
        ("min_loudness=-1e999", "min_loudness"),
        ("max_loudness=٣", "max_loudness"),
        ("min_duration=2&max_duration=1", "min_duration"),
        ("min_loudness=-10&max_loudness=-20", "min_loudness"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=" + "A" * 7000, "cursor"),
        ("cursor=WyJ4IiwwLG51bGwsIiIsMF0", "cursor"),
        ("cursor=%00", "cursor"),
        ("diversity=1.1", "diversity"),
        ("diversity=-0.1", "diversity"),
        ("diversity=nan", "diversity"),
    ],
)
def test_a_value_that_cannot_be_is_refused_everywhere(
    client: httpx.Client, sound: str, encode: Encode, query: str, field: str
) -> None:
    picture = encode()
    answers = [client.post(f"/recommend?{query}", content=picture), client.get(f"/sounds/{sound}/similar?{query}")]
    if field != "diversity":
        answers.append(client.get(f"/sounds?{query}"))
    for answer in answers:
        assert fields_of(answer) == [f"query.{field}"]
