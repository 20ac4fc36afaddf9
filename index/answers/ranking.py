"""The order of the sounds of an index's files for a query: by their vectors, and by the objects that they name."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from index.answers.store import Query
from index.catalogue import Catalogue
from index.nearest.vectors import Rows, VectorIndex, Vectors
from model.hubness import SCORE_DECIMALS

MEAN_WEIGHT = 0.25
"""How much of a sound's value is the mean over its hits; the rest is its best hit. With the best hit alone, a file
of many hits is near to everything: see docs/decisions/answers.md."""
_UNITS = 10**SCORE_DECIMALS


@dataclass(frozen=True, eq=False)
class RankedRows:
    """Sounds, best first, each with what is known of the vector that matched best; every array is `[n]`.

    `rows` are those of the catalogue; `vectors`: the vector's row; `hits`: which of the sound's hits it is, from 0;
    `values`: what they are ranked by, `_values` + twice the gain; `cosines`; `named`: the number of the object in
    `Query.named` that gave the gain, -1 for none; `places`: which place, from 0, the sound has without gains.
    """

    rows: Rows
    vectors: Rows
    hits: Rows
    values: npt.NDArray[np.float64]
    cosines: Vectors
    named: Rows
    places: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, wanted: Rows | npt.NDArray[np.bool_] | slice) -> Self:
        """The wanted of them."""
        return type(self)(**{one.name: getattr(self, one.name)[wanted] for one in fields(self)})


def rank(
    catalogue: Catalogue, vectors: VectorIndex, query: Query, most: int, among: Rows | None = None
) -> RankedRows:
    """The first `most` sounds for a query, of those at the rising rows `among` of the catalogue, None for all.

    A sound ranks by the best of its vectors, and a little by their mean. Sounds of equal value come in the order of
    the catalogue. The result is the same as if all sounds were scored.
    """
    near = _near(catalogue, vectors, query.embedding, most, among)
    # Shares only lift, and never a sound that names nothing: of those, the first by vector are enough.
    # The largest share last, so that it counts where a sound names several objects.
    naming = [(share, catalogue.vector_rows(_kept(catalogue.naming(name), among))) for name, share in query.named()]
    found = np.unique(np.concatenate([near, *(rows for _, rows in naming)]))
    rows, hits = catalogue.sounds_of(found)
    gain, named = np.zeros(len(found)), np.full(len(found), -1)
    for number, (share, its) in enumerate(naming):
        places = np.searchsorted(found, its)
        gain[places], named[places] = share, number
    if query.fit is not None and (lifted := np.flatnonzero(named >= 0)).size:
        materials = catalogue.materials_of(rows[lifted])
        gain[lifted] *= query.fit(materials, vectors.vectors(found[lifted[materials < 0]]))
    nearness, cosines = vectors.score(query.embedding, found)
    plain_values = _values(catalogue, vectors, query.embedding, rows, nearness)
    return best_first(rows, found, hits, plain_values, cosines, gain, named, most)


def best_first(
    rows: Rows,
    vectors: Rows,
    hits: Rows,
    plain_values: npt.NDArray[np.float64],
    cosines: Vectors,
    gain: npt.NDArray[np.float64],
    named: Rows,
    most: int,
) -> RankedRows:
    """The first `most` sounds of `vectors [n]`, which are `hits [n]` of the sounds at `rows [n]`.

    `plain_values [n]`: what they are worth without their `gain [n]`, which is in units of a score.
    """
    # By twice the score, so that rounding makes no more sounds equal than it does without shares.
    values = np.round(plain_values + 2.0 * gain, SCORE_DECIMALS)
    best = best_of_each(rows, values)[:most]
    plain = rows[best_of_each(rows, plain_values)]
    order = np.argsort(plain)
    places = order[np.searchsorted(plain, rows[best], sorter=order)]
    return RankedRows(rows[best], vectors[best], hits[best], values[best], cosines[best], named[best], places)


def _near(catalogue: Catalogue, vectors: VectorIndex, embedding: Vectors, most: int, among: Rows | None) -> Rows:
    """Rows of the nearest vectors, so many that the `most` nearest sounds are among them."""
    kept = None if among is None else catalogue.vector_rows(among)
    available = len(vectors) if kept is None else len(kept)
    sounds = len(catalogue) if among is None else len(among)
    if not available:
        return np.zeros(0, np.int64)
    wanted = min(most, sounds) * -(-available // sounds)
    while True:
        _, near = vectors.search(embedding, wanted, kept)
        if len(near) >= available:
            return near
        rows, _ = catalogue.sounds_of(near)
        if len(np.unique(rows)) >= min(most, sounds):
            nearness, _ = vectors.score(embedding, near)
            values = _values(catalogue, vectors, embedding, rows, nearness)
            # No vector that was not found makes a sound's value larger than its own nearness.
            if values[best_of_each(rows, values)[:most]][-1] > nearness[-1] or len(catalogue) == len(vectors):
                return near
        wanted *= 2


def _values(
    catalogue: Catalogue, vectors: VectorIndex, embedding: Vectors, rows: Rows, nearness: Vectors
) -> npt.NDArray[np.float64]:
    """What vectors `[n]` of the sounds at `rows [n]` are worth: mostly their `nearness [n]`, cosine - bias, for the
    rest its mean over all vectors of the sound (`MEAN_WEIGHT`)."""
    if len(catalogue) == len(vectors):
        return worth(nearness, rows, None, rows)
    every = catalogue.vector_rows(np.unique(rows))
    return worth(nearness, rows, vectors.score(embedding, every)[0], catalogue.sounds_of(every)[0])


def worth(nearness: Vectors, rows: Rows, of_all: Vectors | None, all_rows: Rows) -> npt.NDArray[np.float64]:
    """What vectors `[n]` of the sounds at `rows [n]` are worth by their `nearness [n]`.

    `of_all [m]` is that of all vectors of these sounds, at the rising `all_rows [m]`; None where each has one.
    """
    # In whole millionths, so that sums are the same on every machine.
    units = np.rint(nearness.astype(np.float64) * _UNITS)
    if of_all is not None:
        _, of_sound = np.unique(rows, return_inverse=True)
        _, first, counts = np.unique(all_rows, return_index=True, return_counts=True)
        of_every = np.rint(of_all.astype(np.float64) * _UNITS)
        means = np.add.reduceat(of_every, first) / counts if len(of_every) else of_every
        units = np.rint(units - MEAN_WEIGHT * (units - means[of_sound]))
    values: npt.NDArray[np.float64] = units / _UNITS
    return values


def _kept(rows: Rows, among: Rows | None) -> Rows:
    return rows if among is None else np.intersect1d(rows, among, assume_unique=True)


def best_of_each(rows: Rows, values: npt.NDArray[np.floating]) -> Rows:
    """The places of the largest value of each row, the largest first; of equal ones those that come first."""
    order = np.lexsort((np.arange(len(rows)), -values))
    _, first = np.unique(rows[order], return_index=True)
    best: Rows = order[np.sort(first)]
    return best
