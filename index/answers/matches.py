"""What a search finds: a sound, the hit that matched, and why it is there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from index.answers.ranking import Query, Ranked
from index.catalogue import Catalogue, SoundRecord
from index.nearest.vectors import VectorIndex, Vectors
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


def matches_of(found: Ranked, query: Query, first: int, catalogue: Catalogue, vectors: VectorIndex) -> list[Match]:
    """The matches of the sounds that were found; those among the first `first` without shares are `nearest`."""
    records = catalogue.rows(found.rows.tolist())
    unlabelled = [place for place, record in enumerate(records) if record.material is None]
    embeddings = dict(zip(unlabelled, vectors.vectors(found.vectors[unlabelled]), strict=True))
    names = [name for name, _ in query.named()]
    return [
        # float32 has no short decimal, and rounding can leave a cosine a hair outside -1 to 1.
        Match(
            record,
            min(1.0, max(-1.0, round(similarity, 6))),
            *_heard(record, hit),
            embedding=embeddings.get(place),
            object=names[number] if number >= 0 else None,
            nearest=number < 0 or plain < first,
        )
        for place, (record, similarity, hit, number, plain) in enumerate(
            zip(
                records,
                found.cosines.tolist(),
                found.hits.tolist(),
                found.named.tolist(),
                found.places.tolist(),
                strict=True,
            )
        )
    ]


def _heard(record: SoundRecord, number: int) -> tuple[float, tuple[float, float]]:
    """The second of one of a sound's hits, and from when to when to play it."""
    if number >= min(len(record.hits), len(record.ends)):
        raise DamagedIndexError(f"the sound {record.id} has no hit {number}; run thud index again")
    hit = record.hits[number]
    return hit, play_span(hit, record.ends[number])
