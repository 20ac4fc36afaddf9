"""The records of a library's sounds, one for each content, made anew when they are gone through.

So none of them is kept: of a sound, a run holds in memory only its path, what the manifest says of it and its id.
To make them is most of what publishing costs: a run goes through them once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

import model
from index.building.cache import IndexCache
from index.building.content import KnownContent
from index.building.embed import Ids
from index.catalogue import SoundRecord
from index.library.facts import Facts, facts_of
from index.library.finding import LabelFrom, LibrarySound, Skipped
from index.nearest.vectors import Vectors
from model.objects import objects_named
from model.sound_format.formats import FORMATS

_AT_ONCE = 256
_TRUST = (*get_args(LabelFrom), None)
_values = attrgetter(*(one.name for one in fields(SoundRecord)))


class Records:
    """The records of `sounds`, whose contents have the `ids [n]` (empty: not in the index) in `cache`.

    Of files with the same content the labelled one has the record, the one whose label is from the manifest before
    others; then a regular file before a link; then the first by path. The others are its copies. Rows are in the
    order of paths.
    """

    def __init__(self, sounds: Sequence[LibrarySound], ids: Ids, cache: IndexCache) -> None:
        self._sounds, self._ids, self._cache = sounds, ids, cache
        self._chosen, self._copies = self._choose()

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[tuple[SoundRecord, Vectors]]:
        """Each record with the embeddings `[h, d]` of its hits."""
        for start in range(0, len(self), _AT_ONCE):
            places = self._chosen[start : start + _AT_ONCE]
            ids = [one.decode() for one in self._ids[places].tolist()]
            contents = self._cache.contents(ids)
            for place, identity in zip(places.tolist(), ids, strict=True):
                known = contents[identity]
                yield self._record(place, identity, known), known.embeddings

    def sounds(self) -> Iterator[LibrarySound]:
        """The sounds of the records."""
        return (self._sounds[place] for place in self._chosen.tolist())

    def ids(self) -> Iterator[str]:
        """The contents' ids, in the order of the records."""
        return (one.decode() for one in self._ids[self._chosen].tolist())

    def fingerprint(self, what: str) -> str:
        """A hash of all that the records are made of, `what` and the code that makes them.

        With the same fingerprint, `Survey` finds the same id; this takes a tenth of the time.
        """
        digest = hashlib.sha256(f"{what} {_code()}".encode())
        for sound, identity in zip(self._sounds, self._ids.tolist(), strict=True):
            digest.update(repr((sound, identity)).encode())
        return digest.hexdigest()

    def duplicates(self) -> list[Skipped]:
        """The files that are copies of others, by path; the reason names the file that has the record."""
        found = [
            Skipped(self._sounds[copy].path, f"has the same content as {self._sounds[place].path}")
            for place, copies in self._copies.items()
            for copy in copies
        ]
        return sorted(found, key=lambda one: one.path)

    def _choose(self) -> tuple[npt.NDArray[np.int64], dict[int, list[int]]]:
        """The places of the sounds that have a record, and of each that has copies those."""
        used = np.flatnonzero(self._ids != b"")
        order = used[np.argsort(self._ids[used], kind="stable")]
        new = np.ones(len(order) + 1, np.bool_)
        new[1:-1] = self._ids[order][1:] != self._ids[order][:-1]
        several = ~(new[:-1] & new[1:])
        copies = {}
        left_out = []
        for group in np.split(order[several], np.flatnonzero(new[:-1][several]))[1:]:
            best, *others = sorted(group.tolist(), key=self._rank)
            copies[best] = sorted(others)
            left_out += others
        return np.setdiff1d(used, left_out).astype(np.int64), copies

    def _rank(self, place: int) -> tuple[int, bool, int]:
        facts = self._facts(place)
        return _TRUST.index(facts.label_from), self._sounds[place].link, place

    def _facts(self, place: int) -> Facts:
        identity = self._ids[place].decode()
        return facts_of(self._sounds[place], self._cache.contents([identity])[identity].tags)

    def _record(self, place: int, identity: str, known: KnownContent) -> SoundRecord:
        sound = self._sounds[place]
        facts = facts_of(sound, known.tags)
        return SoundRecord(
            id=identity,
            path=sound.path,
            copies=tuple(self._sounds[copy].path for copy in self._copies.get(place, ())),
            **vars(facts),
            **known.decoded,
            bytes=known.bytes,
            media_type=FORMATS[known.decoded["format"]].media_type,
            objects=objects_named(sound.path, sound.columns.get("object", ""), facts.title, "; ".join(facts.tags)),
        )


def code_files() -> list[Path]:
    """The files of the rooms `index` and `model` that are code or tables of words."""
    rooms = (Path(__file__).parents[1], Path(model.__file__).parent)
    return sorted(file for room in rooms for file in room.rglob("*") if file.suffix in (".py", ".toml"))


@cache
def _code() -> str:
    """A hash of the code and of the tables of words, from which records are made too."""
    digest = hashlib.sha256()
    for file in code_files():
        digest.update(file.read_bytes())
    return digest.hexdigest()


class Survey:
    """What a generation is, from its records, which are taken in as they pass.

    `what` stands for all else that decides an answer: format, bundle and options. `materials` and `labels` count
    materials and where labels were read; `unplayable`: how many of the files browsers do not play, and the path of
    one of them.
    """

    def __init__(self, what: str) -> None:
        self._digest = hashlib.sha256(what.encode())
        self.vectors = 0
        self.materials: Counter[str | None] = Counter()
        self.labels: Counter[str | None] = Counter()
        self.unplayable = (0, "")

    @property
    def id(self) -> str:
        """The generation's id, 16 hex digits: a hash of `what` and the records.

        A record names its content, and the content and the bundle decide the embeddings, so that no vector is
        needed for it.
        """
        return self._digest.hexdigest()[:16]

    def take(self, record: SoundRecord) -> None:
        """Take in the next record."""
        self._digest.update(json.dumps(_values(record)).encode() + b"\n")
        self.vectors += len(record.hits)
        self.materials[record.material] += 1
        self.labels[record.label_from] += 1
        if not record.playable:
            self.unplayable = (self.unplayable[0] + 1, record.path)
