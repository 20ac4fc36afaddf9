"""Publishing: a generation becomes the current one, in the folder of an index or in another engine."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from index.generation import (
    CATALOGUE,
    GENERATION_ID,
    GENERATIONS,
    POINTER,
    SPEC_FILE,
    IndexSpec,
    pointed_to,
    read_spec,
)
from index.nearest.hubs import Hubs
from index.nearest.vectors import SearchRecord, VectorIndex, Vectors
from index.private import checked
from model.atomic import atomic_file, atomic_folder, sync_folder
from model.errors import LibraryError
from model.files import FileRecord, file_record

_ASIDE = re.compile(r"\.[0-9a-f]{16}\..+")  # what an interrupted atomic_folder leaves


@dataclass(frozen=True)
class About:
    """What index.json says of a generation beside its vectors: the fields of `IndexSpec`."""

    id: str
    bundle_id: str
    library_root: str
    sounds: int
    materials: Counter[str | None]
    duplicates: int
    skipped: int
    label_strength: float = 0.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a generation consists of, before an engine has it: `vectors [v, d]`, the file of their sounds' catalogue
    (the engine may take it), and the `hubs` whose biases become part of the vectors.

    `columns` and `queries` are those of `VectorIndex.build`; `threads` may be used for indexing.
    """

    vectors: Vectors
    catalogue: Path
    hubs: Hubs | None = None
    columns: tuple[int, ...] | None = None
    queries: Vectors | None = None
    threads: int = 1


class Publisher(Protocol):
    """Brings generations of a library into an engine: `begin`, `add`, `commit`, `drop`, by one writer at a time.

    Nobody sees a generation before it is committed, and whoever reads sees a whole one. Every method raises
    LibraryError where the engine cannot do it; then what was current still is.
    """

    def reuse(
        self, identity: str, *, library_root: str, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool] | None:
        """Make the generation with this id, if it is there and whole, the current one; None if it is not.

        The second value is whether another one was current before. What the spec says of the run is written anew.
        """
        ...

    def begin(self, about: About) -> None:
        """Begin a generation."""
        ...

    def add(self, prepared: Prepared) -> None:
        """Put all of it beside what is current."""
        ...

    def commit(self) -> IndexSpec:
        """Make it the current one."""
        ...

    def drop(self) -> None:
        """Give up what was begun and not committed; otherwise what the new generation has replaced, once nobody
        answers with it."""
        ...

    def close(self) -> None:
        """Give up the connection, where there is one."""
        ...


class FilePublisher:
    """A `Publisher` into the folder of an index."""

    def __init__(self, index_folder: Path, previous: Callable[[], VectorIndex | None] = lambda: None) -> None:
        """`previous`: the current vectors, whose centroids may be used again."""
        self._folder, self._previous = index_folder, previous
        self._about: About | None = None
        self._spec: IndexSpec | None = None

    def reuse(
        self, identity: str, *, library_root: str, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool] | None:
        """See `Publisher`: its files stay, as they may be in use."""
        return reuse_generation(
            self._folder, identity, library_root=library_root, duplicates=duplicates, skipped=skipped
        )

    def begin(self, about: About) -> None:
        """See `Publisher`."""
        self._about, self._spec = about, None

    def add(self, prepared: Prepared) -> None:
        """See `Publisher`."""
        assert self._about is not None
        self._spec = write_generation(self._folder, self._about, prepared, self._previous())

    def commit(self) -> IndexSpec:
        """See `Publisher`. The generation before stays: a reader may be opening it at this moment."""
        assert self._spec is not None
        _point_to(self._folder, self._spec.id)
        return self._spec

    def drop(self) -> None:
        """See `Publisher`: what a run leaves that was killed, the next one removes."""

    def close(self) -> None:
        """See `Publisher`."""


def reuse_generation(
    index_folder: Path, identity: str, *, library_root: str, duplicates: int, skipped: int
) -> tuple[IndexSpec, bool] | None:
    """Make the generation with this id, if it is there and whole, the current one; None if it is not.

    The second value is whether another one was current before.

    Its files stay, as they may be in use; index.json is written anew where it says something else. Nothing is
    written where it is the current one already.
    """
    target = index_folder / GENERATIONS / identity
    existing = _intact(target)
    if existing is None:
        return None
    spec = existing.model_copy(update={"library_root": library_root, "duplicates": duplicates, "skipped": skipped})
    if spec != existing:
        _write_spec(target / SPEC_FILE, spec)
    return spec, _point_to(index_folder, spec.id)


def write_generation(
    index_folder: Path, about: About, prepared: Prepared, previous: VectorIndex | None = None
) -> IndexSpec:
    """Write a generation, which does not become the current one; the catalogue is moved into it.

    `previous` is that of `VectorIndex.build`. The caller makes sure that no other process writes into the same
    folder at the same time.
    """
    hubs = prepared.hubs
    built = VectorIndex.build(
        prepared.vectors,
        threads=prepared.threads,
        biases=None if hubs is None else hubs.biases,
        columns=prepared.columns,
        queries=prepared.queries,
        previous=previous,
    )
    with atomic_folder(index_folder / GENERATIONS / about.id) as folder:
        names = built.save(folder)
        shutil.move(prepared.catalogue, folder / CATALOGUE)
        files = {name: file_record(folder / name) for name in (*names, CATALOGUE)}
        spec = spec_of(about, built.size, built.record, hubs, files)
        _write_spec(folder / SPEC_FILE, spec)
    return spec


def publish_generation(index_folder: Path, about: About, prepared: Prepared) -> IndexSpec:
    """Write a generation and make it the current one."""
    publisher = FilePublisher(index_folder)
    publisher.begin(about)
    publisher.add(prepared)
    return publisher.commit()


def spec_of(
    about: About, size: int, search: SearchRecord, hubs: Hubs | None, files: dict[str, FileRecord]
) -> IndexSpec:
    """What is said of a generation with vectors of `size` numbers."""
    named = sorted(name for name in about.materials if name is not None)
    counts = {"materials": {name: about.materials[name] for name in named}, "unlabelled": about.materials[None]}
    return IndexSpec(
        **vars(about) | counts,
        embedding_size=size,
        search=search,
        hubness=None if hubs is None else hubs.record,
        files=files,
    )


def _point_to(index_folder: Path, identity: str) -> bool:
    """Whether another one was current before."""
    try:
        previous = pointed_to(index_folder)
    except OSError:
        previous = None
    if previous != identity:
        # On disk before the pointer is, so that after a crash no pointer names a generation that is not there.
        sync_folder(index_folder / GENERATIONS)
        with atomic_file(index_folder / POINTER) as pointer:
            pointer.write_text(identity + "\n", encoding="ascii")
    _remove_but(index_folder, {identity, previous} if previous != identity else None)
    return previous != identity


def _intact(folder: Path) -> IndexSpec | None:
    """The spec of a generation that is there and whole, else None."""
    try:
        spec = read_spec(folder)
        for name, record in spec.files.items():
            for _ in checked(folder / name, record):
                pass
    except LibraryError:
        return None
    return spec


def _write_spec(file: Path, spec: IndexSpec) -> None:
    with atomic_file(file) as aside:
        aside.write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _remove_but(index_folder: Path, kept: set[str | None] | None) -> None:
    """Remove what killed runs left, and the generations that are not in `kept`, unless it is None."""
    for folder in (index_folder / GENERATIONS).iterdir():
        old = kept is not None and GENERATION_ID.fullmatch(folder.name) and folder.name not in kept
        if (old or _ASIDE.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
