"""Text search over HTTP."""

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from tests.service.conftest import Library, running
from tests.service.labelled import SOUNDS, make_labelled_library
from tests.service.test_bad_requests import check_problem
from tests.service.test_filters import Query, Record, ids, inside, material


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


def test_no_words_are_all_sounds(client: httpx.Client) -> None:
    for text in ("", "%20"):
        page = client.get(f"/sounds?limit=5&q={text}").json()
        assert (page["total"], len(page["sounds"])) == (SOUNDS, 5)
        assert client.get(page["next"]).json()["sounds"][0] not in page["sounds"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("number 12", {"Sound number 12"}),
        ("NUMBER sound 3", {"Sound number 3", *(f"Sound number {n}" for n in range(30, 40))}),
        ("STRAßE", None),
        ("unterfuhr", None),
        ("nothingofthesort", set()),
        ("!?", set()),
    ],
)
def test_text_search(client: httpx.Client, records: list[Record], text: str, expected: set[str] | None) -> None:
    if expected is None:
        expected = {one["title"] for one in records if inside(one, "Straße")}

    page = client.get("/sounds", params={"q": text, "limit": 100}).json()

    assert {one["title"] for one in page["sounds"]} == expected
    assert page["total"] == len(page["sounds"]) == len(expected)


def test_a_path_is_found_as_it_is_shown(client: httpx.Client, records: list[Record]) -> None:
    for one in records[:3]:
        for shown in (one["path"], f"({one['path']}),", one["path"].replace(".", " .")):
            page = client.get("/sounds", params={"q": shown, "limit": 5}).json()
            assert one["id"] in [found["id"] for found in page["sounds"]], shown


def test_text_search_with_filters_page_by_page(client: httpx.Client, records: list[Record]) -> None:
    wanted = {
        one["id"]
        for one in records
        if ("bottle" in one["tags"] or inside(one, "kitchen/bottles"))
        and one["duration"] <= 1
        and material(one) != "metal"
    }
    query: Query = [("q", "bottle"), ("max_duration", 1), ("limit", 3)]
    query += [("material", name) for name in ("glass", "wood", "unlabelled")]
    following: str | None = f"/sounds?{urlencode(query)}"
    seen: list[str] = []
    while following is not None:
        page = client.get(following).json()
        assert len(page["sounds"]) <= 3
        seen += ids(page)
        following = page["next"]
    assert len(seen) == len(wanted) > 3
    assert set(seen) == wanted


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "'",
        "a OR b",
        "NEAR(a b)",
        "title:x",
        "*",
        "^",
        "-",
        "(",
        "\0",
        "{a}",
        "a* b*",
        "\\",
        "%",
        "ä" * 60,
        "\ud7ff",
    ],
)
def test_a_text_is_no_syntax(client: httpx.Client, text: str) -> None:
    assert client.get("/sounds", params={"q": text}).status_code == 200


@pytest.mark.parametrize("text", ["x" * 5000, " ".join("abcdefghij" * 9)])
def test_a_text_that_is_too_long(client: httpx.Client, text: str) -> None:
    problem = check_problem(client.get("/sounds", params={"q": text}), 422)
    assert [error["field"] for error in problem["errors"]] == ["query.q"]
