"""Searching an index: the interface through which all other code uses a library of sounds."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.catalogue import Catalogue, Page, SoundRecord
from index.generation import CATALOGUE, VECTORS, Generation, open_generation
from index.private import private_content, private_file
from index.sound_files import SAMPLE, SoundFile, SoundFiles
from index.vectors import FLAT_HEADER_BYTES, VectorIndex, Vectors
from model.bundle import Bundle
from model.errors import LibraryError


@dataclass(frozen=True)
class Match:
    """A sound that was found, with the cosine similarity (-1 to 1) of its embedding to the query.

    `embedding`, float32 `[d]` and L2-normalised, is set for unlabelled sounds alone: their material is predicted
    from it.
    """

    record: SoundRecord
    similarity: float
    embedding: Vectors | None = field(default=None, compare=False, repr=False)

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

    def search(self, embedding: Vectors, k: int) -> list[Match]:
        """The `k` sounds nearest to an L2-normalised float32 `[d]` embedding, best first; at most all.

        The nearest has the largest cosine, in an index with `hubness` the largest cosine minus the sound's hub
        bias. Similarities are cosines in both cases, so that with `hubness` they need not fall from match to match.
        Sounds that are equally near come in the order of the catalogue. Raises ValueError for k below 1 and for an
        embedding of another size or with values that are not finite.
        """
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        similarities, rows = self._vectors.search(embedding, k)
        records = self._catalogue.rows(rows.tolist())
        unlabelled = [record.row for record in records if record.material is None]
        vectors = self._vectors.vectors(np.array(unlabelled, np.int64))
        embeddings = dict(zip(unlabelled, vectors, strict=True))
        return [
            # float32 has no short decimal, and rounding can leave a cosine a hair outside -1 to 1.
            Match(record, min(1.0, max(-1.0, round(similarity, 6))), embeddings.get(record.row))
            for record, similarity in zip(records, similarities.tolist(), strict=True)
        ]

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
