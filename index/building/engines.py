"""Which engine an index is published into, and where a run keeps what it knows, by where the index is."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from index.address import IndexAt, MilvusAddress
from index.catalogue import Catalogue, Records
from index.generation import CATALOGUE, Generation, IndexSpec, current_generation
from index.nearest.vectors import VectorIndex
from index.private import private_file
from index.publishing import FilePublisher, Publisher
from model.errors import LibraryError


def work_folder_of(index: IndexAt) -> Path:
    """Where runs keep the cache and the options of an index: in its folder, or in one of this machine."""
    return index.work_folder if isinstance(index, MilvusAddress) else index


def publisher_of(index: IndexAt, bundle_id: str, say: Callable[[str], None]) -> Publisher:
    """What brings generations into an index; `say` is called with lines for a person."""
    if isinstance(index, MilvusAddress):
        from index.milvus.publisher import MilvusPublisher

        return MilvusPublisher(index, say)
    return FilePublisher(index, lambda: _previous(index, bundle_id))


def spec_of_current(index: IndexAt) -> IndexSpec:
    """What is said of the current generation. Raises LibraryError where there is none."""
    if isinstance(index, MilvusAddress):
        from index.milvus.connection import MilvusConnection
        from index.milvus.pointers import current_of

        with closing(MilvusConnection(index)) as connection:
            return current_of(connection).spec
    return current_generation(index).spec


@contextmanager
def records_of_current(index: IndexAt) -> Iterator[Records]:
    """The records of the current generation; of an index's files every row was checked. Raises LibraryError."""
    if isinstance(index, MilvusAddress):
        from index.milvus.connection import MilvusConnection
        from index.milvus.pointers import current_of
        from index.milvus.records import MilvusRecords

        with closing(MilvusConnection(index)) as connection:
            yield MilvusRecords(connection, current_of(connection))
    else:
        with catalogue_of(current_generation(index)) as catalogue:
            yield catalogue


@contextmanager
def catalogue_of(generation: Generation) -> Iterator[Catalogue]:
    """The catalogue of a generation on disk, of which every row was checked."""
    with private_file(generation.folder / CATALOGUE, generation.spec.files[CATALOGUE]) as source:
        catalogue = Catalogue(source, every_row=True)
    with closing(catalogue):
        yield catalogue


def _previous(index: Path, bundle_id: str) -> VectorIndex | None:
    """The current vectors, where they have inverted lists, whose centroids may do for the new ones too."""
    try:
        generation = current_generation(index)
        spec = generation.spec
        if spec.search.kind == "flat" or spec.bundle_id != bundle_id:
            return None
        contents = {name: np.memmap(generation.folder / name, np.uint8, "r").data for name in spec.search.files}
        return VectorIndex.load(contents, spec.search, spec.embedding_size, biased=spec.hubness is not None)
    except (LibraryError, OSError, ValueError):
        return None
