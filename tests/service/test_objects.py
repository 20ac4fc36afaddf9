"""A bundle that tells objects, served: sounds that name one come first, as far as a request lets them."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydantic import TypeAdapter

from index.answers.recommendation import Recommendation
from tests.service.conftest import Library, Server, running


@pytest.fixture(scope="module")
def client(server_with_objects: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_with_objects.url, timeout=60) as client:
        yield client


def picture(red: int = 250, blue: int = 120) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), (red, 120, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def test_sounds_that_name_the_object_are_lifted_and_say_so(client: httpx.Client) -> None:
    body = client.post("/recommend?object_weight=1", content=picture()).content
    answer = TypeAdapter(Recommendation).validate_json(body, strict=True, extra="forbid")
    assert answer.json() == body
    assert answer.objects is not None
    assert [one.name for one in answer.objects] == ["bottle"]
    assert [one.object for one in answer.results] == ["bottle"] * 3 + [None] * 7
    assert all(one.title.startswith("Bottle Clink") for one in answer.results[:3])
    assert {one.because for one in answer.results[:3]} <= {"object", "both"}
    assert {one.because for one in answer.results[3:]} == {"material"}


def test_weight_0_and_pictures_of_no_object_rank_by_the_score_alone(client: httpx.Client) -> None:
    plain = client.post("/recommend?object_weight=0&diversity=0&k=1000", content=picture()).json()
    assert [one["name"] for one in plain["objects"]] == ["bottle"]
    scores = [one["score"] for one in plain["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {(one["because"], one["object"]) for one in plain["results"]} == {("material", None)}
    blue = client.post("/recommend", content=picture(red=120, blue=250))
    assert [one["name"] for one in blue.json()["objects"]] == ["door"], "which the library has not"
    without = client.post("/recommend?object_weight=0", content=picture(red=120, blue=250))
    # The cursors differ: each belongs to its weight.
    assert blue.json() | {"next": None} == without.json() | {"next": None}


def test_a_part_of_the_picture_has_its_own_objects(client: httpx.Client) -> None:
    buffer = io.BytesIO()
    both = Image.new("RGB", (80, 60), (250, 120, 120))
    both.paste((120, 120, 250), (40, 0, 80, 60))
    both.save(buffer, "PNG")
    for part, name in (("0,0,0.5,1", "bottle"), ("0.5,0,0.5,1", "door")):
        answer = client.post("/recommend", params={"box": part}, content=buffer.getvalue()).json()
        assert [one["name"] for one in answer["objects"]] == [name]


@pytest.mark.parametrize("wrong", ["-0.1", "1.1", "nan", "inf", "0x1", "much", ""])
def test_a_weight_that_is_none_is_refused(client: httpx.Client, wrong: str) -> None:
    refused = client.post("/recommend", params={"object_weight": wrong}, content=picture())
    assert refused.status_code == 422
    assert "object_weight" in refused.text


def test_the_weight_is_a_setting_and_an_option(library_with_objects: Library, tmp_path: Path) -> None:
    with running(library_with_objects, "--object-weight", "0") as server:
        url = f"{server.url}/recommend"
        unlifted = httpx.post(url, content=picture(), timeout=60).json()["results"]
        lifted = httpx.post(f"{url}?object_weight=1", content=picture(), timeout=60).json()["results"]
    assert {one["because"] for one in unlifted} == {"material"}
    assert [one["object"] for one in lifted[:3]] == ["bottle"] * 3
    (tmp_path / "red.png").write_bytes(picture())
    flags = [*library_with_objects.flags, "--object-weight", "1"]
    command = [sys.executable, "-m", "thud", "recommend", str(tmp_path / "red.png"), *flags]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert printed[0].startswith("objects: bottle 9")
    assert "because" in printed[1]
    assert all(": bottle" in line and "Bottle Clink" in line for line in printed[2:5])
    as_json = subprocess.run([*command, "--json"], capture_output=True, check=True).stdout
    assert [one["id"] for one in json.loads(as_json)["results"]] == [one["id"] for one in lifted]


def test_the_record_of_a_sound_has_its_objects(client: httpx.Client) -> None:
    first = client.post("/recommend?object_weight=1", content=picture()).json()["results"][0]
    assert client.get(f"{first['url']}/info").json()["objects"] == ["bottle"]
