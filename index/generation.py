"""An index on disk: generations named by their content and one pointer to the current one. A public format.

    INDEX/
      current                        the id of the generation to read; replaced in one step
      generations/<id>/
        index.json                   `IndexSpec`
        vectors.f32                  the vectors; search.faiss beside it, where there are inverted lists
        catalogue.sqlite             the catalogue

A reader sees one whole generation, never a mixture of two. Publishing (index/publishing.py) keeps the generation
that was current before, because a reader may be opening it at that moment, and removes older ones. What a reader
has open stays readable.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.nearest.hubs import HubnessRecord
from index.nearest.vectors import SearchRecord
from model.errors import LibraryError
from model.files import FileRecord, first_problem, read_bounded, read_json

FORMAT_VERSION = 4
POINTER = "current"
GENERATIONS = "generations"
SPEC_FILE = "index.json"
CATALOGUE = "catalogue.sqlite"
GENERATION_ID = re.compile(r"^[0-9a-f]{16}$")

_POINTER_BYTES = 1024


class IndexSpec(BaseModel):
    """`index.json`. Unknown keys are ignored, so that later minor additions can be read by this version.

    `search` is about the vectors; `materials` counts sounds by material; `skipped` and `duplicates` count the
    files that were left out; `library_root` is the absolute path of the sound folder, or its address.
    `embedding_size` does not count the bias; `hubness` is None where there are no biases; `label_strength` (0 to 1)
    is how far the vectors of labelled sounds were drawn towards their material.
    """

    model_config = ConfigDict(frozen=True)

    format_version: Literal[4] = 4
    id: str = Field(pattern=GENERATION_ID.pattern)
    bundle_id: str = Field(pattern=GENERATION_ID.pattern)
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
    spec = read_spec(folder)
    if spec.id != identity:
        raise LibraryError(f"{folder / SPEC_FILE} belongs to generation {spec.id}; run thud index again")
    return Generation(folder, spec)


def pointed_to(index_folder: Path) -> str | None:
    """The generation that the pointer names, None if it names none. Raises OSError where it cannot be read."""
    name = read_bounded(index_folder / POINTER, _POINTER_BYTES).decode("ascii", "replace").strip()
    return name if GENERATION_ID.fullmatch(name) else None


def read_spec(folder: Path) -> IndexSpec:
    """The spec of the generation in `folder`. Raises LibraryError where it is none of this version of Thud."""
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
