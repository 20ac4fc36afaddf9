"""An index in a Milvus answers as one in a folder does, by the same commands."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from index.address import MilvusAddress
from index.answers.feedback import Feedback
from index.answers.recommender import Recommender
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.catalogue.filters import SoundFilter
from model.bundle import Bundle
from model.errors import LibraryError
from tests.index.commands import thud_text
from tests.index.milvus.lite import new_address
from tests.tiny_bundle import write_shade, write_tiny_bundle_with_heads


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs keep what they know of an index in a Milvus."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("THUD_MILVUS_DRAIN_SECONDS", "0.01")
    return tmp_path / "caches"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """One with heads, objects, hubs and pictures that use some of the columns."""
    return write_tiny_bundle_with_heads(tmp_path / "bundle")


@pytest.fixture
def engines(
    bundle: Bundle, sounds: Path, tmp_path: Path, caches: Path
) -> Iterator[tuple[SoundIndex, SoundIndex, MilvusAddress]]:
    """The same library in a Milvus and in a folder."""
    address = new_address()
    in_files = build_index(bundle, sounds, tmp_path / "index")
    in_milvus = build_index(bundle, sounds, address)
    assert in_milvus.spec.id == in_files.spec.id
    with ExitStack() as stack:
        yield (
            stack.enter_context(SoundIndex.open(address, bundle)),
            stack.enter_context(SoundIndex.open(tmp_path / "index", bundle)),
            address,
        )


def test_answers_are_the_same(engines: tuple[SoundIndex, SoundIndex, MilvusAddress]) -> None:
    milvus, files, _ = engines
    draws = np.random.default_rng(0)
    every = [one.id for one in files.page().sounds]
    assert [one.id for one in milvus.page().sounds] == every
    for number in range(12):
        query = draws.standard_normal(128).astype(np.float32)
        query /= np.linalg.norm(query)
        only = [None, SoundFilter(material=("metal",)), SoundFilter(min_duration=0.3, folder=("kitchen",))][
            number % 3
        ]
        feedback = Feedback((every[1],), (every[3],)) if number % 2 else Feedback((), ())
        for diversity in (None, 0.4):
            one, other = (
                engine.search(query, 4, {"door": 0.1}, only=only, diversity=diversity, feedback=feedback)
                for engine in (milvus, files)
            )
            assert list(one) == list(other)
            assert (one.next is None) == (other.next is None)
            if other.next is not None:  # a cursor of either goes on in the other
                assert list(
                    milvus.search(
                        query,
                        9,
                        {"door": 0.1},
                        only=only,
                        diversity=diversity,
                        feedback=feedback,
                        cursor=other.next,
                    )
                ) == list(
                    files.search(
                        query, 9, {"door": 0.1}, only=only, diversity=diversity, feedback=feedback, cursor=one.next
                    )
                )
    for sound_id in every:
        assert list(milvus.similar(sound_id, 5)) == list(files.similar(sound_id, 5))
    assert milvus.find("pan").sounds == files.find("pan").sounds
    assert milvus.materials() == files.materials()


def test_commands_take_the_address(
    engines: tuple[SoundIndex, SoundIndex, MilvusAddress],
    sounds: Path,
    bundle: Bundle,
    tmp_path: Path,
    caches: Path,
) -> None:
    _, files, address = engines
    folder = bundle.folder
    write_shade(tmp_path / "picture.png", 100)
    answers = []
    for index in (str(address), str(tmp_path / "index")):
        done = thud_text("recommend", tmp_path / "picture.png", "--bundle", folder, "--index", index, "--json")
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    assert answers[0]["results"] == answers[1]["results"]
    found = thud_text("find", "pan", "--bundle", folder, "--index", str(address))
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("pan_") == 3
    similar = thud_text("similar", "metal/pan_1.wav", "--bundle", folder, "--index", str(address))
    assert similar.returncode == 0, similar.stderr
    listed = thud_text("index", "list", str(address))
    assert listed.stdout == thud_text("index", "list", tmp_path / "index").stdout
    assert json.loads(thud_text("index", "stats", str(address), "--json").stdout)["sounds"] == 9
    assert thud_text("index", "verify", str(address)).stdout == "all is well\n"
    again = thud_text("index", folder, sounds, str(address))
    assert again.returncode == 0, again.stderr
    assert "unchanged" in again.stdout
    removed = thud_text("index", "remove", str(address), "metal/pan_1.wav")
    assert removed.returncode == 0, removed.stderr
    assert thud_text("index", "list", str(address)).stdout.count("\n") == 8
    assert list(caches.glob("thud/*/cache.sqlite"))
    assert len(files) == 9


def test_a_run_changes_what_changed(sounds: Path, bundle: Bundle, caches: Path) -> None:
    address = new_address()
    first = build_index(bundle, sounds, address)
    (sounds / "metal" / "pan_0.wav").unlink()
    said: list[str] = []
    second = build_index(bundle, sounds, address, say=said.append)
    assert (second.changed, second.embedded, second.spec.sounds) == (True, 0, 8)
    assert any("the generation before is dropped" in line for line in said)
    with pytest.raises(LibraryError, match="another folder for the index"):
        build_index(bundle, sounds / "kitchen", address)
    with Recommender.open(bundle.folder, str(address)) as recommender:
        assert recommender.index.id == second.spec.id != first.spec.id
        recommender.probe()
