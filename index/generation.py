"""An index on disk: generations named by their content and one pointer to the current one. A public format.

    INDEX/
      current                        the id of the generation to read; replaced in one step
      generations/<id>/
        index.json                   `IndexSpec`
        vectors.f32                  the vectors; search.faiss beside it, where there are inverted lists
        catalogue.sqlite             the catalogue

A reader sees one whole generation, never a mixture of two. Publishing keeps the generation that was current before,
because a reader may be opening it at that moment, and removes older ones. What a reader has open stays readable.
"""

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.nearest.hubs import HubnessRecord, Hubs
from index.nearest.vectors import SearchRecord, VectorIndex, Vectors
from index.private import checked
from model.atomic import atomic_file, atomic_folder, sync_folder
from model.errors import LibraryError
from model.files import FileRecord, file_record, first_problem, read_bounded, read_json

FORMAT_VERSION = 4
POINTER = "current"
GENERATIONS = "generations"
SPEC_FILE = "index.json"
CATALOGUE = "catalogue.sqlite"

_ID = re.compile(r"^[0-9a-f]{16}$")
_ASIDE = re.compile(r"\.[0-9a-f]{16}\..+")  # what an interrupted atomic_folder leaves
_POINTER_BYTES = 1024


class IndexSpec(BaseModel):
    """`index.json`. Unknown keys are ignored, so that later minor additions can be read by this version.

    `search` is about the vectors; `materials` counts sounds by material; `skipped` and `duplicates` count the
    files that were left out; `library_root` is the absolute path of the sound folder. `embedding_size` does not
    count the bias; `hubness` is None where there are no biases; `label_strength` (0 to 1) is how far the
    vectors of labelled sounds were drawn towards their material.
    """

    model_config = ConfigDict(frozen=True)

    format_version: Literal[4] = 4
    id: str = Field(pattern=_ID.pattern)
    bundle_id: str = Field(pattern=_ID.pattern)
    sounds: int = Field(ge=1, lt=2**31)
    embedding_size: int = Field(ge=1, le=65_536)
    search: SearchRecord
    hubness: HubnessRecord | None = None
    label_strength: float
    materials: dict[str, int]
    unlabelled: int
    duplicates: int
    skipped: int
    library_root: str = Field(pattern=r"^[^\x00]+$")
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Generation:
    """A generation on disk. Its files are not checked yet: whoever reads them checks them against their hashes."""

    folder: Path
    spec: IndexSpec


@dataclass(frozen=True)
class About:
    """What index.json says of a generation beside its vectors: the fields of `IndexSpec`."""

    id: str
    bundle_id: str
    library_root: Path
    sounds: int
    materials: Counter[str | None]
    duplicates: int
    skipped: int
    label_strength: float = 0.0


def reuse_generation(
    index_folder: Path, identity: str, *, library_root: Path, duplicates: int, skipped: int
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
    spec = existing.model_copy(
        update={"library_root": str(library_root.resolve()), "duplicates": duplicates, "skipped": skipped}
    )
    if spec != existing:
        _write_spec(target / SPEC_FILE, spec)
    return spec, _point_to(index_folder, spec.id)


def publish_generation(
    index_folder: Path,
    about: About,
    vectors: Vectors,
    catalogue: Path,
    *,
    hubs: Hubs | None = None,
    threads: int = 1,
    columns: tuple[int, ...] | None = None,
    queries: Vectors | None = None,
    previous: VectorIndex | None = None,
) -> IndexSpec:
    """Build a generation from `vectors [v, d]` and the file of their sounds' catalogue, which is moved into it.

    It becomes the current one.

    The biases of `hubs` become part of the vectors. `columns`, `queries` and `previous` are those of
    `VectorIndex.build`. The caller makes sure that no other process publishes into the same folder at the same
    time.
    """
    biases = hubs.biases if hubs is not None else None
    built = VectorIndex.build(
        vectors, threads=threads, biases=biases, columns=columns, queries=queries, previous=previous
    )
    with atomic_folder(index_folder / GENERATIONS / about.id) as folder:
        names = built.save(folder)
        shutil.move(catalogue, folder / CATALOGUE)
        spec = IndexSpec(
            **_fields(about),
            embedding_size=built.size,
            search=built.record,
            hubness=hubs.record if hubs is not None else None,
            files={name: file_record(folder / name) for name in (*names, CATALOGUE)},
        )
        _write_spec(folder / SPEC_FILE, spec)
    _point_to(index_folder, spec.id)
    return spec


def _fields(about: About) -> dict[str, Any]:
    named = sorted(name for name in about.materials if name is not None)
    counts = {"materials": {name: about.materials[name] for name in named}, "unlabelled": about.materials[None]}
    return vars(about) | counts | {"library_root": str(about.library_root.resolve())}


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


def open_generation(index_folder: Path, bundle_id: str) -> Generation:
    """The current generation of an index.

    Raises LibraryError if there is none, or it is of another format version, made with another bundle than
    `bundle_id`, or its index.json is damaged.
    """
    generation = current_generation(index_folder)
    if generation.spec.bundle_id != bundle_id:
        raise LibraryError(
            f"this index was made with bundle {generation.spec.bundle_id}; you gave bundle {bundle_id}: "
            "run thud index again"
        )
    return generation


def current_generation(index_folder: Path) -> Generation:
    """The current generation of an index, made with any bundle. Raises LibraryError as `open_generation` does."""
    pointer = index_folder / POINTER
    if not os.path.lexists(pointer):
        raise LibraryError(f"{index_folder} is not an index: it has no file {POINTER}; make one with thud index")
    try:
        identity = pointed_to(index_folder)
    except OSError as error:
        raise LibraryError(f"{pointer} cannot be read: {error.strerror or error}; run thud index again") from error
    if identity is None:
        raise LibraryError(f"{pointer} names no generation; run thud index again")
    folder = index_folder / GENERATIONS / identity
    if not folder.is_dir():
        raise LibraryError(f"{pointer} names generation {identity}, which is not there; run thud index again")
    spec = _read_spec(folder)
    if spec.id != identity:
        raise LibraryError(f"{folder / SPEC_FILE} belongs to generation {spec.id}; run thud index again")
    return Generation(folder, spec)


def pointed_to(index_folder: Path) -> str | None:
    """The generation that the pointer names, None if it names none. Raises OSError where it cannot be read."""
    name = read_bounded(index_folder / POINTER, _POINTER_BYTES).decode("ascii", "replace").strip()
    return name if _ID.fullmatch(name) else None


def _read_spec(folder: Path) -> IndexSpec:
    file = folder / SPEC_FILE
    try:
        raw = read_json(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LibraryError(f"{file} cannot be read: {reason}; run thud index again") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise LibraryError(
            f"{folder} has index format {version!a:.40}; this version of Thud reads format {FORMAT_VERSION}: "
            "run thud index again"
        )
    try:
        spec = IndexSpec.model_validate(raw)
    except ValidationError as error:
        raise LibraryError(f"{file}: {first_problem(error)}; run thud index again") from error
    if set(spec.files) != {*spec.search.files, CATALOGUE}:
        raise LibraryError(f"{file} lists not {', '.join(spec.search.files)} and {CATALOGUE}; run thud index again")
    return spec


def _intact(folder: Path) -> IndexSpec | None:
    """The spec of a generation that is there and whole, else None."""
    try:
        spec = _read_spec(folder)
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
        old = kept is not None and _ID.fullmatch(folder.name) and folder.name not in kept
        if (old or _ASIDE.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
