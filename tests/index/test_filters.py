"""Filters and text search of a catalogue find what a look at every record finds."""

import math
import unicodedata
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import SoundRecord
from index.catalogue.filters import UNLABELLED, SoundFilter
from index.catalogue.text import query_of
from model.errors import FilterError
from tests.index.catalogues import catalogue_of, number_of, sound

WORDS = ["hit", "Hit ", "HIT", "scratch", "Straße", "STRASSE", "caf\u00e9", "cafe\u0301", "", "a; b"]
FOLDERS = ["", "wood", "Wood", "wood/hard", "wood-chips", "holz/m\u00f6bel", "holz/mo\u0308bel", "a/b/c"]
MATERIALS = ["wood", "metal", "plastic-bag", None]


def texts(words: list[str]) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, *words])


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "material": st.sampled_from(MATERIALS),
            "action": texts(WORDS),
            "source": texts(WORDS),
            "licence": texts(WORDS),
            "tags": st.lists(st.sampled_from(WORDS), max_size=3).map(tuple),
            "seconds": st.sampled_from([0.1, 0.25, 1.0, 60.5]),
            "loudness": st.sampled_from([-70.0, -20.1, -3.0]),
        }
    ),
    max_size=25,
)
PLACES = st.lists(st.sampled_from(FOLDERS), min_size=25, max_size=25)
SOME = st.lists(st.sampled_from(WORDS), max_size=2).map(tuple)
FILTERS = st.builds(
    SoundFilter,
    material=st.lists(st.sampled_from(["wood", "Plastic Bag", "glass", UNLABELLED]), max_size=2).map(tuple),
    action=SOME,
    source=SOME,
    licence=SOME,
    tag=SOME,
    folder=st.lists(st.sampled_from([*FOLDERS[1:], "/WOOD/", "a//b/.", "b", "."]), max_size=2).map(tuple),
    min_duration=st.sampled_from([None, 0.1, 0.5]),
    max_duration=st.sampled_from([None, 0.5, 60.5]),
    min_loudness=st.sampled_from([None, -20.1]),
    max_loudness=st.sampled_from([None, 1e300]),
)


def library(known: list[dict[str, Any]], places: list[str]) -> list[SoundRecord]:
    """Records in the order of their paths; each third has a copy in the folder of the next."""
    paths = sorted(f"{place}/{number:02}.wav".lstrip("/") for number, place in enumerate(places[: len(known)]))
    return [
        sound(row, path=path, copies=(f"{places[row + 1]}/copy.wav".lstrip("/"),) if row % 3 == 0 else (), **one)
        for row, (path, one) in enumerate(zip(paths, known, strict=True))
        if row + 1 < len(places)
    ]


def same(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold().strip())


def meets(record: SoundRecord, only: SoundFilter, all_folders: set[str]) -> bool:
    """Whether a record meets a filter, by looking at it."""

    def any_of(asked: tuple[str, ...], has: list[str | None]) -> bool:
        return not asked or bool({same(one) for one in asked} & {same(one) for one in has if one})

    def inside(folder: str) -> bool:
        folder = "/".join(part for part in folder.split("/") if part not in ("", "."))
        names = {folder} if folder in all_folders else {one for one in all_folders if same(one) == same(folder)}
        return not folder or any(
            path.startswith(f"{name}/") for path in (record.path, *record.copies) for name in names
        )

    labels = {"Plastic Bag": "plastic-bag", UNLABELLED: None}
    return (
        (not only.material or record.material in [labels.get(name, name) for name in only.material])
        and any_of(only.action, [record.action])
        and any_of(only.source, [record.source])
        and any_of(only.licence, [record.licence])
        and any_of(only.tag, list(record.tags))
        and (not only.folder or any(map(inside, only.folder)))
        and (only.min_duration or -math.inf) <= record.seconds <= (only.max_duration or math.inf)
        and (only.min_loudness or -math.inf) <= record.loudness <= (only.max_loudness or math.inf)
    )


def folders(records: list[SoundRecord]) -> set[str]:
    return {
        path[:place]
        for record in records
        for path in (record.path, *record.copies)
        for place, sign in enumerate(path)
        if sign == "/"
    }


@settings(max_examples=150, deadline=None)
@given(known=RECORDS, places=PLACES, filters=st.lists(FILTERS, min_size=1, max_size=6))
def test_a_filter_finds_what_a_look_at_every_record_finds(
    known: list[dict[str, Any]], places: list[str], filters: list[SoundFilter]
) -> None:
    records = library(known, places)
    with catalogue_of(records) as catalogue:
        for only in [*filters, *filters]:  # the second time from what is kept
            expected = [row for row, record in enumerate(records) if meets(record, only, folders(records))]
            rows = catalogue.rows_of(only)
            assert (list(range(len(records))) if rows is None else rows.tolist()) == expected
            page = catalogue.page(only, limit=1000)
            assert (page.sounds, page.total) == ([records[row] for row in expected], len(expected))


def test_what_is_no_filter_is_refused_and_names_the_field() -> None:
    for wrong, field in (
        ({"material": ("wood", "rubber")}, "material"),
        ({"min_duration": math.nan}, "min_duration"),
        ({"max_loudness": math.nan}, "max_loudness"),
        ({"min_duration": 2.0, "max_duration": 1.0}, "min_duration"),
    ):
        with pytest.raises(FilterError) as refused:
            SoundFilter(**wrong)
        assert refused.value.field == field
    assert not SoundFilter()
    assert SoundFilter(min_duration=0.0)


def test_values_that_no_sound_has_find_nothing() -> None:
    with catalogue_of([sound(row, material="wood") for row in range(3)]) as catalogue:
        for only in (
            SoundFilter(tag=("none",)),
            SoundFilter(folder=("no/where",)),
            SoundFilter(material=("glass",)),
        ):
            assert catalogue.page(only).total == 0


def test_rows_of_many_vectors() -> None:
    hits = [(0.1,), (0.1, 0.2, 0.3), (0.1, 0.2), (0.1,)]
    first = np.concatenate([[0], np.cumsum([len(one) for one in hits])])
    records = [sound(row, hits=one, ends=one) for row, one in enumerate(hits)]
    with catalogue_of(records) as catalogue:
        assert catalogue.vectors == 7
        for rows in ([], [0], [3], [1, 2], [0, 1, 3], [0, 1, 2, 3]):
            expected = [vector for row in rows for vector in range(first[row], first[row + 1])]
            assert catalogue.vector_rows(np.array(rows, np.int64)).tolist() == expected
        sounds, numbers = catalogue.sounds_of(np.arange(7))
        assert sounds.tolist() == [0, 1, 1, 1, 2, 2, 3]
        assert numbers.tolist() == [0, 0, 1, 2, 0, 1, 0]


FOUND = [
    sound(0, path="kitchen/bottle-01.wav", title="Glass bottle", tags=("clink",), material="glass"),
    sound(1, path="kitchen/pan.wav", title="Frying pan", description="a bottle falls into it", material="metal"),
    sound(2, path="m\u00f6bel/Stuhl.wav", title="Stuhl", tags=("Caf\u00e9 'Nord'",)),
    sound(3, path="x/1.wav", title='12" record NEAR the floor -- OR not', material="wood"),
    sound(4, path="x/2.wav", title="glassware bottle bottle"),
]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("bottle", {0, 1, 4}),
        ("BOTTLE gla", {0, 4}),
        ("bottle kitchen", {0, 1}),
        ("mobel", {2}),
        ("mo\u0308bel", {2}),
        ("cafe", {2}),
        ("metal", {1}),
        ('12" rec', {3}),
        ("near", {3}),
        ("NEAR", {3}),
        ("floor -- or NOT", {3}),
        ("bottle OR pan", set()),
        ("bottle -pan", {1}),
        ("bottle*", {0, 1, 4}),
        ("title:bottle", set()),
        ("bottle-01", {0}),
        ("01-bottle", set()),
        ("wav", set()),
        ('"', set()),
        ("* - ( )", set()),
        ("bottle\0pan", {1}),
        ("\udcff bottle", {0, 1, 4}),
        ("", set()),
    ],
)
def test_text_is_words_and_no_syntax(text: str, rows: set[int]) -> None:
    with catalogue_of(FOUND) as catalogue:
        page = catalogue.find(text)
        assert ({number_of(one) for one in page.sounds}, page.total) == (rows, len(rows))


def test_a_title_counts_more_than_a_description_and_a_filter_leaves_out() -> None:
    with catalogue_of(FOUND) as catalogue:
        assert [number_of(one) for one in catalogue.find("bottle").sounds][-1] == 1
        assert [number_of(one) for one in catalogue.find("bottle", SoundFilter(material=("metal",))).sounds] == [1]
        with pytest.raises(FilterError, match="33 words"):
            catalogue.find("a " * 33)


def test_a_word_that_begins_another_is_looked_for_once() -> None:
    assert query_of("a " * 32) == '"a" *'
    assert query_of("glass gl bottle GLAS Gla\u0301") == '"glass" * "bottle" *'
    assert query_of("lass glass") == '"lass" * "glass" *'


def test_a_text_is_looked_for_until_then() -> None:
    with catalogue_of([sound(row) for row in range(3000)]) as catalogue:
        with pytest.raises(TimeoutError):
            catalogue.find("sound", until=monotonic())
        fetch = catalogue._texts.fetch
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
        began = monotonic()
        with pytest.raises(TimeoutError):
            fetch(endless, until=began + 0.2)
        assert monotonic() - began < 5
        assert catalogue.find("sound", until=monotonic() + 60).total == 3000


def test_a_page_of_a_text_is_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    with catalogue_of(FOUND) as catalogue:
        asked: list[str] = []
        fetch = catalogue._texts.fetch

        def watched(query: str, *values: Any, **options: Any) -> Any:
            asked.append(query)
            return fetch(query, *values, **options)

        monkeypatch.setattr(catalogue._texts, "fetch", watched)
        assert catalogue.find("bottle", limit=1).total > 1
        assert catalogue.find("nothing of the sort").total == 0
        assert len(asked) == 2


@settings(max_examples=50, deadline=None)
@given(
    titles=st.lists(st.sampled_from(["tap", "tap tap", "tap on wood", "other"]), max_size=30),
    limit=st.integers(1, 9),
)
def test_pages_of_a_text_give_every_sound_once(titles: list[str], limit: int) -> None:
    records = [sound(row, title=title) for row, title in enumerate(titles)]
    with catalogue_of(records) as catalogue:
        whole = [number_of(one) for one in catalogue.find("tap", limit=1000).sounds]
        assert sorted(whole) == [number_of(one) for one in records if one.title != "other"]
        seen: list[int] = []
        cursor = None
        while True:
            page = catalogue.find("tap", cursor=cursor, limit=limit)
            seen += [number_of(one) for one in page.sounds]
            if (cursor := page.next) is None:
                break
        assert seen == whole


def test_a_cursor_of_another_question_or_none_is_refused() -> None:
    with catalogue_of(FOUND) as catalogue:
        cursor = catalogue.page(limit=1).next
        assert cursor is not None
        for wrong in ("", "x", cursor[:-2], cursor + "AAAA", "A" * 20_000, "\u00fc", "bnVsbA"):
            with pytest.raises(FilterError, match="not a cursor"):
                catalogue.page(cursor=wrong)
        with pytest.raises(FilterError, match="another question"):
            catalogue.page(SoundFilter(material=("wood",)), cursor=cursor)
        with pytest.raises(FilterError, match="another question"):
            catalogue.find("bottle", cursor=cursor)


def test_pages_go_on_in_another_generation() -> None:
    """Of what both have, nothing comes twice and nothing is left out, whatever came and went before."""
    before = [sound(row, path=f"{row:02}.wav") for row in range(20)]
    kept = [one for one in before if int(one.path[:2]) % 3]
    new = [replace(one, id=one.id[::-1], path=f"{one.path[:2]}b.wav") for one in before[::2]]
    after = sorted([*kept, *new], key=lambda one: one.path)
    with catalogue_of(before) as old, catalogue_of(after) as renewed:
        first = old.page(limit=7)
        second = renewed.page(cursor=first.next, limit=1000)
    seen = [one.path for one in (*first.sounds, *second.sounds)]
    assert len(seen) == len(set(seen))
    assert {one.path for one in kept} <= set(seen)
