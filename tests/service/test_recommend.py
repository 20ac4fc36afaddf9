"""A good picture in every form that the service promises to take."""

import hashlib
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from index import DIVERSITY, OBJECT_WEIGHT
from index.answers.search import SoundIndex
from model.materials import material_named
from model.runtime import TowerRuntime
from tests.service.conftest import LIBRARY_SIZE, Encode, Library, Server, open_files


def test_the_answer_is_what_the_towers_and_the_index_say(
    client: httpx.Client, library: Library, sound_index: SoundIndex, encode: Encode
) -> None:
    picture = encode()
    embedding = TowerRuntime(library.bundle).embed_picture(picture).embedding[0]

    answer = client.post("/recommend", params={"k": 7}, files={"image": picture}).json()

    results = answer.pop("results")
    asked = ("picture", hashlib.sha256(picture).hexdigest(), None, OBJECT_WEIGHT, ())
    expected = sound_index.search(embedding, 7, diversity=DIVERSITY, asked=asked)
    assert answer == {
        "model": library.bundle.id,
        "index": sound_index.id,
        "k": 7,
        "returned": 7,
        "library": LIBRARY_SIZE,
        # The bundle has no heads.
        "recognised": None,
        "materials": None,
        "objects": None,
        "next": expected.next,
    }
    assert [result["rank"] for result in results] == list(range(1, 8))
    for result, match in zip(results, expected, strict=True):
        record = match.record
        known = material_named(record.material) if record.material else None
        assert result == {
            "rank": result["rank"],
            "id": record.id,
            "url": f"/sounds/{record.id}",
            "similarity": pytest.approx(match.similarity, abs=1e-6),
            "score": pytest.approx((match.similarity + 1) / 2, abs=1e-6),
            "match": None,
            "material": {"id": known.id, "name": known.name} if known else None,
            "duration": record.seconds,
            "hit": record.hit,
            "span": list(match.span),
            "loudness": record.loudness,
            "title": record.title,
            "author": None,
            "licence": None,
            "because": "material",
            "object": None,
        }
        assert client.get(result["url"]).status_code == 200


def test_the_command_prints_the_same_and_paths(
    client: httpx.Client, library: Library, encode: Encode, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode())
    command = [sys.executable, "-m", "thud", "recommend", str(tmp_path / "photo.jpg"), *library.flags, "--json"]
    done = subprocess.run(command, capture_output=True, check=True)

    printed = json.loads(done.stdout)
    for result in printed["results"]:
        assert (library.sounds / result.pop("path")).is_file()
    assert printed == client.post("/recommend", content=encode()).json()


def test_scores_fall_and_stay_in_range(client: httpx.Client, encode: Encode) -> None:
    results = client.post("/recommend?k=1000&diversity=0", files={"image": encode()}).json()["results"]

    similarities = [result["similarity"] for result in results]
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1 <= result["similarity"] <= 1 and 0 <= result["score"] <= 1 for result in results)
    assert len({result["id"] for result in results}) == LIBRARY_SIZE
    assert any(result["material"] is None for result in results)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("sent_as", ["a part", "the body", "octets", "no type"])
def test_every_format_goes_in_every_way(client: httpx.Client, encode: Encode, kind: str, sent_as: str) -> None:
    picture = encode(kind)
    media_type = f"image/{kind.lower()}"
    if sent_as == "a part":
        response = client.post("/recommend", files={"image": ("picture", picture, media_type)})
    else:
        headers = {"the body": {"Content-Type": media_type}, "octets": {"Content-Type": "application/octet-stream"}}
        response = client.post("/recommend", content=picture, headers=headers.get(sent_as, {}))

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert len(response.json()["results"]) == 10


@pytest.mark.parametrize("wrong", ["image/png", "image/gif", "image/x-whatever", "IMAGE/JPEG; q=1"])
def test_the_content_decides_whatever_picture_type_is_declared(
    client: httpx.Client, encode: Encode, wrong: str
) -> None:
    picture = encode("JPEG")
    honest = client.post("/recommend", content=picture, headers={"Content-Type": "image/jpeg"}).json()

    body = client.post("/recommend", content=picture, headers={"Content-Type": wrong})
    part = client.post("/recommend", files={"image": ("x.png", picture, wrong)})

    assert body.json() == part.json() == honest


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "I;16", {}),
        ("PNG", "P", {"transparency": 0}),
        ("PNG", "LA", {}),
        ("PNG", "1", {}),
        ("PNG", "RGBA", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_unusual_pixels_are_fine(
    client: httpx.Client, encode: Encode, kind: str, mode: str, options: dict[str, bool | int]
) -> None:
    response = client.post("/recommend", files={"image": encode(kind, mode, **options)})

    assert response.status_code == 200, response.text
    assert response.json()["returned"] == 10


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_counts(client: httpx.Client, kind: str) -> None:
    first, second = Image.new("RGB", (64, 64), (200, 30, 60)), Image.new("RGB", (64, 64), (10, 200, 220))

    def ask(*frames: Image.Image) -> list[str]:
        buffer = io.BytesIO()
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        if len(frames) > 1:
            options |= {"save_all": True, "append_images": frames[1:], "duration": 100}
        frames[0].save(buffer, kind, **options)
        results = client.post("/recommend", files={"image": buffer.getvalue()}).json()["results"]
        return [result["id"] for result in results]

    assert ask(first, second) == ask(first)
    assert ask(first, second) != ask(second)


@pytest.mark.parametrize(("k", "returned"), [(1, 1), (10, 10), (LIBRARY_SIZE, LIBRARY_SIZE), (1000, LIBRARY_SIZE)])
def test_k_is_what_is_returned_as_far_as_the_library_goes(
    client: httpx.Client, encode: Encode, k: int, returned: int
) -> None:
    answer = client.post("/recommend", params={"k": k}, files={"image": encode()}).json()

    assert (answer["k"], answer["returned"], len(answer["results"])) == (k, returned, returned)


def test_a_photograph_of_20_megabytes_leaves_nothing_behind(client: httpx.Client, server: Server) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2600, 2600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    assert buffer.tell() > 20_000_000
    before = list(server.spool.iterdir())

    response = client.post("/recommend", files={"image": buffer.getvalue()})

    assert response.status_code == 200
    assert list(server.spool.iterdir()) == before
    # A temporary file has no name while it is open; what it is open as shows where it is.
    assert not [name for name in open_files(server.worker) if str(server.spool) in name]


def test_requests_at_the_same_time_each_get_their_own_answer(client: httpx.Client) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 250, 10), (10, 10, 10), (250, 10, 250)]

    def ask(colour: tuple[int, int, int]) -> list[str]:
        buffer = io.BytesIO()
        Image.new("RGB", (900, 700), colour).save(buffer, "JPEG")
        response = client.post("/recommend", content=buffer.getvalue(), headers={"Content-Type": "image/jpeg"})
        return [result["id"] for result in response.json()["results"]]

    def break_one(number: int) -> int:
        return client.post("/recommend", files={"image": b"\xff\xd8\xff\xe0 broken %d" % number}).status_code

    alone = [ask(colour) for colour in colours]
    with ThreadPoolExecutor(8) as pool:
        broken = pool.map(break_one, range(20))
        together = list(pool.map(ask, colours * 4))

    assert together == alone * 4
    assert set(broken) == {422}
    assert len({tuple(ids) for ids in alone}) > 1
