"""What is known of the sounds of an index, whichever engine holds it."""

import math
from collections.abc import Iterator
from typing import Protocol

from index.catalogue.filters import SoundFilter
from index.catalogue.page import Page
from index.catalogue.record import SoundRecord


class Records(Protocol):
    """The records of one generation. Safe to use from several threads.

    Every method raises LibraryError where the engine cannot answer now or has what Thud does not write
    (DamagedIndexError).
    """

    def __len__(self) -> int:
        """How many sounds there are."""
        ...

    def __iter__(self) -> Iterator[SoundRecord]:
        """All records, in the order of their paths."""
        ...

    def sample(self, most: int) -> list[SoundRecord]:
        """At most so many records, spread over all of them."""
        ...

    def sound(self, sound_id: str) -> SoundRecord | None:
        """The sound with this id, or None."""
        ...

    def id_at(self, path: str) -> str | None:
        """The id of the sound that has a file at this path, copies among them; None where there is none."""
        ...

    def paths(self) -> set[str]:
        """The paths of all files, copies among them."""
        ...

    def materials(self) -> dict[str | None, int]:
        """Sounds per material, in the order of the materials' ids; None counts the unlabelled, last."""
        ...

    def page(self, only: SoundFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """Up to `limit` (at least 1) sounds that meet a filter, in the order of their paths.

        `cursor` is the `next` of the page before. Raises FilterError for a cursor that is none.
        """
        ...

    def find(
        self,
        text: str,
        only: SoundFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        until: float = math.inf,
    ) -> Page:
        """Up to `limit` (at least 1) sounds that have every word of `text` and meet a filter, best first.

        Words are looked for, from their beginning, in titles, tags, paths, materials and descriptions, without
        regard to case and accents. Raises FilterError as `page`, and for more than 32 words, and TimeoutError where
        it takes longer than `until`, in seconds of `time.monotonic`.
        """
        ...
