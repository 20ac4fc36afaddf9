"""Sounds in an object store: indexed and answered as those of a folder, and every way in which that can fail."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.address import sounds_at
from index.answers.search import SoundIndex
from index.answers.sound_files import sound_files
from index.building.build import build_index, change_index
from index.building.look import problems_of, records_of, stats_of
from index.generation import current_generation
from index.library.sources import BucketSource
from model.addresses import BucketAddress
from model.bucket import Bucket, is_of_one
from model.bundle import Bundle
from model.errors import LibraryError, SoundsAwayError
from model.file_state import ChangedError
from tests.index.commands import thud_text
from tests.index.conftest import Strike
from tests.index.milvus.lite import nobody_listens
from tests.index.stored import Store, moto_server, new_store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    return new_store(server, monkeypatch)


def records(index: Path) -> list[object]:
    return list(records_of(index))


def test_an_index_of_a_store_is_that_of_a_folder(
    store: Store, sounds: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    (sounds / "manifest.csv").write_text("path,material,tags\nunsorted/thing 0.ogg,glass,small; thin\n")
    (sounds / "unsorted" / "thing 1.ogg.json").write_text('{"title": "A thing"}')
    (sounds / "unsorted" / "again.ogg").write_bytes((sounds / "unsorted" / "thing 0.ogg").read_bytes())
    (sounds / "notes.txt").write_text("no sound")
    (sounds / ".hidden").mkdir()
    (sounds / ".hidden" / "a.wav").write_bytes(b"no sound")
    (sounds / "broken.wav").write_bytes(b"no sound")
    store.put_folder(sounds, "some/where/")
    store.put("elsewhere/x.wav", b"not of this library")
    for marker in ("some/where/", "some/where/metal/"):  # what consoles make for a folder
        store.put(marker, b"")
    local = build_index(tiny_bundle, sounds, tmp_path / "local")
    stored = build_index(tiny_bundle, store.address("some/where/"), tmp_path / "stored")
    assert records(tmp_path / "stored") == records(tmp_path / "local")
    assert stored.spec.id == local.spec.id
    assert stored.spec.materials == local.spec.materials
    assert {one.path for one in stored.skipped} == {one.path for one in local.skipped}
    assert [(one.path, one.reason) for one in stored.duplicates] == [
        (one.path, one.reason) for one in local.duplicates
    ]
    assert stored.spec.library_root == f"s3://{store.bucket}/some/where"
    assert list(problems_of(tmp_path / "stored")) == []
    assert stats_of(tmp_path / "stored")["folder"] == f"s3://{store.bucket}/some/where"
    # The parts of a name that an address would escape.
    again = build_index(tiny_bundle, store.address("some/where/"), tmp_path / "stored")
    assert (again.changed, again.embedded) == (False, 0)


@pytest.mark.parametrize("name", ["a b%20c.wav", "plus+&=.wav", "quo\"te'.wav", "ä/ö ü.wav", "日本.wav"])
def test_names_are_what_they_are(
    store: Store, strike: Strike, tiny_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    store.put(f"in/{name}", strike(tmp_path / "one.wav", 300).read_bytes())
    build_index(tiny_bundle, store.address("in/"), tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", tiny_bundle) as index:
        (record,) = index.page().sounds
        assert record.path == name
        assert index.audio(record).read(0, 4) == b"RIFF"


def test_only_what_changed_is_read_again(store: Store, sounds: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    store.put_folder(sounds)
    build_index(tiny_bundle, store.address(), tmp_path / "index")
    store.put("metal/pan_0.wav", (sounds / "kitchen" / "wood" / "board-1.flac").read_bytes() + b"\0")
    store.remove("metal/pan_1.wav")
    changed = build_index(tiny_bundle, store.address(), tmp_path / "index")
    assert (changed.embedded, changed.spec.sounds) == (1, 8)
    removed = change_index(tmp_path / "index", remove=["metal"])
    assert removed.spec.sounds == 6
    assert change_index(tmp_path / "index", add=["metal/pan_2.wav"]).spec.sounds == 7


def test_sounds_are_sent_in_parts(store: Store, sounds: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    store.put_folder(sounds)
    build_index(tiny_bundle, store.address(), tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", tiny_bundle) as index:
        record = next(one for one in index.page().sounds if one.path == "metal/pan_0.wav")
        content = (sounds / record.path).read_bytes()
        sound = index.audio(record)
        assert (sound.size, sound.read(0, len(content)), sound.read(1000, 10)) == (
            len(content),
            content,
            content[1000:1010],
        )
        assert sound.read(len(content) - 3, 100) == content[-3:]
        assert sound.read(len(content), 5) == b""
        index.check_sounds()
        link = index.files.link(record, 60)
        assert link is not None
        assert "X-Amz-Signature" in link
        assert "secret-of-a-test" not in link


def test_a_sound_that_changed_or_is_gone_is_not_sent(
    store: Store, sounds: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    store.put_folder(sounds)
    build_index(tiny_bundle, store.address(), tmp_path / "index")
    with SoundIndex.open(tmp_path / "index", tiny_bundle) as index:
        first, second, third = index.page(limit=3).sounds
        open_before = index.audio(first)
        content = (sounds / first.path).read_bytes()
        store.put(first.path, content[:-1] + b"\1")
        with pytest.raises(LibraryError, match="has changed since it was indexed"):
            open_before.read(0, 2**20)
        with pytest.raises(LibraryError, match="has changed since it was indexed"):
            index.audio(first)
        store.put(second.path, b"shorter")
        with pytest.raises(LibraryError, match="has changed since it was indexed"):
            index.audio(second)
        assert not index.files.is_there(second)
        store.remove(third.path)
        with pytest.raises(LibraryError, match=re.escape(f"{third.path} is no longer in s3://")):
            index.audio(third)
        assert sorted(problems_of(tmp_path / "index")) == sorted(
            [
                f"{first.path}: it has changed since it was indexed",
                f"{second.path}: it has changed since it was indexed",
                f"{third.path}: it is not there",
            ]
        )
        for record in index.page().sounds:
            store.remove(record.path)
        with pytest.raises(SoundsAwayError, match="none of"):
            index.check_sounds()


def test_an_object_that_changes_while_it_is_indexed(store: Store, strike: Strike, tmp_path: Path) -> None:
    store.put("a.wav", strike(tmp_path / "one.wav", 300).read_bytes())
    source = BucketSource(store.address())
    source.walk()
    state = source.state("a.wav")
    store.put("a.wav", b"other")
    with pytest.raises(ChangedError), source.reading("a.wav", state):
        pass
    source.close()
    assert Bucket(store.address()).object("a.wav").bytes == 5


def test_proposals_are_handed_back(store: Store, sounds: Path, tmp_path: Path) -> None:
    store.put_folder(sounds, "in/")
    index = tmp_path / "index"
    told = thud_text("index", f"s3://{store.bucket}/in", index, "--propose", tmp_path / "labels.csv")
    assert told.returncode == 0, told.stderr
    with (tmp_path / "labels.csv").open(encoding="utf-8-sig") as table_written:
        rows = list(csv.DictReader(table_written))
    for row in rows:
        row["material"] = "glass"
    with (tmp_path / "labels.csv").open("w", newline="") as out:
        table = csv.DictWriter(out, rows[0])
        table.writeheader()
        table.writerows(rows)
    done = thud_text("index", f"s3://{store.bucket}/in", index, "--manifest", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert current_generation(index).spec.materials == {"glass": 9}
    assert f"labels are taken from s3://{store.bucket}/in/manifest.csv" in done.stderr


def test_what_cannot_be_reached_is_one_line(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    for address, said in (
        ("s3://no-such-bucket/in", "s3://no-such-bucket/in cannot be read: "),
        (f"s3://{store.bucket}/empty", f"s3://{store.bucket}/empty has no objects"),
        ("s3://", "names no bucket"),
        ("s3://key:secret-word@bucket/x", "names no bucket"),
        ("gs://bucket/x", "is no folder of sounds"),
        ("s3:/bucket/x", "is no address"),
        (f"s3://{store.bucket}//x", "has a part without a name"),
    ):
        failed = thud_text("index", address, index)
        assert failed.returncode == 1, failed
        assert said in failed.stderr
        assert "secret-word" not in failed.stderr
        assert failed.stderr.count("\n") == 1, failed.stderr
        assert not (index / "current").exists()
    watched = thud_text("index", f"s3://{store.bucket}", index, "--watch")
    assert watched.returncode == 2
    assert "no store tells of its changes" in watched.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:99")
    with pytest.raises(LibraryError, match="it must be as http://HOST:PORT"):
        BucketSource(store.address())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody_listens()}")
    monkeypatch.setattr("model.bucket._RETRIES", {"max_retries": 0})
    away = sound_files(store.address(), [])
    with pytest.raises(SoundsAwayError):
        away.check()
    with pytest.raises(LibraryError, match="cannot be read"):
        BucketSource(store.address()).walk()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("AWS_ENDPOINT_URL", one)
            for one in ("", "http://", "http:///x", "127.0.0.1:1", "http://[::1", "s3://host")
        ),
        *(
            ("AWS_ENDPOINT_URL", f"http://127.0.0.1{one}")
            for one in (":99999", ":0", ":abc", " :1", "/a b", ":1\n")
        ),
        ("AWS_ENDPOINT", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_S3", "ftp://127.0.0.1"),
        ("AWS_REGION", "us-east-1\n"),
        ("AWS_SESSION_TOKEN", "secret\tsecret"),
    ],
)
def test_settings_that_obstore_would_end_the_program_with(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LibraryError, match=rf"^{name} (is|has)") as caught:
        Bucket(store.address())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://base//x?X-Amz-Signature=secret",
        "s3://base/x/manifest.csv?X-Amz-Credential=secret",
        "s3://base/key:secret@x//y",
        "s3://key:secret@x/y",
    ],
)
def test_no_secret_of_an_address_is_said_again(text: str) -> None:
    with pytest.raises(LibraryError) as caught:
        sounds_at(text)
    assert "secret" not in str(caught.value)


def test_what_a_store_answers_about_one_object_is_about_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore
    from obstore.exceptions import GenericError

    for status, of_one in (("400 Bad Request", True), ("429 Too Many", False), ("503 Slow Down", False)):

        def fail(*_: object, status: str = status) -> None:
            raise GenericError(
                f"Error performing GET http://x in 2ms - Server returned non-2xx status code: {status}: "
            )

        monkeypatch.setattr(obstore, "head", fail)
        with pytest.raises(OSError, match=status) as caught:
            Bucket(store.address()).object("x")
        assert is_of_one(caught.value) == of_one


def test_addresses_are_read_as_they_are_written() -> None:
    assert sounds_at("s3://bucket/a/b/") == BucketAddress("bucket", "a/b/")
    assert sounds_at(BucketAddress("bucket")) == BucketAddress("bucket")
    assert str(BucketAddress("bucket", "a/b/")) == "s3://bucket/a/b"
    assert BucketAddress("bucket", "a/") / "b c.wav" == "s3://bucket/a/b c.wav"
    assert sounds_at("some/folder") == Path("some/folder")
