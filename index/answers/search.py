"""Searching an index: the interface through which all other code uses a library of sounds."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.answers.diversity import BLOCK, diversified
from index.answers.feedback import NO_FEEDBACK, Feedback, rocchio
from index.answers.file_store import FileStore
from index.answers.matches import Matches, matches_of
from index.answers.sound_files import SAMPLE, SoundFile, SoundFiles
from index.answers.store import NO_SHARES, Fit, Query, Ranking, VectorId, VectorStore, check_k
from index.catalogue import Catalogue, Page, SoundRecord
from index.catalogue.cursors import Cursor, RankPlace, mark_of, question_of
from index.catalogue.filters import SoundFilter
from index.generation import CATALOGUE, Generation, IndexSpec, open_generation
from index.nearest.vectors import VectorIndex, Vectors
from index.private import Content, let_go, private_content, private_file
from model.bundle import Bundle
from model.errors import DamagedIndexError, FilterError, LibraryError


class SoundIndex:
    """One generation of an index, open for reading. Safe to use from several threads; close it when done, or
    use it as a context manager.

    Its answers stay those of its generation, also after a newer one was published or its files were damaged or
    removed (`index.private`); open the index again to see the newer one.
    """

    def __init__(self, generation: Generation, root: Path, catalogue: Catalogue, store: VectorStore) -> None:
        self._spec = generation.spec
        self._catalogue = catalogue
        self._store = store
        spread = range(0, len(self), -(-len(self) // SAMPLE))
        self._sounds = SoundFiles(root, catalogue.rows(spread))

    @classmethod
    def open(
        cls,
        folder: str | PathLike[str],
        bundle: Bundle,
        threads: int = 1,
        sounds: str | PathLike[str] | None = None,
        *,
        beside: bool = False,
    ) -> Self:
        """Open the current generation of the index at `folder`, which `bundle` must have made.

        `threads` is the number of threads of one search: a single query over a flat index is fastest with 1.
        `sounds` is the sound folder, if it has moved since it was indexed. `beside`: another index answers
        meanwhile, and files are copied with lower priority. Raises LibraryError as `open_generation`
        does, if a file is damaged or there is no space for a copy of it, and if `sounds` is not a folder.
        """
        generation = open_generation(Path(folder), bundle.id)
        spec = generation.spec
        root = Path(spec.library_root if sounds is None else sounds)
        if sounds is not None and not root.is_dir():
            raise LibraryError(f"{root} is not a folder")
        # At the same time: of a million sounds both take seconds, almost all of it outside of Python.
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(_catalogue, generation, beside)
            try:
                contents = _contents(generation, beside)
                vectors = _vectors(contents, spec, threads)
                catalogue = opening.result()
            except BaseException:
                if opening.exception() is None:
                    opening.result().close()
                raise
            finally:
                del opening  # it would keep its exception, whose frames keep it: copies would stay open
        sizes = {vectors.size, spec.embedding_size, bundle.spec.embedding_size}
        fits = len(vectors) == catalogue.vectors and len(catalogue) == spec.sounds
        if not (fits and len(sizes) == 1):
            catalogue.close()
            raise LibraryError(
                f"{generation.folder} does not fit together: {spec.sounds} sounds, {len(vectors)} vectors of "
                f"{vectors.size} numbers, {len(catalogue)} catalogue rows; run thud index again"
            )
        store = FileStore(catalogue, vectors, list(contents.values()))  # the choice of an engine: there is one
        return cls(generation, root.resolve(), catalogue, store)

    @property
    def id(self) -> str:
        """The generation's id: 16 hex digits that change with any sound, label or embedding."""
        return self._spec.id

    @property
    def root(self) -> Path:
        """The sound folder, which the records' paths are relative to."""
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
        return self._catalogue.sound(sound_id)

    def id_at(self, path: str) -> str | None:
        """The id of the sound that has a file at this path, as `Catalogue.id_at`."""
        return self._catalogue.id_at(path)

    def paths(self) -> set[str]:
        """The paths of all files, copies among them."""
        return self._catalogue.paths()

    def page(self, only: SoundFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """A page of the catalogue, as `Catalogue.page`."""
        return self._catalogue.page(only, cursor, limit)

    def find(
        self,
        text: str,
        only: SoundFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        until: float = math.inf,
    ) -> Page:
        """The sounds that have all words of a text, as `Catalogue.find`."""
        return self._catalogue.find(text, only, cursor, limit, until)

    def materials(self) -> dict[str | None, int]:
        """Sounds per material in the order of the materials' ids; None counts the unlabelled."""
        return self._catalogue.materials()

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


def _contents(generation: Generation, beside: bool) -> dict[str, Content]:
    folder, spec = generation.folder, generation.spec
    return {name: private_content(folder / name, spec.files[name], beside=beside) for name in spec.search.files}


def _vectors(contents: Mapping[str, Content], spec: IndexSpec, threads: int) -> VectorIndex:
    found = VectorIndex.load(contents, spec.search, spec.embedding_size, threads, biased=spec.hubness is not None)
    for content in contents.values():
        let_go(content)  # all of it was read to be checked
    return found


def _catalogue(generation: Generation, beside: bool) -> Catalogue:
    record = generation.spec.files[CATALOGUE]
    with private_file(generation.folder / CATALOGUE, record, beside=beside) as source:
        return Catalogue(source)


def _hit_number(record: SoundRecord) -> int:
    """Which of a sound's hits is its main one."""
    try:
        return record.hits.index(record.hit)
    except ValueError as error:
        raise DamagedIndexError(f"the sound {record.id} has no main hit; run thud index again") from error
