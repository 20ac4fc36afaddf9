"""The bundle: a folder with both exported towers and everything needed to run them. A public format.

    bundle/
      bundle.json         `BundleSpec`
      image_tower.onnx    uint8 [B, size, size, 3] -> embedding float32 [B, 128] (, cells, objects)
      sound_tower.onnx    float32 [B, samples]     -> embedding float32 [B, 128]
      heads.npz           optional: from embeddings to probabilities of the materials (model/heads.py)
      bank.npy            optional: float16 [N, 128], embeddings of training pictures (model/hubness.py)
      queries.npy         optional: float16 [q, 128], embeddings of other pictures (model/queries.py)

Embeddings are L2-normalised; cells are the projection of each cell of the last feature map before
normalisation, so that the mean over any set of cells, normalised, is the embedding of that region of the picture:
float32 [B, rows, columns, 128]. Objects are probabilities of everyday objects, float32 [B, O].
"""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.atomic import atomic_folder
from model.errors import BundleError
from model.files import FileRecord, checked_blocks, file_record, first_problem, read_json
from model.hit import clip_samples
from model.picture import ResizeRule

FORMAT_VERSION = 1
SPEC_FILE = "bundle.json"
IMAGE_TOWER = "image_tower.onnx"
SOUND_TOWER = "sound_tower.onnx"
HEADS = "heads.npz"
BANK = "bank.npy"
QUERIES = "queries.npy"

Precision = Literal["fp32", "int8"]

_Cells = Annotated[int, Field(ge=1, le=1024)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True)


class PictureSpec(_Spec):
    """The image tower's input: a square of `size` pixels, made by the `resize` rule."""

    size: int = Field(224, ge=32, le=1024)
    resize: ResizeRule = "squash"


class ClipSpec(_Spec):
    """The sound tower's input: mono at `sample_rate` Hz, `before` to `after` seconds around the hit."""

    sample_rate: int = Field(32_000, ge=8_000, le=192_000)
    before: float = Field(0.5, ge=0.0, le=10.0)
    after: float = Field(0.5, gt=0.0, le=10.0)

    @property
    def samples(self) -> int:
        """Length of a clip in samples."""
        return clip_samples(self.sample_rate, self.before, self.after)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.samples < 1:
            raise ValueError("the clip is shorter than a sample")
        return self


class Calibration(_Spec):
    """How far the probabilities of the bundle's heads can be trusted.

    `recognised`: a picture counts as recognised when its likeliest material has at least this probability; only
    where the heads have no recognition weights (model/heads.py).
    `fitted_on`: in words, the data that the heads were calibrated on.
    `expected_error`: expected calibration error of each head (`picture`, `sound`) on held-out data.
    """

    recognised: float = Field(0.5, ge=0.0, le=1.0)
    fitted_on: str = ""
    expected_error: dict[str, float] = {}


class Hubness(_Spec):
    """The hub bias, subtracted from a sound's cosine with every picture (model/hubness.py).

    It is `strength` times the sound's mean cosine with the `neighbours` nearest pictures of the bank.
    """

    strength: float = Field(0.5, ge=0.0, le=10.0)
    neighbours: int = Field(16, ge=1, le=2**31)


class ObjectSpec(_Spec):
    """The image tower's output `objects`: `names` of its columns, those of model/objects.toml.

    An object counts as shown where it has at least the probability `shown`.
    """

    names: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    shown: float = Field(0.1, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError("two objects have one name")
        return self


class BundleSpec(_Spec):
    """The content of `bundle.json`.

    `checksum`: SHA-256 over all other keys. `cells`: rows and columns, None where the image tower gives no cells.
    `label_strength`: how far an index moves the vector of a labelled sound towards its material, 0 to 1
    (model/heads.py). `picture_columns`: the columns of the embedding, in order, that can differ from 0 where it is
    of a picture; None for all. `objects`: None where the image tower has no such output. Unknown keys are ignored,
    so that this version can read bundles of later minor versions.
    """

    format_version: Literal[1] = 1
    id: str
    checksum: str = ""
    name: str
    backbones: dict[Literal["image", "sound"], str]
    embedding_size: int = Field(ge=1, le=65_536)
    cells: tuple[_Cells, _Cells] | None
    materials: tuple[str, ...]
    picture: PictureSpec
    clip: ClipSpec
    files: dict[str, FileRecord]
    precision: Precision = "fp32"
    calibration: Calibration | None = None
    hubness: Hubness | None = None
    label_strength: float = Field(0.0, ge=0.0, le=1.0)
    picture_columns: tuple[int, ...] | None = Field(None, min_length=1)
    objects: ObjectSpec | None = None
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    @model_validator(mode="after")
    def _columns_in_order(self) -> Self:
        columns = (-1, *(self.picture_columns or ()), self.embedding_size)
        if any(one >= following for one, following in pairwise(columns)):
            raise ValueError(f"picture_columns must rise from 0 to {self.embedding_size - 1}")
        return self


class Bundle(_Spec):
    """A bundle on disk whose files were verified against their hashes."""

    folder: Path
    spec: BundleSpec

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> "Bundle":
        """The bundle in `folder`, as `load_bundle` reads it."""
        return load_bundle(Path(folder))

    @property
    def id(self) -> str:
        """The bundle's id; it changes with any of its files and with the preprocessing (`bundle_id`)."""
        return self.spec.id

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files, whether it is there or not."""
        return self.folder / name

    def read(self, name: str) -> bytes:
        """The content of one of the bundle's files, checked against its hash while it is read.

        Raises BundleError where it is gone or has changed.
        """
        content = io.BytesIO()
        content.writelines(_checked(self.folder, name, self.spec.files[name]))
        return content.getvalue()


def bundle_id(files: dict[str, FileRecord], picture: PictureSpec, clip: ClipSpec) -> str:
    """16 hex digits from the bundle's files and preprocessing: all that decides an embedding, nothing else."""
    identity = {
        "files": {name: files[name].sha256 for name in sorted(files)},
        "picture": picture.model_dump(),
        "clip": clip.model_dump(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def write_bundle(target: Path, towers: dict[str, Path], **fields: Any) -> Bundle:
    """Write a bundle at `target` from its files, by name, and the fields of `BundleSpec` except id and files.

    The folder appears whole or not at all; a bundle that is there already is replaced. Raises BundleError if
    something else is there.
    """
    check_target(target)
    with atomic_folder(target) as folder:
        files = {}
        for name, source in towers.items():
            shutil.copyfile(source, folder / name)
            files[name] = file_record(folder / name)
        identity = bundle_id(files, fields["picture"], fields["clip"])
        spec = BundleSpec(id=identity, files=files, **fields)
        spec = spec.model_copy(update={"checksum": _checksum(spec.model_dump(mode="json"))})
        (folder / SPEC_FILE).write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Bundle(folder=target, spec=spec)


def check_target(target: Path) -> None:
    """Raise BundleError if writing a bundle at `target` would replace something that is no bundle."""
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / SPEC_FILE).exists()):
        raise BundleError(f"{target} is there already and is no bundle; choose another name")


def _checksum(spec: dict[str, Any]) -> str:
    """SHA-256 over all keys of bundle.json except the checksum, also those that this version does not know."""
    rest = {key: value for key, value in spec.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check all its files. Raises BundleError if it is missing, changed or of another version."""
    try:
        raw = read_json(folder / SPEC_FILE)
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is not a bundle: it has no {SPEC_FILE}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{folder / SPEC_FILE} cannot be read: {reason}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{folder} has bundle format {version!a:.40}; this version of Thud reads format {FORMAT_VERSION}"
        )
    if raw.get("checksum") != _checksum(raw):
        raise BundleError(f"{folder / SPEC_FILE} is damaged: its checksum is not the one of its content")
    try:
        spec = BundleSpec.model_validate(raw)
    except ValidationError as error:
        raise BundleError(f"{folder / SPEC_FILE}: {first_problem(error)}") from error
    for name in (IMAGE_TOWER, SOUND_TOWER):
        if name not in spec.files:
            raise BundleError(f"{folder / SPEC_FILE} lists no {name}")
    for name, record in spec.files.items():
        if Path(name).name != name or not name.isprintable():
            raise BundleError(f"{folder / SPEC_FILE} names a file outside the bundle: {name!a:.80}")
        for _ in _checked(folder, name, record):
            pass
    if spec.id != bundle_id(spec.files, spec.picture, spec.clip):
        raise BundleError(f"{folder / SPEC_FILE} was changed: its id does not fit its towers and preprocessing")
    return Bundle(folder=folder, spec=spec)


def _checked(folder: Path, name: str, record: FileRecord) -> Iterator[memoryview]:
    """The content of a file of the bundle, in blocks, each valid until the next.

    Raises BundleError where it differs from `record`.
    """
    try:
        yield from checked_blocks(folder / name, record)
    except OSError as error:
        raise BundleError(f"{folder / name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BundleError(f"{folder / name} is damaged: {error} in {SPEC_FILE}") from error
