"""A sound index: search, lookup, pages and audio files."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index.answers.recommender import Recommender
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue import SoundRecord
from index.catalogue.filters import UNLABELLED, SoundFilter
from model.bundle import Bundle
from model.errors import LibraryError, SoundError, SoundsAwayError
from model.runtime import Embeddings, TowerRuntime


@pytest.fixture
def index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Iterator[SoundIndex]:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    opened = SoundIndex.open(tmp_path / "index", tiny_bundle)
    yield opened
    opened.close()


@pytest.fixture
def query(tiny_bundle: Bundle, picture: Path) -> Embeddings:
    embedding: Embeddings = TowerRuntime(tiny_bundle).embed_picture(picture.read_bytes()).embedding[0]
    return embedding


def test_search_is_what_numpy_computes_by_brute_force(
    index: SoundIndex, tiny_bundle: Bundle, sounds: Path, query: Embeddings
) -> None:
    runtime = TowerRuntime(tiny_bundle)
    paths = sorted(file.relative_to(sounds).as_posix() for file in sounds.rglob("*") if file.is_file())
    exact = {path: float(runtime.embed_sound(sounds / path).embedding @ query) for path in paths}
    for k in (1, 4, 9, 1000):
        matches = index.search(query, k)
        assert len(matches) == min(k, 9)
        assert [match.record.path for match in matches] == sorted(paths, key=lambda path: -exact[path])[:k]
        for match in matches:
            assert match.similarity == pytest.approx(exact[match.record.path], abs=2e-6)
            assert match.similarity == round(match.similarity, 6)


def test_a_search_for_nothing_is_refused(index: SoundIndex, query: Embeddings) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        index.search(query, 0)
    with pytest.raises(ValueError, match="128 finite numbers"):
        index.search(query[:64], 1)


def test_many_threads_search_one_index(index: SoundIndex, query: Embeddings) -> None:
    expected = index.search(query, 5)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: index.search(query, 5), range(400)))


def test_lookup_pages_and_counts(index: SoundIndex) -> None:
    assert len(index) == 9
    assert index.materials() == {"metal": 3, "plastic-bag": 1, "wood": 2, None: 3}
    assert len(index.id) == 16
    first = index.page(limit=4)
    second = index.page(cursor=first.next, limit=5)
    assert (first.total, second.next) == (9, None)
    assert len({record.id for record in first.sounds + second.sounds}) == 9
    assert [record.material for record in index.page(SoundFilter(material=("wood",))).sounds] == ["wood", "wood"]
    assert {record.material for record in index.page(SoundFilter(material=(UNLABELLED,))).sounds} == {None}
    assert index.sound(first.sounds[0].id) == first.sounds[0]
    assert index.sound("no such id") is None


def read(index: SoundIndex, record: SoundRecord) -> bytes:
    with closing(index.audio(record)) as sound:
        return sound.read(0, sound.size)


def test_audio_is_the_file_that_was_indexed(index: SoundIndex, sounds: Path) -> None:
    record = index.page(SoundFilter(material=("metal",))).sounds[0]
    whole = (sounds / record.path).read_bytes()
    assert read(index, record) == whole
    # Of the same length: only the content tells.
    (sounds / record.path).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LibraryError, match="has changed since it was indexed"):
        index.audio(record)
    (sounds / record.path).write_bytes(whole)
    assert read(index, record) == whole
    with (sounds / record.path).open("ab") as file:
        file.write(b"more")
    with pytest.raises(LibraryError, match="has changed since it was indexed"):
        index.audio(record)
    (sounds / record.path).unlink()
    with pytest.raises(LibraryError, match="no longer in"):
        index.audio(record)
    (sounds / record.path).mkdir()
    with pytest.raises(LibraryError, match="no longer in"):
        index.audio(record)


def test_audio_never_leaves_the_sound_folder(index: SoundIndex, sounds: Path, tmp_path: Path) -> None:
    record = index.page(SoundFilter(material=("metal",))).sounds[0]
    (sounds / record.path).rename(tmp_path / "outside.wav")
    (sounds / record.path).symlink_to(tmp_path / "outside.wav")
    with pytest.raises(LibraryError, match="leads outside"):
        index.audio(record)


def test_the_sound_folder_can_be_somewhere_else(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, index: SoundIndex
) -> None:
    sounds.rename(tmp_path / "mounted")
    record = index.page().sounds[0]
    with pytest.raises(SoundsAwayError, match="cannot be reached"):
        index.audio(record)
    moved = SoundIndex.open(tmp_path / "index", tiny_bundle, sounds=tmp_path / "mounted")
    assert moved.root == (tmp_path / "mounted").resolve()
    assert len(read(moved, record)) == record.bytes
    moved.close()
    with pytest.raises(LibraryError, match="is not a folder"):
        SoundIndex.open(tmp_path / "index", tiny_bundle, sounds=tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_it_opens_on_a_disk_that_cannot_be_written(tiny_bundle: Bundle, index: SoundIndex, tmp_path: Path) -> None:
    folders = [folder for folder in (tmp_path / "index").rglob("*") if folder.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        opened = SoundIndex.open(tmp_path / "index", tiny_bundle)
        assert len(opened.search(np.eye(1, 128, dtype=np.float32)[0], 3)) == 3
        opened.close()
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_sound_asks_by_its_path_or_its_bytes(
    tiny_bundle: Bundle, index: SoundIndex, sounds: Path, picture: Path, tmp_path: Path
) -> None:
    with Recommender.open(tiny_bundle.folder, tmp_path / "index", diversity=0.0) as recommender:
        path = sounds / "metal" / "pan_1.wav"
        answer = recommender.recommend_by_sound(path, 9)
        assert recommender.recommend_by_sound(path.read_bytes(), 9) == answer
        assert (answer.results[0].path, len(answer.results), answer.next) == ("metal/pan_1.wav", 9, None)
        wood = SoundFilter(material=("wood",))
        for one in (
            recommender.recommend(picture, 9, only=wood),
            recommender.recommend_by_sound(path, 9, only=wood),
        ):
            assert {result.material.name for result in one.results if result.material} == {"wood"}
            assert len(one.results) == 2
        for wrong in (b"", b"no sound", picture.read_bytes()):
            with pytest.raises(SoundError):
                recommender.recommend_by_sound(wrong)
        with pytest.raises(ValueError, match="at least 1"):
            recommender.recommend_by_sound(path, 0)


def test_the_towers_are_kept_where_the_bundle_is_the_same(
    tiny_bundle: Bundle, other_bundle: Bundle, sounds: Path, tmp_path: Path
) -> None:
    for bundle in (tiny_bundle, other_bundle):
        build_index(bundle, sounds, tmp_path / bundle.id)
    with Recommender.open(tiny_bundle.folder, tmp_path / tiny_bundle.id, threads=1) as first:
        with Recommender.open(tiny_bundle.folder, tmp_path / tiny_bundle.id, threads=1, before=first) as second:
            assert second.towers is first.towers
            assert second.index is not first.index
        with Recommender.open(other_bundle.folder, tmp_path / other_bundle.id, threads=1, before=first) as third:
            assert third.towers.bundle == other_bundle
