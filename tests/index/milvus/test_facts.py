"""What entities tell of the hits of their sounds, packed and read again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.milvus.facts import MOST_TOGETHER, Hits, packed
from model.errors import DamagedIndexError
from model.hits import MOST_HITS
from tests.index.catalogues import sound

SIZE = 5


def entity(row: int, hit: int, counts: int, material: int = 3) -> tuple[int, str]:
    """The id and the text of a hit; every number in it tells which it is."""
    its = range(counts) if counts <= MOST_TOGETHER else range(hit, hit + 1)
    biases = np.array([row + one / 100 for one in its], np.float32)
    embeddings = np.array([[row, one, *range(SIZE - 2)] for one in its], np.float32)
    return row * MOST_HITS + hit, packed(sound(row).id, counts, material, row % 2**31, biases, embeddings)


def read(*entities: tuple[int, str]) -> Hits:
    return Hits.read([one for one, _ in entities], [text for _, text in entities], SIZE)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(1, MOST_HITS), st.integers(-1, 16)).flatmap(
            lambda one: st.tuples(st.just(one), st.sets(st.integers(0, one[1] - 1), min_size=1))
        ),
        max_size=12,
        unique_by=lambda one: one[0][0],
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_they_are_what_was_packed(sounds, random) -> None:  # type: ignore[no-untyped-def]
    entities = [entity(row, hit, counts, material) for (row, counts, material), its in sounds for hit in its]
    random.shuffle(entities)
    hits = read(*entities)
    expected = sorted(
        row * MOST_HITS + hit
        for (row, counts, _), its in sounds
        for hit in (range(counts) if counts <= MOST_TOGETHER else its)
    )
    assert hits.ids.tolist() == expected
    known = {row: (counts, material) for (row, counts, material), _ in sounds}
    rows = hits.rows.tolist()
    assert hits.counts.tolist() == [known[row][0] for row in rows]
    assert hits.materials.tolist() == [known[row][1] for row in rows]
    assert hits.recordings.tolist() == [row % 2**31 for row in rows]
    assert hits.sound_ids(range(len(hits))) == [sound(row).id for row in rows]
    np.testing.assert_array_equal(hits.embeddings[:, 0], np.array(rows, np.float32))
    np.testing.assert_array_equal(hits.embeddings[:, 1], hits.ids % MOST_HITS)
    every = {row * MOST_HITS + hit for row, (counts, _) in known.items() for hit in range(counts)}
    assert sorted(hits.missing()) == sorted(every - set(expected))
    assert Hits.joined([hits, Hits.none(SIZE), hits]).ids.tolist() == expected


def test_hits_of_some_sounds() -> None:
    hits = read(entity(4, 0, 2), entity(9, 1, 6))
    assert hits.of_sounds([sound(4).id, "0" * 20]).tolist() == [True, True, False]
    assert not hits.of_sounds([]).any()


@pytest.mark.parametrize(
    "wrong",
    [
        (32, ""),
        (32, "text"),
        (32, entity(1, 0, 2)[1][:-1]),
        (32, entity(1, 0, 2)[1][:-1] + "Ł"),
        (34, entity(1, 0, 2)[1]),  # a third hit of a sound of two
        (32, entity(1, 0, 2, material=17)[1]),
        (32, packed(sound(1).id, 2, 0, 0, np.zeros(1, np.float32), np.zeros((1, SIZE), np.float32))),
        (32, packed(sound(1).id, 9, 0, 0, np.zeros(2, np.float32), np.zeros((2, SIZE), np.float32))),
        (32, packed(sound(1).id, 40, 0, 0, np.zeros(1, np.float32), np.zeros((1, SIZE), np.float32))),
        (32, packed(sound(1).id, 1, 0, 0, np.zeros(1, np.float32), np.zeros((1, SIZE + 1), np.float32))),
    ],
)
def test_what_was_not_packed_is_refused(wrong: tuple[int, str]) -> None:
    with pytest.raises(DamagedIndexError, match="run thud index again"):
        read(entity(5, 0, 1), wrong)
