"""Searching an index: the interface through which all other code uses a library of sounds."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.address import MilvusAddress, SoundsAt, index_at, sounds_at
from index.answers.diversity import BLOCK, diversified
from index.answers.feedback import NO_FEEDBACK, Feedback, rocchio
from index.answers.file_store import open_files
from index.answers.matches import Matches, matches_of
from index.answers.sound_files import SAMPLE, SoundFile, SoundFiles, sound_files
from index.answers.store import NO_SHARES, Fit, Query, Ranking, VectorId, VectorStore, check_k
from index.catalogue import Page, Records, SoundRecord
from index.catalogue.cursors import Cursor, RankPlace, mark_of, question_of
from index.catalogue.filters import SoundFilter
from index.generation import IndexSpec
from index.nearest.vectors import Vectors
from model.addresses import BucketAddress
from model.bundle import Bundle
from model.errors import DamagedIndexError, FilterError, LibraryError


class SoundIndex:
    """One generation of an index, open for reading. Safe to use from several threads; close it when done, or
    use it as a context manager.

    Its answers stay those of its generation, also after a newer one was published or its files were damaged or
    removed (`index.private`); open the index again to see the newer one.
    """

    def __init__(self, spec: IndexSpec, sounds: SoundsAt, records: Records, store: VectorStore) -> None:
        self._spec = spec
        self._records = records
        self._store = store
        self._sounds = sound_files(sounds, records.sample(SAMPLE))

    @classmethod
    def open(
        cls,
        index: str | PathLike[str] | MilvusAddress,
        bundle: Bundle,
        threads: int = 1,
        sounds: str | PathLike[str] | BucketAddress | None = None,
        *,
        beside: bool = False,
    ) -> Self:
        """Open the current generation of an `index`, a folder or an address, which `bundle` must have made.

        `threads` is the number of threads of one search: a single query over a flat index is fastest with 1.
        `sounds` is where the sounds are, if they have moved since they were indexed. `beside`: another index
        answers meanwhile, and files are copied with lower priority. Raises LibraryError as `open_generation` and
        `open_current` do, if a file is damaged or there is no space for a copy of it, and if `sounds` is not a
        folder.
        """
        at = index_at(index)
        given = None if sounds is None else sounds_at(sounds)
        if isinstance(given, Path) and not given.is_dir():
            raise LibraryError(f"{given} is not a folder")
        # The choice of an engine.
        if isinstance(at, MilvusAddress):
            from index.answers.milvus_store import MilvusStore

            store = MilvusStore.open(at, bundle.id)
            spec, records = store.published.spec, store.records
            return cls._closing(store, spec, given or sounds_at(spec.library_root), records)
        opened = open_files(at, bundle, threads, beside=beside)
        root = given or sounds_at(opened.spec.library_root)
        return cls._closing(opened.store, opened.spec, root, opened.catalogue)

    @classmethod
    def _closing(cls, store: VectorStore, spec: IndexSpec, sounds: SoundsAt, records: Records) -> Self:
        """The index; where it cannot be made, the store is closed."""
        try:
            return cls(spec, sounds.resolve() if isinstance(sounds, Path) else sounds, records, store)
        except BaseException:
            store.close()
            raise

    @property
    def id(self) -> str:
        """The generation's id: 16 hex digits that change with any sound, label or embedding."""
        return self._spec.id

    @property
    def root(self) -> SoundsAt:
        """The folder of sounds, or its address, which the records' paths are relative to."""
        return self._sounds.root

    def __len__(self) -> int:
        return self._spec.sounds

    def search(
        self,
        embedding: Vectors,
        k: int,
        shares: Mapping[str, float] = NO_SHARES,
        fit: Fit | None = None,
        *,
        only: SoundFilter | None = None,
        diversity: float | None = None,
        cursor: str | None = None,
        feedback: Feedback = NO_FEEDBACK,
        asked: Sequence[object] = (),
    ) -> Matches:
        """The `k` sounds nearest to an L2-normalised float32 `[d]` embedding, best first; at most all.

        The nearest has the largest cosine, in an index with `hubness` the largest cosine minus the sound's hub
        bias. Similarities are cosines in both cases, so that with `hubness` they need not fall from match to match.
        Sounds that are equally near come in the order of the catalogue. A sound with several hits is nearly as near
        as the nearest of them (`MEAN_WEIGHT`). `shares` and `fit` lift sounds that name an
        object: see `Query`. The result is the same as if all sounds of the index were scored.

        `only` leaves out all sounds that do not meet it; the others are searched as if they were the whole library.
        `diversity`, 0 to 1, puts the best sounds into another order, so that they differ more: see
        `diversified`. `cursor` is the `next` of an answer to the same question, which goes on from there.
        `feedback` moves the embedding and leaves sounds out: see `Feedback`. `asked` says what embedding and shares
        were made of, the same on every machine: they are not themselves compared with those of the cursor, because
        their last bits differ from machine to machine.

        Raises ValueError for k below 1, for a diversity that is not from 0 to 1 and for an embedding of another
        size or with values that are not finite, and FilterError for a cursor that is none or of another question
        and for feedback on a sound that there is not. With a cursor such a sound is passed over: it was there when
        the question was first asked, and an index taken over since has it no longer.
        """
        query = Query(self._moved(embedding, feedback, going_on=cursor is not None), shares, fit)
        asked_with = (tuple(asked), only or None, diversity or 0, feedback or None)
        question = question_of("search", self._spec.bundle_id, *asked_with)
        return self._page(query, question, k, only, diversity, cursor, feedback.less)

    def similar(
        self,
        sound_id: str,
        k: int,
        *,
        only: SoundFilter | None = None,
        diversity: float | None = None,
        cursor: str | None = None,
        feedback: Feedback = NO_FEEDBACK,
    ) -> Matches:
        """The `k` sounds nearest to the sound with this id, which is not among them; the rest as in `search`.

        Of a sound with several hits it is its main hit that the others are compared with. Raises FilterError also
        where there is no such sound.
        """
        record = self.sound(sound_id)
        if record is None:
            raise FilterError(f"there is no sound {sound_id!r} in this index", "sound_id")
        embedding = self._store.vectors([VectorId(sound_id, _hit_number(record))])[0]
        query = Query(self._moved(embedding, feedback, going_on=cursor is not None))
        asked_with = (sound_id, only or None, diversity or 0, feedback or None)
        question = question_of("similar", self._spec.bundle_id, *asked_with)
        return self._page(query, question, k, only, diversity, cursor, (sound_id, *feedback.less))

    def sound(self, sound_id: str) -> SoundRecord | None:
        """The sound with this id, or None."""
        return self._records.sound(sound_id)

    def id_at(self, path: str) -> str | None:
        """The id of the sound that has a file at this path, as `Records.id_at`."""
        return self._records.id_at(path)

    def paths(self) -> set[str]:
        """The paths of all files, copies among them."""
        return self._records.paths()

    def page(self, only: SoundFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """A page of the catalogue, as `Records.page`."""
        return self._records.page(only, cursor, limit)

    def find(
        self,
        text: str,
        only: SoundFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        until: float = math.inf,
    ) -> Page:
        """The sounds that have all words of a text, as `Records.find`."""
        return self._records.find(text, only, cursor, limit, until)

    def materials(self) -> dict[str | None, int]:
        """Sounds per material in the order of the materials' ids; None counts the unlabelled."""
        return self._records.materials()

    @property
    def files(self) -> SoundFiles:
        """The files of the sounds, which can be opened also after the index was closed."""
        return self._sounds

    def audio(self, record: SoundRecord) -> SoundFile:
        """The sound's file, as `SoundFiles.open`."""
        return self._sounds.open(record)

    def check_sounds(self) -> None:
        """Raise SoundsAwayError where the sound folder cannot be reached, as `SoundFiles.check`."""
        self._sounds.check()

    def health(self) -> None:
        """Raise LibraryError where no search can be answered now, as `VectorStore.health`."""
        self._store.health()

    def close(self) -> None:
        """Close the store of the vectors, and with it the catalogue, which is the store's."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _moved(self, embedding: Vectors, feedback: Feedback, *, going_on: bool) -> Vectors:
        """The embedding after the feedback. Raises FilterError for a sound that there is not, unless `going_on`."""
        if not feedback:
            return embedding
        more, less = (
            self._heard(embedding, ids, None if going_on else name)
            for ids, name in ((feedback.more, "more"), (feedback.less, "less"))
        )
        return rocchio(embedding, more, less)

    def _heard(self, embedding: Vectors, ids: Sequence[str], name: str | None) -> Vectors:
        """The vectors `[n, d]` of sounds: of each that of the hit which is nearest to the embedding.

        Raises FilterError where there is no such sound, about the parameter `name`; without one it is left out.
        """
        heard = [np.zeros((0, len(embedding)), np.float32)]
        for sound_id in ids:
            record = self.sound(sound_id)
            if record is None and name is not None:
                raise FilterError(f"there is no sound {sound_id!r} in this index", name)
            if record is None:
                continue
            vectors = self._store.vectors([VectorId(sound_id, hit) for hit in range(len(record.hits))])
            heard.append(vectors[np.argmax(np.einsum("hd,d->h", vectors, embedding))][None])
        return np.concatenate(heard)

    def _page(
        self,
        query: Query,
        question: str,
        k: int,
        only: SoundFilter | None,
        diversity: float | None,
        cursor: str | None,
        without: Sequence[str],
    ) -> Matches:
        check_k(k)
        strength = diversity or 0.0
        if not 0 <= strength <= 1:
            raise ValueError(f"diversity is {diversity}; it must be from 0 to 1")
        going_on = Cursor(question) if cursor is None else Cursor.read(cursor, question)
        matches = Matches(before=going_on.before)
        while True:
            place, left = going_on.place, k - len(matches)
            after = None if place == RankPlace() else place
            block = self._store.search(query, BLOCK if strength else left, only, after, without)
            before = _places_of(going_on, block)
            order = _diversified(block, strength, left, before)
            found = matches_of(block, order, query, place.passed + len(before) + left)
            matches += found
            given = going_on.given + "".join(mark_of(one.record.id) for one in found)
            going_on = Cursor(question, place, given)
            if len(before) + len(found) == len(block):
                if not block.more:
                    return matches
                (last,) = block.records([len(block) - 1])
                passed = place.passed + len(block)
                going_on = Cursor(question, RankPlace.after(passed, float(block.values[-1]), last.path, last.id))
            if len(matches) == k:
                matches.next = str(going_on)
                return matches


def _places_of(going_on: Cursor, block: Ranking) -> list[int]:
    """The places in a block of the sounds that were given already; those that are gone have none."""
    if not going_on.given:
        return []
    number = {mark_of(one): at for at, one in enumerate(block.ids(range(len(block))))}
    return list(dict.fromkeys(number[mark] for mark in going_on.marks() if mark in number))


def _diversified(block: Ranking, diversity: float, most: int, before: list[int]) -> list[int]:
    if not diversity:
        return list(range(len(block)))
    vectors = block.vectors(range(len(block)))
    found = diversified(block.values, vectors, block.materials, block.recordings, diversity, most, before)
    order: list[int] = found.tolist()
    return order


def _hit_number(record: SoundRecord) -> int:
    """Which of a sound's hits is its main one."""
    try:
        return record.hits.index(record.hit)
    except ValueError as error:
        raise DamagedIndexError(f"the sound {record.id} has no main hit; run thud index again") from error
