"""Searching an index: the interface through which all other code uses a library of sounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from index.catalogue import Catalogue, Page, SoundRecord
from index.generation import CATALOGUE, VECTORS, Generation, open_generation
from index.private import private_content, private_file
from index.sound_files import SAMPLE, SoundFile, SoundFiles
from index.vectors import FLAT_HEADER_BYTES, Rows, VectorIndex, Vectors
from model.bundle import Bundle
from model.errors import LibraryError
from model.hubness import SCORE_DECIMALS

Fit = Callable[[Rows, Vectors], npt.NDArray[np.float64]]
"""From the materials' ids `[n]` of sounds, -1 for none, and the embeddings `[u, d]` of those, to 0 to 1 `[n]`."""
NO_SHARES: Mapping[str, float] = MappingProxyType({})
_SPARE = 16


@dataclass(frozen=True)
class Match:
    """A sound that was found, with the cosine similarity (-1 to 1) of its embedding to the query.

    `embedding`, float32 `[d]` and L2-normalised, is set for unlabelled sounds alone: their material is predicted
    from it. `object`: of the objects that `search` was asked for, the one with the largest share that the sound
    names. `nearest`: whether it would have been found without any shares.
    """

    record: SoundRecord
    similarity: float
    embedding: Vectors | None = field(default=None, compare=False, repr=False)
    object: str | None = None
    nearest: bool = True

    @property
    def score(self) -> float:
        """Similarity on a scale from 0 to 1, to six decimals."""
        return round((self.similarity + 1.0) / 2.0, 6)


class SoundIndex:
    """One generation of an index, open for reading. Safe to use from several threads; close it when done, or
    use it as a context manager.

    Its answers stay those of its generation, also after a newer one was published or its files were damaged or
    removed (`index.private`); open the index again to see the newer one.
    """

    def __init__(self, generation: Generation, root: Path, catalogue: Catalogue, vectors: VectorIndex) -> None:
        self._spec = generation.spec
        self._catalogue = catalogue
        self._vectors = vectors
        spread = range(0, len(self), -(-len(self) // SAMPLE))
        self._sounds = SoundFiles(root, catalogue.rows(spread))

    @classmethod
    def open(
        cls,
        folder: str | PathLike[str],
        bundle: Bundle,
        threads: int = 1,
        sounds: str | PathLike[str] | None = None,
    ) -> Self:
        """Open the current generation of the index at `folder`, which `bundle` must have made.

        `threads` is the number of threads of one search: a single query over a flat index is fastest with 1.
        `sounds` is the sound folder, if it has moved since it was indexed. Raises LibraryError as `open_generation`
        does, if a file is damaged or there is no space for a copy of it, and if `sounds` is not a folder.
        """
        generation = open_generation(Path(folder), bundle.id)
        spec = generation.spec
        root = Path(spec.library_root if sounds is None else sounds)
        if sounds is not None and not root.is_dir():
            raise LibraryError(f"{root} is not a folder")
        content = private_content(generation.folder / VECTORS, spec.files[VECTORS], FLAT_HEADER_BYTES)
        vectors = VectorIndex.load(content, threads, biased=spec.hubness is not None)
        with private_file(generation.folder / CATALOGUE, spec.files[CATALOGUE]) as source:
            catalogue = Catalogue(source)
        sizes = {vectors.size, spec.embedding_size, bundle.spec.embedding_size}
        if not (len(vectors) == len(catalogue) == spec.sounds and len(sizes) == 1):
            catalogue.close()
            raise LibraryError(
                f"{generation.folder} does not fit together: {spec.sounds} sounds, {len(vectors)} vectors of "
                f"{vectors.size} numbers, {len(catalogue)} catalogue rows; run thud index again"
            )
        return cls(generation, root.resolve(), catalogue, vectors)

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
        self, embedding: Vectors, k: int, shares: Mapping[str, float] = NO_SHARES, fit: Fit | None = None
    ) -> list[Match]:
        """The `k` sounds nearest to an L2-normalised float32 `[d]` embedding, best first; at most all.

        The nearest has the largest cosine, in an index with `hubness` the largest cosine minus the sound's hub
        bias. Similarities are cosines in both cases, so that with `hubness` they need not fall from match to match.
        Sounds that are equally near come in the order of the catalogue.

        `shares`: by an object's name, what is added to the score, (cosine - bias + 1) / 2, of each sound that names
        it, at least 0; of several objects that a sound names, the largest counts. `fit`: how much of its share a
        sound gets, 0 to 1, by its material or embedding; without it, all. The result is the same as if all sounds
        of the index were scored.

        Raises ValueError for k below 1 and for an embedding of another size or with values that are not finite.
        """
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        if any(share > 0 and self._catalogue.naming(name).size for name, share in shares.items()):
            return self._search_named(embedding, k, shares, fit)
        similarities, rows = self._vectors.search(embedding, k)
        return self._matches(similarities, rows)

    def sound(self, sound_id: str) -> SoundRecord | None:
        """The sound with this id, or None."""
        return self._catalogue.sound(sound_id)

    def page(self, material: str | None = None, after: str | None = None, limit: int = 50) -> Page:
        """A page of the catalogue, as `Catalogue.page`."""
        return self._catalogue.page(material, after, limit)

    def materials(self) -> dict[str | None, int]:
        """Sounds per material in the order of the materials' ids; None counts the unlabelled."""
        return self._catalogue.materials()

    def audio(self, record: SoundRecord) -> SoundFile:
        """The sound's file, as `SoundFiles.open`."""
        return self._sounds.open(record)

    def check_sounds(self) -> None:
        """Raise SoundsAwayError where the sound folder cannot be reached, as `SoundFiles.check`."""
        self._sounds.check()

    def close(self) -> None:
        """Close the catalogue."""
        self._catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _search_named(
        self, embedding: Vectors, k: int, shares: Mapping[str, float], fit: Fit | None
    ) -> list[Match]:
        # Shares only lift, and never a sound that names nothing: of those, the first k by vector are enough. Some
        # more, because FAISS's float32 can order equals otherwise than `score`.
        _, near = self._vectors.search(embedding, k + _SPARE)
        # The largest share last, so that it counts where a sound names several objects.
        naming = [(name, share, self._catalogue.naming(name)) for name, share in _rising(shares)]
        rows = np.unique(np.concatenate([near, *(named for _, _, (named, _) in naming)]))
        gain, named_by, materials = np.zeros(len(rows)), np.full(len(rows), -1), np.full(len(rows), -1)
        for number, (_, share, (named, of)) in enumerate(naming):
            places = np.searchsorted(rows, named)
            gain[places], named_by[places], materials[places] = share, number, of
        if fit is not None:
            named = np.flatnonzero(named_by >= 0)
            unlabelled = self._vectors.vectors(rows[named[materials[named] < 0]])
            gain[named] *= fit(materials[named], unlabelled)
        nearness, cosines = self._vectors.score(embedding, rows)
        # By twice the score, so that rounding makes no more sounds equal than it does without shares.
        ranked = np.round(nearness.astype(np.float64) + 2.0 * gain, SCORE_DECIMALS)
        best = np.lexsort((rows, -ranked))[:k]
        nearest = set(np.lexsort((rows, -nearness))[:k].tolist())
        return [
            replace(match, object=naming[number][0] if number >= 0 else None, nearest=place in nearest)
            for match, place, number in zip(
                self._matches(cosines[best], rows[best]), best.tolist(), named_by[best].tolist(), strict=True
            )
        ]

    def _matches(self, similarities: Vectors, rows: Rows) -> list[Match]:
        records = self._catalogue.rows(rows.tolist())
        unlabelled = [record.row for record in records if record.material is None]
        vectors = self._vectors.vectors(np.array(unlabelled, np.int64))
        embeddings = dict(zip(unlabelled, vectors, strict=True))
        return [
            # float32 has no short decimal, and rounding can leave a cosine a hair outside -1 to 1.
            Match(record, min(1.0, max(-1.0, round(similarity, 6))), embeddings.get(record.row))
            for record, similarity in zip(records, similarities.tolist(), strict=True)
        ]


def _rising(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """The shares above 0, smallest first."""
    return sorted(((name, share) for name, share in shares.items() if share > 0), key=lambda one: one[1])
