"""A bundle with heads, served: what is in the picture, and how likely each sound's material is in it."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from index.answers.recommendation import Recommendation
from model.bundle import HEADS
from model.materials import MATERIALS
from model.runtime import TowerRuntime
from tests.service.conftest import LIBRARY_SIZE, UNLABELLED, Library, Server, make_library, running
from tests.service.test_serve import check_refusal, serve
from tests.tiny_bundle import tiny_heads, write_tiny_bundle, write_tiny_bundle_with_heads


@pytest.fixture(scope="module")
def client(server_with_heads: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_with_heads.url, timeout=60) as client:
        yield client


def grey(level: int, contrast: int = 5) -> bytes:
    """A picture in stripes of two greys around `level`."""
    pixels = np.full((60, 80, 3), level - contrast, np.uint8)
    pixels[:, 20:40] = pixels[:, 60:] = level + contrast
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_materials_are_what_the_heads_say(client: httpx.Client, library_with_heads: Library) -> None:
    embedding = TowerRuntime(library_with_heads.bundle).embed_picture(grey(240)).embedding
    expected = tiny_heads().pictures(embedding)[0]

    answer = client.post("/recommend", files={"image": grey(240)}).json()

    assert answer["recognised"] is True
    assert {one["id"]: one["name"] for one in answer["materials"]} == {m.id: m.name for m in MATERIALS}
    for one in answer["materials"]:
        assert one["probability"] == pytest.approx(expected[one["id"]], abs=1e-6)
    probabilities = [one["probability"] for one in answer["materials"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert [one["name"] for one in answer["materials"][:2]] == ["wood", "carpet"]


def test_an_answer_is_what_the_document_says(client: httpx.Client) -> None:
    body = client.post("/recommend?k=1000", files={"image": grey(200)}).content

    answer = TypeAdapter(Recommendation).validate_json(body, strict=True, extra="forbid")

    assert len(answer.results) == LIBRARY_SIZE
    assert answer.json() == body


def test_a_match_is_the_probability_of_the_sounds_material(
    client: httpx.Client, library_with_heads: Library
) -> None:
    runtime = TowerRuntime(library_with_heads.bundle)
    in_picture = tiny_heads().pictures(runtime.embed_picture(grey(200)).embedding)[0]

    results = client.post("/recommend?k=1000", files={"image": grey(200)}).json()["results"]

    assert len(results) == LIBRARY_SIZE
    unlabelled = set()
    for result in results:
        assert 0 <= result["match"] <= 1
        if result["material"]:
            expected = in_picture[result["material"]["id"]]
        else:
            path = library_with_heads.sounds / client.get(f"{result['url']}/info").json()["path"]
            expected = tiny_heads().sounds(runtime.embed_sound(path).embedding[None])[0] @ in_picture
            unlabelled.add(round(result["match"], 5))
        assert result["match"] == pytest.approx(expected, abs=1e-5)
    assert len(unlabelled) == UNLABELLED  # each by its own embedding


def test_a_picture_that_is_not_recognised_gets_its_sounds_all_the_same(client: httpx.Client) -> None:
    answer = client.post("/recommend", files={"image": grey(10)}).json()

    assert answer["recognised"] is False
    assert len(answer["materials"]) == len(MATERIALS)
    assert answer["materials"][0]["probability"] < 0.5
    assert answer["returned"] == 10
    assert all(result["match"] < 0.5 for result in answer["results"])


@pytest.mark.parametrize("level", [0, 127, 240, 255])
def test_in_a_picture_without_contrast_nothing_is_recognised(client: httpx.Client, level: int) -> None:
    answer = client.post("/recommend", files={"image": grey(level, contrast=0)}).json()

    assert answer["recognised"] is False
    assert answer["returned"] == 10


def test_the_calibration_says_what_counts_as_recognised(tmp_path: Path) -> None:
    def recognised(level: int, threshold: float | None) -> bool | None:
        library = make_library(
            tmp_path / str(threshold), lambda folder: write_tiny_bundle_with_heads(folder, recognised=threshold)
        )
        with running(library) as server:
            answer = httpx.post(f"{server.url}/recommend", files={"image": grey(level)}, timeout=60).json()
        assert len(answer["materials"]) == len(MATERIALS)
        found: bool | None = answer["recognised"]
        return found

    assert recognised(240, 0.99) is False
    assert recognised(10, 0.0) is True
    assert recognised(240, None) is None


def test_the_answer_is_described(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    answer, result, material = (schemas[name] for name in ("Recommendation", "Result", "PictureMaterial"))
    assert {"recognised", "materials"} <= set(answer["required"])
    assert [kind["type"] for kind in answer["properties"]["recognised"]["anyOf"]] == ["boolean", "null"]
    assert answer["properties"]["materials"]["anyOf"][0]["items"] == {
        "$ref": "#/components/schemas/PictureMaterial"
    }
    assert answer["properties"]["materials"]["anyOf"][1] == {"type": "null"}
    number, null = result["properties"]["match"]["anyOf"]
    assert (number, null) == ({"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"})
    assert "match" in result["required"]
    assert set(material["required"]) == {"id", "name", "probability"}
    for part in (
        answer["properties"]["recognised"],
        answer["properties"]["materials"],
        result["properties"]["match"],
    ):
        assert part["description"]
    assert material["properties"]["probability"]["description"]


def test_malformed_heads_end_in_one_line(library_with_heads: Library, tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", picture_weights=np.ones((17, 128), np.float32))
    half = write_tiny_bundle(tmp_path / "half", others={HEADS: tmp_path / "half.npz"})

    ended = serve("--port", "0", "--bundle", str(half.folder), "--index", str(library_with_heads.index))

    check_refusal(ended, "heads.npz", "it has no array picture_bias")
