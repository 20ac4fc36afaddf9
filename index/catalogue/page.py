"""A page of the sounds that are asked for."""

from dataclasses import dataclass

from index.catalogue.record import SoundRecord


@dataclass(frozen=True)
class Page:
    """A page of the catalogue: its `sounds`, the `total` that match, and the cursor of the `next` page (None on
    the last)."""

    sounds: list[SoundRecord]
    total: int
    next: str | None
