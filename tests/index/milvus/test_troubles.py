"""What can be wrong with a Milvus, or with what it holds: one clear error each, and what was current still is."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from index.address import MilvusAddress, index_at
from index.answers.milvus_store import MilvusStore
from index.answers.store import Query
from index.building.build import build_index, change_index
from index.building.look import problems_of
from index.catalogue import SoundRecord, write_catalogue
from index.catalogue.cursors import RankPlace
from index.milvus import connection as milvus_connection
from index.milvus import publisher
from index.milvus.connection import Circuit, CollectionMissingError, EngineRefusedError, MilvusConnection
from index.milvus.pointers import Pointer, current_of, current_pointer, point_to, pointers_of
from index.milvus.publisher import MilvusPublisher
from index.publishing import Prepared
from model.bundle import Bundle
from model.errors import EngineAwayError, LibraryError
from tests.index.catalogues import sound
from tests.index.commands import thud_text
from tests.index.milvus.lite import BUNDLE, about, new_address, nobody_listens, published

RECORDS = [sound(row) for row in range(5)]
VECTORS = np.eye(8, dtype=np.float32)[:5]


@pytest.fixture
def address() -> Iterator[MilvusAddress]:
    """One at which there is an index."""
    where = new_address()
    with published(where, RECORDS, VECTORS):
        yield where


@pytest.fixture
def connection(address: MilvusAddress) -> Iterator[MilvusConnection]:
    with closing(MilvusConnection(address)) as one:
        yield one


def refusal(address: MilvusAddress, bundle: str = BUNDLE) -> str:
    with pytest.raises(LibraryError) as refused:
        MilvusStore.open(address, bundle)
    return str(refused.value)


def write(address: MilvusAddress, records: list[SoundRecord], identity: str, stop: Callable[[], None]) -> None:
    """Publish the first of the vectors, with `stop` called between adding and committing."""
    with TemporaryDirectory() as folder, closing(MilvusPublisher(address)) as publisher:
        write_catalogue(Path(folder, "catalogue.sqlite"), records)
        publisher.begin(about(records, identity))
        try:
            publisher.add(Prepared(VECTORS[: len(records)], Path(folder, "catalogue.sqlite")))
            stop()
            publisher.commit()
        finally:
            publisher.drop()


def test_there_is_none() -> None:
    assert "has no index; make one with thud index" in refusal(new_address())


def test_it_is_of_another_bundle(address: MilvusAddress) -> None:
    assert "made with bundle 1111111111111111; you gave bundle 2222222222222222" in refusal(address, "2" * 16)


def test_half_of_it_is_there(address: MilvusAddress, connection: MilvusConnection) -> None:
    connection.call("delete", current_of(connection).collection, ids=[0, 32])
    assert "has 3 of 5 vectors; run thud index again" in refusal(address)


def test_its_collection_is_gone(address: MilvusAddress, connection: MilvusConnection) -> None:
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        connection.call("drop_collection", current_of(connection).collection)
        for asked in (store.health, lambda: list(store.records), lambda: store.search(Query(VECTORS[0]), 3)):
            with pytest.raises(CollectionMissingError):
                asked()
    assert "which is not there; run thud index again" in refusal(address)


def test_its_collection_has_other_dimensions(address: MilvusAddress, connection: MilvusConnection) -> None:
    found = current_of(connection)
    theirs = f"{address.name}_g1_{'d' * 16}_1000_abcdef"
    with published(new_address(), RECORDS, np.eye(9, dtype=np.float32)[:5]) as other:
        connection.call("rename_collection", other.published.collection, theirs)
        spec = found.spec.model_dump_json()
        point_to(connection, Pointer(time.time_ns(), theirs, "", spec))
        assert "has vectors of 9 numbers, not 8; run thud index again" in refusal(address)
        connection.call("drop_collection", theirs)


def test_its_collection_is_none_of_ours(address: MilvusAddress, connection: MilvusConnection) -> None:
    spec = current_of(connection).spec.model_dump_json()
    for name in ("somebody", f"{address.name}_g_{'d' * 16}_1000_abcdef"):
        point_to(connection, Pointer(time.time_ns(), name, "", spec))
        assert f"another version of Thud, {name}; run thud index again" in refusal(address)
    # What it says to do helps, also where nothing of the sounds has changed.
    write(address, RECORDS[:3], "a" * 16, lambda: None)
    assert current_of(connection).spec.sounds == 3


def test_its_pointer_is_of_another_version(address: MilvusAddress, connection: MilvusConnection) -> None:
    point_to(connection, Pointer(time.time_ns(), "x", "", '{"format_version": 7}'))
    assert "another version of Thud" in refusal(address)
    # What it says to do helps.
    write(address, RECORDS[:3], "a" * 16, lambda: None)
    assert current_of(connection).spec.sounds == 3


def test_a_run_that_ends_leaves_what_was_there(address: MilvusAddress, connection: MilvusConnection) -> None:
    before = pointers_of(connection)
    names = set(connection.call("list_collections"))

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(address, RECORDS[:3], "a" * 16, interrupt)
    assert pointers_of(connection) == before
    assert set(connection.call("list_collections")) == names


def test_two_runs_do_not_undo_each_other(address: MilvusAddress, connection: MilvusConnection) -> None:
    with pytest.raises(LibraryError, match="another run has published"):
        write(address, RECORDS[:3], "a" * 16, lambda: write(address, RECORDS[:4], "b" * 16, lambda: None))
    assert current_of(connection).spec.id == "b" * 16
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        assert len(store) == 4


def test_of_two_runs_at_the_same_moment_one_counts(
    address: MilvusAddress, connection: MilvusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one points between this one's look and its pointer."""
    theirs = Pointer(time.time_ns() + 10**15, "theirs", "", current_of(connection).spec.model_dump_json())
    pointing = point_to

    def point_after(one: MilvusConnection, pointer: Pointer) -> None:
        pointing(one, theirs)
        pointing(one, pointer)

    monkeypatch.setattr(publisher, "point_to", point_after)
    with pytest.raises(LibraryError, match="another run has published"):
        write(address, RECORDS[:3], "a" * 16, lambda: None)
    assert pointers_of(connection)[-1] == theirs


def test_a_pointer_that_may_be_there_keeps_its_generation(
    address: MilvusAddress, connection: MilvusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the pointer is lost: it may have come."""
    pointing = point_to

    def lose_the_answer(one: MilvusConnection, pointer: Pointer) -> None:
        pointing(one, pointer)
        raise EngineAwayError("lost")

    monkeypatch.setattr(publisher, "point_to", lose_the_answer)
    with pytest.raises(EngineAwayError):
        write(address, RECORDS[:3], "a" * 16, lambda: None)
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        assert len(store) == 3


def test_a_collection_that_was_released_is_loaded(address: MilvusAddress, connection: MilvusConnection) -> None:
    for name in (f"{address.name}_current", current_of(connection).collection):
        connection.call("release_collection", name)
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        assert len(store.search(Query(VECTORS[0]), 3)) == 3


def test_no_cursor_and_no_number_makes_milvus_seem_away(address: MilvusAddress) -> None:
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        far = RankPlace(2**31 - 1, 0.5, "sound_00001.wav", RECORDS[1].id)
        assert len(store.search(Query(VECTORS[0]), 3, after=far)) <= 3
        assert len(store.search(Query(VECTORS[0]), 10**9)) == 5
        store.health()


def test_an_answer_of_milvus_opens_no_circuit(connection: MilvusConnection) -> None:
    for _ in range(2 * Circuit.FAILURES):
        with pytest.raises(EngineRefusedError, match="refuses"):
            connection.call("query", current_of(connection).collection, filter="no condition (", limit=1)
    assert current_of(connection).spec.sounds == 5


def test_another_machine_does_not_replace_it(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_address()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "one"))
    build_index(tiny_bundle, sounds, address)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(LibraryError, match=r"is the index of .*--replace"):
        build_index(tiny_bundle, sounds / "kitchen", address)
    assert not build_index(tiny_bundle, sounds, address).changed
    # The first machine sees that it is another one's now.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "third"))
    assert build_index(tiny_bundle, sounds / "kitchen", address, replace=True).spec.sounds == 2
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "one"))
    with pytest.raises(LibraryError, match=r"is the index of .*kitchen"):
        change_index(address, remove=["metal"])
    with pytest.raises(LibraryError, match=r"is the index of .*kitchen"):
        build_index(tiny_bundle, sounds, address)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing"))
    with pytest.raises(LibraryError, match="was not indexed from this machine"):
        change_index(address, remove=["metal"])
    assert list(problems_of(address)) == []


def test_the_generation_before_is_dropped_and_the_pointer_is_read_at_once(
    address: MilvusAddress, connection: MilvusConnection
) -> None:
    first = current_of(connection)
    pointer = current_pointer(address)
    write(address, RECORDS[:3], "c" * 16, lambda: None)
    assert current_pointer(address) != pointer
    assert current_of(connection).number > first.number
    assert first.collection not in connection.call("list_collections")


def test_what_a_run_of_yesterday_left_is_dropped(address: MilvusAddress, connection: MilvusConnection) -> None:
    left, new, others = (
        f"{address.name}_g1_{'d' * 16}_1000_abcdef",
        f"{address.name}_g1_{'d' * 16}_{int(time.time())}_abcdef",
        f"{address.name}x_g1_{'d' * 16}_1000_abcdef",
    )
    for name in (left, new, others):
        connection.call("create_collection", name, dimension=4)
    write(address, RECORDS[:3], "c" * 16, lambda: None)
    assert {new, others} <= set(connection.call("list_collections"))
    assert left not in connection.call("list_collections")


def test_a_record_that_does_not_fit_is_named() -> None:
    long = sound(0, copies=tuple(f"{'long ' * 50}/{number}.wav" for number in range(400)))
    with pytest.raises(LibraryError, match=r"what is known of sound_00000\.wav takes 1"):
        write(new_address(), [long], "e" * 16, lambda: None)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    away = MilvusAddress("127.0.0.1", nobody_listens(), "x", seconds=0.5)
    began = time.monotonic()
    said = refusal(away)
    assert time.monotonic() - began < 3
    assert said.startswith(f"milvus://127.0.0.1:{away.port}/x does not answer: ")
    monkeypatch.setenv("THUD_MILVUS_SECONDS", "0.5")
    failed = thud_text("find", "a", "--index", str(away))
    assert failed.returncode == 1
    assert failed.stderr.startswith("thud: milvus://")
    assert failed.stderr.count("\n") == 1


def test_one_that_never_answers_takes_no_longer_than_it_may() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = MilvusAddress("127.0.0.1", silent.getsockname()[1], "x", seconds=0.5)
        with closing(MilvusConnection(away)) as connection:
            for _ in range(Circuit.FAILURES):
                began = time.monotonic()
                with pytest.raises(EngineAwayError):
                    connection.call("list_collections")
                assert time.monotonic() - began < 3
            began = time.monotonic()
            with pytest.raises(EngineAwayError) as refused:
                connection.call("list_collections")
            assert time.monotonic() - began < 0.2  # the circuit is open
            assert refused.value.retry_after >= 1


class _Client:
    """A client that fails as often as it is told."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0
        self.lock = threading.Lock()

    def look(self, timeout: float) -> str:
        with self.lock:
            self.calls += 1
            if self.failures > 0:
                self.failures -= 1
                raise OSError("gone")
        return "here"

    def close(self) -> None:
        pass


def test_a_call_is_tried_again_and_the_circuit_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(2)
    monkeypatch.setattr(milvus_connection, "_client", lambda address, seconds: client)
    monkeypatch.setattr(milvus_connection, "_PAUSE", 0.001)
    monkeypatch.setattr(Circuit, "FIRST_PAUSE", 0.05)
    with closing(MilvusConnection(MilvusAddress("x", 1, "x"))) as connection:
        assert connection.call("look") == "here"
        assert client.calls == 3
        client.failures = 3 * Circuit.FAILURES
        for _ in range(Circuit.FAILURES):
            with pytest.raises(EngineAwayError):
                connection.call("look")
        calls = client.calls
        with pytest.raises(EngineAwayError):
            connection.call("look")
        assert client.calls == calls
        time.sleep(0.1)
        assert connection.call("look") == connection.call("look") == "here"


def test_only_one_tries_an_open_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = Circuit()
    monkeypatch.setattr(Circuit, "FIRST_PAUSE", 0.01)
    for _ in range(Circuit.FAILURES):
        with pytest.raises(EngineAwayError), circuit.passing():
            raise EngineAwayError("away")
    time.sleep(0.05)
    with circuit.passing(), pytest.raises(EngineAwayError), circuit.passing():
        pass
    with circuit.passing(), circuit.passing():
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milvus://", "it names no host"),
        ("milvus://host", "the name has to be"),
        ("milvus://host/a-b", "the name has to be"),
        ("milvus://host:port/a", "is no address"),
        ("milvus://host/a?x=1", "nothing may follow"),
        ("milvus://root:secret-word@host/a", "it has a user in it"),
        ("http://host/a", "is no index"),
        ("http://root:secret-word@host/a", "is no index"),
        ("milvus://host/a?token=secret-word", "nothing may follow"),
        ("milvus://host:0/a", "no port 0"),
        ("milvus://host name/a", "names no host"),
        ("milvus:/host/a", "is no address"),
        (" milvus://host/a", "is no address"),
    ],
)
def test_addresses_that_are_none(text: str, said: str) -> None:
    with pytest.raises(LibraryError, match=said) as refused:
        index_at(text)
    assert "secret-word" not in str(refused.value)
    assert thud_text("find", "a", "--index", text).returncode == 1


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUD_MILVUS_TOKEN", "root:secret-word")
    monkeypatch.setenv("THUD_MILVUS_SECONDS", "3.5")
    found: Any = index_at("milvus+tls://[::1]/name")
    assert (str(found), found.uri, found.token, found.seconds, found.tls) == (
        "milvus+tls://[::1]:19530/name",
        "https://[::1]:19530",
        "root:secret-word",
        3.5,
        True,
    )
    assert "secret-word" not in repr(found)
    assert index_at(Path("a")) == index_at("a") == Path("a")
    for wrong in ("soon", "nan", "0", "1e11"):
        monkeypatch.setenv("THUD_MILVUS_SECONDS", wrong)
        with pytest.raises(LibraryError, match=f"THUD_MILVUS_SECONDS is '{wrong}'"):
            index_at("milvus://host/name")
