"""Asking about a part of a picture."""

import io

import httpx
import pytest
from PIL import Image


def halves() -> bytes:
    """Orange on the left, blue on the right."""
    return _png(Image.new("RGB", (400, 300), "orange"), Image.new("RGB", (400, 300), "blue"))


def _png(left: Image.Image, right: Image.Image | None = None) -> bytes:
    picture = Image.new("RGB", (left.width * (1 if right is None else 2), left.height))
    picture.paste(left, (0, 0))
    if right is not None:
        picture.paste(right, (left.width, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def similarities(client: httpx.Client, picture: bytes, **query: str) -> dict[str, float]:
    """Similarities by id."""
    answer = client.post("/recommend", params={"k": "5", **query}, files={"image": picture})
    assert answer.status_code == 200, answer.text
    return {result["id"]: result["similarity"] for result in answer.json()["results"]}


def test_a_part_is_answered_as_it_would_be_alone(client: httpx.Client) -> None:
    # A row of pixels along the edge of a part takes a little of what is beyond it.
    for colour, box, at in (("orange", "0,0,0.5,1", "0.2,0.5"), ("blue", "0.5,0,0.5,1", "0.8,0.1")):
        alone = pytest.approx(similarities(client, _png(Image.new("RGB", (400, 300), colour))), abs=2e-3)
        assert similarities(client, halves(), box=box) == alone
        assert similarities(client, halves(), at=at) == alone
        assert similarities(client, halves()) != alone
    assert similarities(client, halves(), box="0,0,1,1") == similarities(client, halves())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"box": "0,0,1"}, "query.box"),
        ({"box": "0,0,one,1"}, "query.box"),
        ({"box": ""}, "query.box"),
        ({"box": "0,0,0,1"}, "query.box"),
        ({"box": "0.5,0,0.6,1"}, "query.box"),
        ({"box": "nan,0,0.5,1"}, "query.box"),
        ({"box": "1" * 300}, "query.box"),
        ({"box": "0,0,0.5,0.2_5"}, "query.box"),
        ({"box": "0,0,٠.٥,1"}, "query.box"),
        ({"box": "0,0,０.５,1"}, "query.box"),
        ({"at": "inf,0.5"}, "query.at"),
        ({"at": "\u20030.5,0.5"}, "query.at"),
        ({"at": "0.5,0.2_5"}, "query.at"),
        ({"at": ".,0.5"}, "query.at"),
        ({"at": "-0.5,0.5"}, "query.at"),
        ({"at": "0.5"}, "query.at"),
        ({"at": "0.5,1.5"}, "query.at"),
        ({"at": "0.5,0.5", "box": "0,0,1,1"}, "query.at"),
    ],
)
def test_what_is_no_part(client: httpx.Client, query: dict[str, str], field: str) -> None:
    answer = client.post("/recommend", params=query, files={"image": halves()})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(("box", "size"), [("0,0,0.01,0.01", "8x3"), ("0,0,1e-320,1", "0x300")])
def test_a_part_with_too_few_pixels(client: httpx.Client, box: str, size: str) -> None:
    answer = client.post("/recommend", params={"box": box}, files={"image": halves()})
    assert answer.status_code == 422
    assert size in answer.json()["detail"]


def test_the_document_tells_of_it(client: httpx.Client) -> None:
    parameters = client.get("/openapi.json").json()["paths"]["/recommend"]["post"]["parameters"]
    assert {"k", "box", "at"} <= {parameter["name"] for parameter in parameters}


@pytest.mark.parametrize("box", ["0, 0, .5, 1.", "0e0,-0,5E-1,+1", "00,0.0,0.50,01"])
def test_a_number_may_be_written_in_many_ways(client: httpx.Client, box: str) -> None:
    assert similarities(client, halves(), box=box) == similarities(client, halves(), box="0,0,0.5,1")
