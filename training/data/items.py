"""What a source of data gives to `prepare`: items of at most one picture and its clips, or a reason to skip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.bundle import ClipSpec, PictureSpec
from model.errors import TrainingError
from model.materials import MATERIALS

Stamp = tuple[int, int]
"""What changes when a file does."""


@dataclass(frozen=True)
class PictureItem:
    """A picture `pixels` uint8 [size, size, 3] with the ids of every material known to be in it."""

    id: str
    pixels: npt.NDArray[np.uint8]
    materials: tuple[int, ...]


@dataclass(frozen=True)
class ClipItem:
    """A clip `samples` float32 [samples] with its material id and action ("hit", "scratch" or "")."""

    id: str
    samples: npt.NDArray[np.float32]
    material: int
    action: str


@dataclass(frozen=True)
class Item:
    """A picture with its own clips (paired), or a picture or clips alone (unpaired).

    `group` names what must stay in one split (a recording, an object); `split` is "train", "val", "test", or
    "" where it is still to be drawn. `skipped` gives the reason for each part that could not be used.
    """

    id: str
    group: str
    source: str
    split: str
    picture: PictureItem | None = None
    clips: tuple[ClipItem, ...] = ()
    skipped: tuple[str, ...] = field(default=())


class SourceAwayError(TrainingError):
    """Where the files of a source lie cannot be reached, which is not the fault of one of them."""


class Source(Protocol):
    """A source of items: the work to do, and how one piece of it is read (in a worker process)."""

    @property
    def description(self) -> dict[str, Any]:
        """Where the data comes from, for the dataset's provenance."""

    @property
    def tasks(self) -> Sequence[Any]:
        """One picklable description a piece of work, in a fixed order."""

    @property
    def read(self) -> Callable[[Any, PictureSpec, ClipSpec], Item]:
        """A module-level function that reads one task.

        It raises ThudError where nothing of it is usable, and SourceAwayError, which ends the preparation.
        """


def stamps(*files: Path) -> tuple[Stamp, ...]:
    """Size and time of change of each file, zeros where it is missing.

    As part of a task they show an interrupted preparation that its files have changed since.
    """
    found = []
    for file in files:
        try:
            status = file.stat()
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def material_vector(materials: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Ids of materials as bool [17]."""
    vector = np.zeros(len(MATERIALS), bool)
    vector[list(materials)] = True
    return vector
