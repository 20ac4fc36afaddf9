"""The library over HTTP: audio in whole and in parts, records, the catalogue, the materials."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from index.answers.search import SoundIndex
from index.catalogue import SoundRecord
from index.catalogue.filters import SoundFilter
from model.materials import MATERIALS
from tests.service.conftest import LIBRARY_SIZE, SOUNDS_EACH, UNLABELLED, Library, running
from tests.service.conftest import MATERIALS as LABELS
from tests.service.test_bad_requests import ODD, check_problem
from tests.waiting import within


@pytest.fixture
def record(sound_index: SoundIndex) -> SoundRecord:
    return sound_index.page(SoundFilter(material=("metal",)), limit=1).sounds[0]


@pytest.fixture
def file(library: Library, record: SoundRecord) -> Path:
    return library.sounds / record.path


@pytest.fixture
def url(record: SoundRecord) -> str:
    return f"/sounds/{record.id}"


def test_the_audio_is_the_file(client: httpx.Client, url: str, record: SoundRecord, file: Path) -> None:
    response = client.get(url)

    assert response.status_code == 200
    assert response.content == file.read_bytes()
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["etag"] == f'"{record.id}"'
    assert response.headers["accept-ranges"] == "bytes"
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == f'inline; filename="{file.name}"'


def test_every_sound_has_the_type_of_its_file(client: httpx.Client, sound_index: SoundIndex) -> None:
    kinds = {
        record.format: client.get(f"/sounds/{record.id}").headers["content-type"]
        for record in sound_index.page(limit=LIBRARY_SIZE).sounds
    }

    assert kinds == {"WAV": "audio/wav", "FLAC": "audio/flac"}


def test_a_file_name_of_any_letters_survives(client: httpx.Client, sound_index: SoundIndex) -> None:
    record = next(r for r in sound_index.page(limit=LIBRARY_SIZE).sounds if "schöner" in r.path)

    disposition = client.get(f"/sounds/{record.id}").headers["content-disposition"]

    found = re.fullmatch(r"""inline; filename="([^"]+)"; filename\*=UTF-8''([A-Za-z0-9%._-]+)""", disposition)
    assert found is not None, disposition
    assert found[1] == "ein _schoner_ Schlag.wav"
    assert unquote(found[2]) == 'ein "schöner" Schlag.wav'


def test_head_has_the_headers_alone(client: httpx.Client, url: str, file: Path) -> None:
    whole, head = client.get(url), client.head(url)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(file.stat().st_size)
    for name in ("content-type", "etag", "cache-control", "content-disposition", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert client.head("/sounds/00000000000000000000").status_code == 404


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/sounds", "/materials", "/metrics", "/", "/docs", "/page/page.js"]
)
def test_head_is_possible_wherever_get_is(client: httpx.Client, path: str) -> None:
    answer = client.head(path)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == client.get(path).headers["content-type"]


def test_what_is_allowed_is_said(client: httpx.Client, url: str) -> None:
    for path in (url, "/livez"):
        assert client.delete(path).headers["allow"] == "GET, HEAD"
    assert client.head("/recommend").headers["allow"] == "POST"


@pytest.mark.parametrize("tags", ['"{id}"', '"other", "{id}"', 'W/"{id}"', "*"])
def test_a_sound_that_the_client_has_is_not_sent_again(
    client: httpx.Client, url: str, record: SoundRecord, tags: str
) -> None:
    response = client.get(url, headers={"If-None-Match": tags.format(id=record.id)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == f'"{record.id}"'
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "sound_id",
    ["00000000000000000000", "0", "x" * 20, "0" * 21, "0" * 5000, "' OR 1=1 --", "%00", "ＡＡ", "None"],
)
def test_an_unknown_sound(client: httpx.Client, sound_id: str) -> None:
    check_problem(client.get(f"/sounds/{sound_id}"), 404)
    check_problem(client.get(f"/sounds/{sound_id}/info"), 404)


def test_an_id_is_lower_case(client: httpx.Client, record: SoundRecord) -> None:
    assert client.get(f"/sounds/{record.id.upper()}").status_code == (200 if record.id.isdecimal() else 404)


@pytest.fixture
def spared(file: Path) -> Iterator[None]:
    """Puts the sound's file back as it was."""
    data = file.read_bytes()
    yield
    file.write_bytes(data)


@pytest.mark.usefixtures("spared")
def test_a_file_that_is_gone(client: httpx.Client, url: str, file: Path, library: Library) -> None:
    file.unlink()

    problem = check_problem(client.get(url), 410, file.name, "no longer")
    assert str(library.sounds) not in problem["detail"]
    assert client.get(f"{url}/info").status_code == 200


@pytest.mark.usefixtures("spared")
def test_a_file_that_was_changed(client: httpx.Client, url: str, file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")

    check_problem(client.get(url), 410, file.name, "changed")


def test_the_record(client: httpx.Client, url: str, record: SoundRecord) -> None:
    assert client.get(f"{url}/info").json() == {
        "id": record.id,
        "url": url,
        "title": record.title,
        "description": None,
        "tags": [],
        "path": record.path,
        "copies": 0,
        "material": {"id": 3, "name": "metal"},
        "label_from": "folder",
        "action": "hit",
        "duration": record.seconds,
        "hit": record.hit,
        "hits": [record.hit],
        "ends": list(record.ends),
        "brightness": record.brightness,
        "peak": record.peak,
        "loudness": record.loudness,
        "sample_rate": 16_000,
        "channels": 1,
        "format": "WAV",
        "media_type": "audio/wav",
        "playable": True,
        "bytes": record.bytes,
        "source": None,
        "origin": None,
        "author": None,
        "licence": None,
        "attribution": f'"{record.title}", licence not stated',
        "objects": ["pan"],
    }


def test_the_catalogue_page_by_page(client: httpx.Client, sound_index: SoundIndex) -> None:
    seen: list[str] = []
    following: str | None = "/sounds?limit=7"
    pages = 0
    while following is not None:
        page = client.get(following).json()
        assert page["total"] == LIBRARY_SIZE
        assert len(page["sounds"]) <= 7
        seen += [sound["id"] for sound in page["sounds"]]
        following = page["next"]
        pages += 1

    assert seen == [record.id for record in sound_index.page(limit=LIBRARY_SIZE).sounds]
    assert pages == -(-LIBRARY_SIZE // 7)


@pytest.mark.parametrize(("material", "total"), [("wood", SOUNDS_EACH), ("unlabelled", UNLABELLED), ("water", 0)])
def test_the_sounds_of_one_material(client: httpx.Client, material: str, total: int) -> None:
    page = client.get("/sounds", params={"material": material, "limit": 3}).json()

    assert page["total"] == total
    named = {sound["material"]["name"] if sound["material"] else "unlabelled" for sound in page["sounds"]}
    assert named <= {material}
    if total:
        rest = client.get(page["next"]).json()
        assert rest["total"] == total
        assert not {s["id"] for s in rest["sounds"]} & {s["id"] for s in page["sounds"]}
    else:
        assert page["next"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("material=cheese", "query.material"),
        ("material=", "query.material"),
        ("material=metal&material=cheese", "query.material"),
        ("cursor=00000000000000000000", "query.cursor"),
        ("cursor=", "query.cursor"),
        ("cursor=WzEsMl0", "query.cursor"),
        ("after=00000000000000000000", "query.after"),
        ("limit=0", "query.limit"),
        ("limit=100000", "query.limit"),
        ("limit=few", "query.limit"),
        *((f"limit={quote(odd)}", "query.limit") for odd in ODD),
    ],
)
def test_a_page_that_cannot_be(client: httpx.Client, query: str, field: str) -> None:
    problem = check_problem(client.get(f"/sounds?{query}"), 422)

    assert [error["field"] for error in problem["errors"]] == [field]


def test_the_materials(client: httpx.Client) -> None:
    answer = client.get("/materials").json()

    assert answer["materials"] == [
        {"id": material.id, "name": material.name, "sounds": SOUNDS_EACH if material.name in LABELS else 0}
        for material in MATERIALS
    ]
    assert (answer["unlabelled"], answer["total"]) == (UNLABELLED, LIBRARY_SIZE)


@pytest.mark.parametrize("known", [False, True], ids=["never read", "read before"])
def test_a_file_that_cannot_be_read_for_a_moment(library: Library, known: bool) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system changes no limits of another process")
    with (
        running(library, says=True) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        first, second = (sound["url"] for sound in client.get("/sounds?limit=2").json()["sounds"])
        for url in [first, second] if known else [first]:
            assert client.get(url).status_code == 200
        # The connection is open already, so that it is the file which finds no free descriptor.
        worker = client.get("/readyz?verbose").json()["details"]["process"]
        open_files = Path(f"/proc/{worker}/fd")
        within(10, lambda: not any(".wav" in str(one.resolve()) for one in open_files.iterdir()))
        used = {int(one.name) for one in open_files.iterdir()}
        free = min(set(range(len(used) + 1)) - used)
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (free, before[1]))
        for _ in range(2):
            answer = client.get(second)
            check_problem(answer, 503, "at the moment")
            assert answer.headers["retry-after"] == "5"
        assert client.head(second).status_code in (200, 503)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        assert client.get(second).status_code == 200


def test_a_file_that_has_become_a_circle_of_links_is_gone(library: Library, client: httpx.Client) -> None:
    found = client.get("/sounds?limit=200").json()["sounds"][-1]
    file = library.sounds / found["path"]
    data = file.read_bytes()
    file.unlink()
    try:
        file.symlink_to(file)
        check_problem(client.get(found["url"]), 410)
    finally:
        file.unlink()
        file.write_bytes(data)
