"""Which rows of a catalogue meet a filter, from the columns and postings that are stored beside the sounds."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from index.catalogue.filters import WORDS, SoundFilter, folded, folder_of
from index.catalogue.writer import COLUMNS_KEPT
from index.private import put_aside
from model.errors import DamagedIndexError
from model.materials import MATERIALS

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Fetch = Callable[..., list[tuple[Any, ...]]]
"""Runs a query with its parameters on the catalogue's connection."""

_KEPT_ANSWERS = 8
_LARGEST_KEPT = 250_000  # rows; 2 MB


class Facets:
    """Answers filters over `sounds` rows. Safe to use from several threads.

    It keeps 9 bytes a sound, from the first filter by number on 17, put aside where they are many, and the rows of
    the last few filters.
    """

    def __init__(self, fetch: Fetch, sounds: int) -> None:
        self._fetch = fetch
        self._sounds = sounds
        self._lock = threading.Lock()
        self._answers: OrderedDict[SoundFilter, Rows] = OrderedDict()
        self.first: npt.NDArray[np.int32] = self._column("first")
        """The vector row of each sound's first vector."""
        self.material: npt.NDArray[np.int8] = self._column("material")
        """The id of each sound's material, -1 for none."""
        rising = bool((np.diff(self.first) > 0).all()) and (not sounds or self.first[0] == 0)
        if not rising or not ((self.material >= -1) & (self.material < len(MATERIALS))).all():
            raise _damaged("columns")

    def rows_of(self, only: SoundFilter) -> Rows:
        """The rows that meet a filter, rising. The array is shared: do not write to it."""
        with self._lock:
            if (known := self._answers.get(only)) is not None:
                self._answers.move_to_end(only)
                return known
        rows = np.flatnonzero(self._mask(only))
        rows.flags.writeable = False
        if len(rows) <= _LARGEST_KEPT:
            with self._lock:
                self._answers[only] = rows
                if len(self._answers) > _KEPT_ANSWERS:
                    self._answers.popitem(last=False)
        return rows

    def posted(self, facet: str, value: str) -> npt.NDArray[np.int32]:
        """The rows that have this value of a facet, rising. Raises DamagedIndexError where they are none."""
        found = self._fetch("SELECT sounds FROM postings WHERE facet = ? AND value = ?", facet, value)
        return self._checked(found[0][0]) if found else np.zeros(0, np.int32)

    @cached_property
    def recording(self) -> npt.NDArray[np.int32]:
        """What tells each sound's recording from others."""
        return self._column("recording")  # type: ignore[no-any-return]

    @cached_property
    def _measured(self) -> dict[str, npt.NDArray[np.float32]]:
        return {"duration": self._column("seconds"), "loudness": self._column("loudness")}

    def _mask(self, only: SoundFilter) -> Mask:
        mask = np.ones(self._sounds, np.bool_)
        if only.material:
            wanted = np.zeros(256, np.bool_)
            wanted[list(only.material_ids)] = True  # -1 is the last
            mask &= wanted[self.material.view(np.uint8)]
        for field in WORDS:
            if values := only.words(field):
                mask &= self._any_of([self.posted(field, value) for value in values])
        if only.folder:
            mask &= self._any_of([rows for name in only.folder for rows in self._in_folder(name)])
        for field in ("duration", "loudness"):
            least, most = only.bounds(field)
            if (least, most) != (-np.inf, np.inf):
                measured = self._measured[field]
                with np.errstate(over="ignore"):
                    mask &= (measured >= np.float32(least)) & (measured <= np.float32(most))
        return mask

    def _any_of(self, parts: "list[npt.NDArray[np.int32] | slice]") -> Mask:
        mask = np.zeros(self._sounds, np.bool_)
        for part in parts:
            mask[part] = True
        return mask

    def _in_folder(self, name: str) -> "list[npt.NDArray[np.int32] | slice]":
        """The rows in the folder that is written like this, or else in those that only case and accents tell."""
        folder = folder_of(name)
        if not folder:
            return [slice(0, self._sounds)]
        query = "SELECT first, past, copies FROM folders WHERE {} = ?"
        found = self._fetch(query.format("folder"), folder) or self._fetch(query.format("folded"), folded(folder))
        parts: list[npt.NDArray[np.int32] | slice] = []
        for first, past, copies in found:
            if not (isinstance(first, int) and isinstance(past, int) and 0 <= first <= past <= self._sounds):
                raise _damaged("folders")
            parts += [slice(first, past), self._checked(copies)]
        return parts

    def _checked(self, packed: object) -> npt.NDArray[np.int32]:
        if isinstance(packed, bytes) and len(packed) % 4 == 0:
            rows = np.frombuffer(packed, "<i4")
            if not len(rows) or (rows[0] >= 0 and rows[-1] < self._sounds and bool((np.diff(rows) > 0).all())):
                return rows
        raise _damaged("lists of rows")

    def _column(self, name: str) -> Any:
        found = self._fetch("SELECT packed FROM numbers WHERE name = ?", name)
        kind = np.dtype(COLUMNS_KEPT[name])
        if not found or not isinstance(found[0][0], bytes) or len(found[0][0]) != kind.itemsize * self._sounds:
            raise _damaged("columns")
        return put_aside(np.frombuffer(found[0][0], kind))


def _damaged(what: str) -> DamagedIndexError:
    return DamagedIndexError(f"the {what} of the catalogue are not what Thud writes; run thud index again")
