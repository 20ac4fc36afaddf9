"""What a search finds: a sound, the hit that matched, and why it is there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from index.answers.store import Query, Ranking
from index.catalogue import SoundRecord
from index.nearest.vectors import Vectors
from model.errors import DamagedIndexError
from model.hits import play_span


@dataclass(frozen=True)
class Match:
    """A sound that was found, with the cosine similarity (-1 to 1) of its embedding to the query.

    Of a sound with several hits it is the one that matched best: `hit` is its second, `span` from when to when, in
    seconds, it is to be heard: until the next hit or the end. `embedding`, float32 `[d]` and L2-normalised, is set
    for unlabelled sounds alone: their material is predicted from it. `object`: of the objects that `search` was
    asked for, the one with the largest share that the sound names. `nearest`: whether it would have been found
    without that share.
    """

    record: SoundRecord
    similarity: float
    hit: float
    span: tuple[float, float]
    embedding: Vectors | None = field(default=None, compare=False, repr=False)
    object: str | None = None
    nearest: bool = True

    @property
    def score(self) -> float:
        """Similarity on a scale from 0 to 1, to six decimals."""
        return round((self.similarity + 1.0) / 2.0, 6)


class Matches(list[Match]):
    """Matches, best first; how many were given `before` them; the cursor for those after them, None where there
    are none."""

    def __init__(self, matches: Iterable[Match] = (), following: str | None = None, before: int = 0) -> None:
        super().__init__(matches)
        self.next = following
        self.before = before


def matches_of(found: Ranking, at: Sequence[int], query: Query, first: int) -> list[Match]:
    """The matches of the sounds at some places of a ranking; those among the first `first` without shares are
    `nearest`."""
    records = found.records(at)
    unlabelled = [place for place, record in zip(at, records, strict=True) if record.material is None]
    embeddings = dict(zip(unlabelled, found.vectors(unlabelled), strict=True))
    names = [name for name, _ in query.named()]
    return [
        Match(
            record,
            # float32 has no short decimal, and rounding can leave a cosine a hair outside -1 to 1.
            min(1.0, max(-1.0, round(float(found.similarities[place]), 6))),
            *_heard(record, int(found.hits[place])),
            embedding=embeddings.get(place),
            object=names[found.named[place]] if found.named[place] >= 0 else None,
            nearest=bool(found.named[place] < 0 or found.places[place] < first),
        )
        for place, record in zip(at, records, strict=True)
    ]


def _heard(record: SoundRecord, number: int) -> tuple[float, tuple[float, float]]:
    """The second of one of a sound's hits, and from when to when to play it."""
    if number >= min(len(record.hits), len(record.ends)):
        raise DamagedIndexError(f"the sound {record.id} has no hit {number}; run thud index again")
    hit = record.hits[number]
    return hit, play_span(hit, record.ends[number])
