"""Parts of a sound: Range, If-Range and If-Match."""

from pathlib import Path

import httpx
import pytest

from index.answers.search import SoundIndex
from index.catalogue import SoundRecord
from index.catalogue.filters import SoundFilter
from tests.service.conftest import Library
from tests.service.test_bad_requests import check_problem


@pytest.fixture
def record(sound_index: SoundIndex) -> SoundRecord:
    return sound_index.page(SoundFilter(material=("metal",)), limit=1).sounds[0]


@pytest.fixture
def file(library: Library, record: SoundRecord) -> Path:
    return library.sounds / record.path


@pytest.fixture
def url(record: SoundRecord) -> str:
    return f"/sounds/{record.id}"


@pytest.mark.parametrize(
    ("asked", "start", "end"), [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-50", -50, None)]
)
def test_a_range(client: httpx.Client, url: str, file: Path, asked: str, start: int, end: int | None) -> None:
    response = client.get(url, headers={"Range": asked})

    data = file.read_bytes()
    assert response.status_code == 206
    assert response.content == data[start:end]
    first = start % len(data)
    assert response.headers["content-range"] == f"bytes {first}-{first + len(response.content) - 1}/{len(data)}"
    # Ranges mean something with GET alone (RFC 9110, 14.2).
    assert client.head(url, headers={"Range": asked}).status_code == 200


def test_a_range_of_more_digits_than_a_number_may_have(client: httpx.Client, url: str) -> None:
    response = client.get(url, headers={"Range": f"bytes={'9' * 5000}-"})
    assert response.status_code < 500


def test_two_ranges(client: httpx.Client, url: str, file: Path) -> None:
    response = client.get(url, headers={"Range": "bytes=0-9,20-29"})

    assert response.status_code == 206
    assert response.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert file.read_bytes()[:10] in response.content
    assert file.read_bytes()[20:30] in response.content


def test_more_ranges_than_anybody_needs_are_the_whole_file(client: httpx.Client, url: str, file: Path) -> None:
    def answer(ranges: int) -> httpx.Response:
        return client.get(url, headers={"Range": "bytes=" + ",".join(f"{9 * n}-{9 * n}" for n in range(ranges))})

    assert answer(16).status_code == 206
    assert (answer(17).status_code, answer(17).content) == (200, file.read_bytes())
    assert len(client.get(url, headers={"Range": "bytes=" + ",".join(["0-"] * 10)}).content) <= file.stat().st_size


def test_a_range_outside_of_the_sound(client: httpx.Client, url: str, file: Path) -> None:
    response = client.get(url, headers={"Range": "bytes=100000000-"})

    size = file.stat().st_size
    check_problem(response, 416, str(size))
    assert response.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=9-5", "bytes", "bytes=a-b", "lines=1-2", "-"])
def test_a_range_that_means_nothing_is_ignored(client: httpx.Client, url: str, file: Path, asked: str) -> None:
    response = client.get(url, headers={"Range": asked})

    assert (response.status_code, response.content) == (200, file.read_bytes())


def test_if_range(client: httpx.Client, url: str, record: SoundRecord) -> None:
    def status(if_range: str) -> int:
        return client.get(url, headers={"Range": "bytes=0-9", "If-Range": if_range}).status_code

    assert status(f'"{record.id}"') == 206
    assert status('"another"') == 200
    assert status(f'W/"{record.id}"') == 200


@pytest.mark.parametrize(
    ("tags", "status"),
    [('"{id}"', 200), ('"other", "{id}"', 200), ("*", 200), ('"other"', 412), ('W/"{id}"', 412), ("", 412)],
)
def test_if_match(client: httpx.Client, url: str, record: SoundRecord, tags: str, status: int) -> None:
    headers = {"If-Match": tags.format(id=record.id)}

    answer = client.get(url, headers=headers)
    assert answer.status_code == client.head(url, headers=headers).status_code == status
    if status == 412:
        check_problem(answer, 412, record.id)
        # It is looked at before all others (RFC 9110, 13.2.2).
        assert client.get(url, headers=headers | {"If-None-Match": "*"}).status_code == 412
        assert client.get(url, headers=headers | {"Range": "bytes=0-9"}).status_code == 412


@pytest.mark.parametrize(
    "asked", ["bytes=0-9,{end}-", "bytes={end}-,0-9", "bytes=0-9, -0", "bytes={far}-{far},0-9"]
)
def test_a_range_outside_beside_one_inside_is_left_out(
    client: httpx.Client, url: str, file: Path, asked: str
) -> None:
    data = file.read_bytes()
    response = client.get(url, headers={"Range": asked.format(end=len(data), far=10**30)})

    assert (response.status_code, response.content) == (206, data[:10])
    assert response.headers["content-range"] == f"bytes 0-9/{len(data)}"


@pytest.mark.parametrize("asked", ["bytes=-0", "bytes={end}-,{end}-{end}"])
def test_ranges_that_are_all_outside(client: httpx.Client, url: str, file: Path, asked: str) -> None:
    check_problem(client.get(url, headers={"Range": asked.format(end=file.stat().st_size)}), 416)
