"""Pages, filters and searches for words in a Milvus find what an index's files find."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.answers.milvus_store import MilvusStore
from index.answers.store import Query
from index.catalogue import Catalogue, SoundRecord
from index.catalogue.filters import SoundFilter
from index.milvus import records as milvus_records
from index.milvus.records import MilvusRecords
from model.errors import FilterError, LibraryError
from tests.index.catalogues import catalogue_of, sound
from tests.index.milvus.lite import new_address, published
from tests.index.test_filters import FILTERS, FOLDERS, MATERIALS, WORDS

_NASTY = ['a"b', "a'] or ['", "\\", 'x" in tags or "1" == "1', "tags", "{0}", "%", "\0", "]) or (id >= 0"]
_TITLES = ["glass bottle clink", "Glass-bottle 02", "big door", "door knock; wood", "Café chair", "x"]


def _library() -> list[SoundRecord]:
    draws = random.Random(3)
    found = []
    for row in range(40):
        folder = draws.choice(FOLDERS)
        path = f"{folder}/{row:02}.wav" if folder else f"{row:02}.wav"
        copies = (f"copies/{row}.wav",) if row % 9 == 0 else ()
        found.append(
            sound(
                row,
                path=path,
                copies=copies,
                title=draws.choice(_TITLES),
                description=draws.choice([None, "a bottle of glass", "door"]),
                tags=tuple(draws.sample([*WORDS, *_NASTY], 2)),
                material=draws.choice(MATERIALS),
                action=draws.choice([None, *WORDS, *_NASTY]),
                source=draws.choice([None, *WORDS]),
                licence=draws.choice([None, *WORDS, "CC0", "cc-by 4.0"]),
                seconds=draws.choice([0.1, 0.25, 1.0, 60.5]),
                loudness=draws.choice([-70.0, -20.1, -3.0]),
            )
        )
    return sorted(found, key=lambda one: one.path)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[MilvusStore, Catalogue]]:
    """The same records in a Milvus and in a catalogue."""
    library = _library()
    vectors = np.random.default_rng(0).standard_normal((len(library), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with ExitStack() as stack:
        store = stack.enter_context(published(new_address(), library, vectors))
        yield store, stack.enter_context(catalogue_of(library))


@settings(max_examples=60, deadline=None)
@given(only=FILTERS, limit=st.sampled_from([1, 3, 50]))
def test_pages_with_filters(both: tuple[MilvusStore, Catalogue], only: SoundFilter, limit: int) -> None:
    store, catalogue = both
    cursor = None
    while True:
        page, expected = store.records.page(only, cursor, limit), catalogue.page(only, cursor, limit)
        assert page.sounds == expected.sounds
        assert page.total == expected.total
        assert (page.next is None) == (expected.next is None)
        cursor = expected.next
        if cursor is None:
            break
    if only:
        found = store.search(Query(np.eye(8, dtype=np.float32)[0]), 50, only)
        assert sorted(one.path for one in found.records(range(len(found)))) == sorted(
            one.path for one in catalogue.page(only, limit=50).sounds
        )


@pytest.mark.parametrize("text", _NASTY)
def test_no_text_can_break_a_condition(both: tuple[MilvusStore, Catalogue], text: str) -> None:
    store, catalogue = both
    for only in (SoundFilter(tag=(text,)), SoundFilter(action=(text,)), SoundFilter(folder=(text,))):
        assert store.records.page(only).sounds == catalogue.page(only).sounds
    assert store.records.id_at(text) is None
    assert store.records.sound(text) is None


@pytest.mark.parametrize(
    "text",
    ["glass", "GLASS bot", "bottle glass", "glass-bottle", "door", "cafe", "wood knock", "nothing", "", "wav", "b"],
)
def test_words(both: tuple[MilvusStore, Catalogue], text: str) -> None:
    store, catalogue = both
    expected = catalogue.find(text, limit=50)
    whole = store.records.find(text, limit=50)
    assert {one.id for one in whole.sounds} == {one.id for one in expected.sounds}
    assert whole.total == expected.total
    given, cursor = [], None
    while True:
        page = store.records.find(text, None, cursor, 2)
        given += page.sounds
        cursor = page.next
        if cursor is None:
            break
    assert given == whole.sounds
    wood = SoundFilter(material=("wood",))
    assert {one.id for one in store.records.find(text, wood).sounds} == {
        one.id for one in catalogue.find(text, wood).sounds
    }


def test_of_many_sounds_the_first_are_compared(
    both: tuple[MilvusStore, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, catalogue = both
    expected = catalogue.find("glass", limit=50).sounds
    monkeypatch.setattr(milvus_records, "_MOST_RANKED", 3)
    given: list[SoundRecord] = []
    cursor = None
    while True:
        page = store.records.find("glass", None, cursor, 2)
        given += page.sounds
        cursor = page.next
        if cursor is None:
            break
    assert sorted(one.id for one in given) == sorted(one.id for one in expected)
    assert [one.path for one in given[3:]] == sorted(one.path for one in given[3:])


def test_what_is_asked_for_by_name(both: tuple[MilvusStore, Catalogue]) -> None:
    store, catalogue = both
    records: MilvusRecords = store.records
    assert len(records) == len(catalogue)
    assert list(records) == list(catalogue)
    assert records.materials() == catalogue.materials()
    assert records.paths() == catalogue.paths()
    assert records.sample(7) == catalogue.sample(7)
    for record in catalogue:
        assert records.sound(record.id) == record
        for path in (record.path, *record.copies):
            assert records.id_at(path) == catalogue.id_at(path) == record.id
    assert records.sound("0" * 20) is None
    with pytest.raises(LibraryError, match="at least 1"):
        records.page(limit=0)
    with pytest.raises(FilterError):
        records.page(cursor="none")
    with pytest.raises(FilterError, match="words"):
        records.find(" ".join(map(str, range(40))))
    with pytest.raises(TimeoutError):
        records.find("glass", until=time.monotonic() - 1)


def test_a_page_goes_on_where_its_sound_was(both: tuple[MilvusStore, Catalogue]) -> None:
    store, _ = both
    every = list(store.records)
    following = store.records.page(limit=10).next
    # In a generation without the sound that the page ended with.
    rest = [*every[:9], *every[10:]]
    vectors = np.tile(np.eye(8, dtype=np.float32)[:1], (len(rest), 1))
    with published(new_address(), rest, vectors) as other:
        assert other.records.page(cursor=following, limit=50).sounds == every[10:]
