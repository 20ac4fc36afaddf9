"""A picture that can be touched: what is at each of its places, and the sounds of each."""

import asyncio
import io
import threading
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from index.answers.picture_map import PictureMap
from model.region import Grid
from service.load.queue import PictureQueue
from service.problems import ProblemError
from service.request import searches
from tests.service.conftest import LIBRARY_SIZE, Encode, Library, Server, running
from tests.service.test_app import started
from tests.service.test_bad_requests import check_problem
from tests.service.test_queue import Hanging, has, one_may_wait

ADDRESS = "/recommend/map"


@pytest.fixture(scope="module")
def seeing(server_with_heads: Server) -> Iterator[httpx.Client]:
    """A client of a service that sees wood in bright pictures, and in dark ones nothing."""
    with httpx.Client(base_url=server_with_heads.url, timeout=60) as client:
        yield client


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def halves(left: object, right: object, width: int = 600, height: int = 400) -> Image.Image:
    """Two colours beside each other, in stripes of which none is without contrast."""
    picture = Image.new("RGB", (width, height))
    for edge, colour in ((0, left), (width // 2, right)):
        shade = Image.new("RGB", (width // 2, height), colour)  # type: ignore[arg-type]
        darker = shade.point(lambda level: max(0, level - 10))
        for x in range(0, width // 2, 20):
            shade.paste(darker.crop((0, 0, 10, height)), (x, 0))
        picture.paste(shade, (edge, 0))
    return picture


def mapped(client: httpx.Client, picture: bytes, **query: str | float) -> PictureMap:
    answer = client.post(ADDRESS, params=query, files={"image": picture})
    assert answer.status_code == 200, answer.text
    return TypeAdapter(PictureMap).validate_json(answer.content, strict=True, extra="forbid")


def test_an_answer_is_what_the_document_says(seeing: httpx.Client, encode: Encode) -> None:
    answer = seeing.post(ADDRESS, content=encode("JPEG", size=(640, 480)))

    found = TypeAdapter(PictureMap).validate_json(answer.content, strict=True, extra="forbid")
    assert found.json() == answer.content
    assert found.library == LIBRARY_SIZE
    assert len(found.places) == found.columns * found.rows
    assert {number for place in found.places for number in place.sounds} == set(range(len(found.sounds)))
    assert len({sound.id for sound in found.sounds}) == len(found.sounds)
    assert [len(place.sounds) for place in found.places] == [3] * len(found.places)
    for stage in ("queue", "decode", "network", "search"):
        assert stage in answer.headers["server-timing"]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (500, 500), (1200, 200)])
def test_a_bundle_without_cells_tells_squares_as_they_are_told_alone(
    seeing: httpx.Client, encode: Encode, size: tuple[int, int]
) -> None:
    picture = encode("PNG", size=size)
    found = mapped(seeing, picture, k=5)

    grid = Grid.of(*size)
    assert (found.columns, found.rows) == (grid.columns, grid.rows)
    centres = [(place.x, place.y) for place in found.places]
    assert np.array(centres) == pytest.approx(np.array([(square.x, square.y) for square in grid.squares]), abs=1e-6)
    for place in found.places:
        asked: dict[str, str | float] = {"k": 5, "at": f"{place.x},{place.y}", "size": found.size}
        alone = seeing.post("/recommend", params=asked, files={"image": picture}).json()
        assert [found.sounds[number].id for number in place.sounds] == [one["id"] for one in alone["results"]]
        assert place.recognised == alone["recognised"]
        assert place.materials is not None
        for told, other in zip(place.materials, alone["materials"], strict=False):
            assert told.name == other["name"]
            assert told.probability == pytest.approx(other["probability"], abs=1e-4)


def test_what_is_the_same_everywhere_is_told_everywhere_as_of_the_whole(client: httpx.Client) -> None:
    same = png(halves("orange", "orange"))
    found = mapped(client, same, k=5)
    whole = client.post("/recommend?k=5", content=same).json()
    assert (found.model, found.index, found.library) == (whole["model"], whole["index"], whole["library"])
    for place in found.places:
        assert found.sounds[place.sounds[0]].id == whole["results"][0]["id"]


def test_the_places_of_a_picture_differ(client: httpx.Client) -> None:
    found = mapped(client, png(halves("orange", "blue")))
    alone = {
        colour: client.post("/recommend?k=3", content=png(halves(colour, colour))).json()["results"]
        for colour in ("orange", "blue")
    }
    assert alone["orange"][0]["id"] != alone["blue"][0]["id"]
    for place in found.places:
        if place.x != 0.5:
            colour = "orange" if place.x < 0.5 else "blue"
            assert found.sounds[place.sounds[0]].id == alone[colour][0]["id"]


def test_shares_are_of_the_places_that_are_recognised(seeing: httpx.Client) -> None:
    bright, dark = (240, 240, 240), (20, 20, 20)
    both = mapped(seeing, png(halves(bright, dark)))
    assert {place.recognised for place in both.places if place.x < 0.5} == {True}
    assert {place.recognised for place in both.places if place.x > 0.5} == {False}
    for found in (both, mapped(seeing, png(halves(bright, bright)))):
        assert found.materials is not None
        assert [(one.name, one.share) for one in found.materials] == [("wood", 1.0)]
    nothing = mapped(seeing, png(halves(dark, dark)))
    assert nothing.materials == []
    assert all(place.sounds for place in nothing.places)


def test_in_a_picture_of_one_colour_nothing_is_recognised(seeing: httpx.Client) -> None:
    found = mapped(seeing, png(Image.new("RGB", (300, 200), (240, 240, 240))))
    assert {place.recognised for place in found.places} == {False}
    assert found.materials == []


def test_a_bundle_without_heads_tells_no_materials(client: httpx.Client, encode: Encode) -> None:
    found = mapped(client, encode())
    assert found.materials is None
    assert {(place.recognised, place.materials) for place in found.places} == {(None, None)}
    assert found.sounds


def test_filters(client: httpx.Client, encode: Encode) -> None:
    found = mapped(client, encode(), k=2, material="glass", max_duration="0.9")
    assert found.sounds
    assert {(sound.material.name if sound.material else None) for sound in found.sounds} == {"glass"}
    assert all(sound.duration <= 0.9 for sound in found.sounds)
    assert mapped(client, encode(), tag="no such tag").sounds == []


def test_variety_is_weighed(seeing: httpx.Client, encode: Encode) -> None:
    picture = encode(size=(640, 480))
    first, other, again = (mapped(seeing, picture, k=8, diversity=weight) for weight in (0, 1, 0))
    assert first == again
    assert first.sounds != other.sounds


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("k=0", "query.k"),
        ("k=11", "query.k"),
        ("k=3.5", "query.k"),
        ("material=mud", "query.material"),
        ("shows=wood", "query.shows"),
        ("cursor=abc", "query.cursor"),
        ("diversity=2", "query.diversity"),
        ("object_weight=x", "query.object_weight"),
        ("at=0.5,0.5", "query.at"),
        ("k=1&k=2", "query.k"),
    ],
)
def test_wrong_parameters(client: httpx.Client, encode: Encode, query: str, field: str) -> None:
    answer = client.post(f"{ADDRESS}?{query}", content=encode())
    check_problem(answer, 422)
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("size", [(16, 16), (31, 31), (40, 20), (16, 97), (97, 16), (32, 34), (5000, 16)])
def test_squares_of_just_enough_pixels(client: httpx.Client, encode: Encode, size: tuple[int, int]) -> None:
    """Whose sides are no whole number by rounding."""
    found = mapped(client, encode("PNG", size=size))
    assert len(found.places) == found.columns * found.rows


@pytest.mark.usefixtures("still_well")
def test_what_is_no_picture_to_touch(client: httpx.Client, encode: Encode) -> None:
    small = client.post(ADDRESS, content=encode("PNG", size=(40, 15)))
    check_problem(small, 422, "40x15", "at least 16 pixels")
    check_problem(client.post(ADDRESS, content=b"no picture at all"), 415, "JPEG, PNG, WebP or AVIF")
    check_problem(client.post(ADDRESS, content=b""), 422)
    cut = encode("JPEG", size=(640, 480))[:600]
    check_problem(client.post(ADDRESS, content=cut), 422, "broken or cut short")
    check_problem(client.post(ADDRESS, content=encode("PNG", size=(9000, 9000))), 413, "pixels")
    assert client.get(ADDRESS).status_code == 405


def test_addresses_are_under_the_prefix(library: Library, encode: Encode) -> None:
    with (
        running(library, "--root-path", "/thud") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        found = mapped(client, encode())
        assert all(sound.url == f"/thud/sounds/{sound.id}" for sound in found.sounds)
        assert client.get(found.sounds[0].url).status_code == 200


def test_a_map_counts_as_its_places_in_the_queue(library: Library) -> None:
    async def ask() -> tuple[httpx.Response, list[int]]:
        async with started(library, threads=1, queue_seconds=60) as (client, current):
            one_may_wait(client)
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            first = asyncio.ensure_future(client.post(ADDRESS, content=b"1"))
            await has(hanging.begun)
            refused = await client.post("/recommend", content=b"2")
            hanging.go_on.set()
            done = await first
            return refused, [done.status_code, (await client.post("/recommend", content=b"3")).status_code]

    refused, statuses = asyncio.run(ask())

    check_problem(refused, 503, "busy", "try again")
    assert int(refused.headers["retry-after"]) >= 1
    assert statuses == [500, 500]  # what the stand-in answers: both had a place


def test_the_queue_counts_what_costs_more() -> None:
    queue = PictureQueue(threads=1, seconds=60)
    release, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait(30)

    queue._seconds["picture"] = 10.0
    one = queue.submit(work, 4)
    begun.wait(30)
    assert (queue.running, queue.waiting, queue.full, queue.wait) == (1, 0, False, 40.0)
    other = queue.submit(lambda: None, 2)
    assert (queue.running, queue.waiting, queue.full, queue.wait) == (1, 1, True, 60.0)
    with pytest.raises(ProblemError, match="would wait for longer than 60 s; try again in 60 s"):
        queue.submit(lambda: None)
    release.set()
    one.result(30)
    other.result(30)
    assert not queue.wait
    queue.close()


def test_a_map_counts_as_its_places_in_the_rate(library: Library, encode: Encode) -> None:
    with (
        running(library, "--rate", "0.001", "--burst", "8") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert client.post(ADDRESS, content=encode()).status_code == 200
        check_problem(client.post(ADDRESS, content=encode()), 429, "try again")
        assert client.post("/recommend", content=encode()).status_code == 200
        assert client.post("/recommend", content=encode()).status_code == 200
        assert client.post("/recommend", content=encode()).status_code == 429


def test_what_counts_as_a_search() -> None:
    def cost(method: str, path: str, root_path: str = "") -> int:
        scope = {"type": "http", "method": method, "path": path, "root_path": root_path, "query_string": b""}
        return searches(scope)

    assert cost("POST", "/recommend/map") == cost("POST", "/thud/recommend/map", "/thud") == 6
    assert cost("POST", "/recommend") == 1
    assert cost("GET", "/recommend/map") == cost("POST", "/recommend/map/") == 0


def test_a_deadline_covers_a_map(library: Library) -> None:
    async def ask() -> httpx.Response:
        async with started(library, threads=1, deadline_seconds=0.2) as (client, current):
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            answer = await client.post(ADDRESS, content=b"x")
            hanging.go_on.set()
            return answer

    answer = asyncio.run(ask())
    check_problem(answer, 503, "within 0.2 s")
    assert answer.headers["retry-after"]
