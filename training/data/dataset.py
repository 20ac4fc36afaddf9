"""The prepared dataset: pictures and clips ready to be trained on, memory-mapped, with labels and splits.

dataset/
  dataset.json   `DatasetInfo`: format version, sizes, preprocessing, where it came from, what was skipped
  pictures.u8    uint8 [pictures, size, size, 3]
  clips.i16      int16 [clips, samples], each clip scaled to full range (`clip_peak` has its own level)
  labels.npz     one array a column, see `Labels`
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from model.atomic import read_arrays
from model.bundle import ClipSpec, PictureSpec
from model.errors import TrainingError
from model.materials import MATERIALS

FORMAT_VERSION = 1
INFO_FILE = "dataset.json"
PICTURES_FILE = "pictures.u8"
CLIPS_FILE = "clips.i16"
LABELS_FILE = "labels.npz"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

UNPAIRED = -1

Validation = Literal["recording", "video", "sample"]
"""What validation data must not share with training data: the recording, the video, or (the paper's way, as far
as can be told) no more than the sample, a clip with its picture."""


class DatasetInfo(BaseModel):
    """`dataset.json`. `source` tells where the data came from; `skipped` counts what was left out, or
    is fewer than was asked for, by reason."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    id: str
    picture: PictureSpec
    clip: ClipSpec
    pictures: int
    clips: int
    source: dict[str, Any]
    skipped: dict[str, int]


@dataclass(frozen=True)
class Labels:
    """The columns of labels.npz. N pictures, M clips, 17 materials; splits are indices into SPLITS."""

    picture_id: npt.NDArray[np.str_]  # [N]
    picture_group: npt.NDArray[np.str_]  # [N] the recording or object; no drawn split divides one
    picture_source: npt.NDArray[np.str_]  # [N]
    picture_split: npt.NDArray[np.int8]  # [N]
    picture_materials: npt.NDArray[np.bool_]  # [N, 17] of its own clips (paper, 3.3.2), or as listed if unpaired
    picture_all_materials: npt.NDArray[np.bool_]  # [N, 17] of every event of its video, chosen or not
    clip_id: npt.NDArray[np.str_]  # [M]
    clip_group: npt.NDArray[np.str_]  # [M]
    clip_source: npt.NDArray[np.str_]  # [M]
    clip_split: npt.NDArray[np.int8]  # [M]
    clip_material: npt.NDArray[np.int8]  # [M] material id, 0..16
    clip_action: npt.NDArray[np.str_]  # [M] "hit", "scratch" or ""
    clip_picture: npt.NDArray[np.int32]  # [M] the clip's own picture, or UNPAIRED
    clip_peak: npt.NDArray[np.float32]  # [M] level of the clip before scaling, 1.0 = full scale


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset: `pictures` uint8 [N, size, size, 3] and `clips` int16 [M, samples], memory-mapped."""

    folder: Path
    info: DatasetInfo
    pictures: npt.NDArray[np.uint8]
    clips: npt.NDArray[np.int16]
    labels: Labels
    shared: bool = False
    """Whether pictures with clips belong to every split in which they have one (see `training.data.pairs`)."""

    def pictures_of(self, split: Split) -> npt.NDArray[np.intp]:
        """Indices of the split's pictures that have at least one material."""
        labels = self.labels
        inside = labels.picture_split == SPLITS.index(split)
        if self.shared:
            inside[labels.clip_picture[labels.clip_picture != UNPAIRED]] = False
            inside[list(self.own_clips(split))] = True
        return np.flatnonzero(inside & labels.picture_materials.any(axis=1))

    def clips_of(self, split: Split) -> npt.NDArray[np.intp]:
        """Indices of the split's clips."""
        return np.flatnonzero(self.labels.clip_split == SPLITS.index(split))

    def own_clips(self, split: Split) -> dict[int, npt.NDArray[np.intp]]:
        """The clips that a picture has in the split, by picture; none of unpaired pictures."""
        labels = self.labels
        paired = np.flatnonzero((labels.clip_picture != UNPAIRED) & (labels.clip_split == SPLITS.index(split)))
        paired = paired[np.argsort(labels.clip_picture[paired], kind="stable")]
        owners, starts = np.unique(labels.clip_picture[paired], return_index=True)
        return dict(zip(owners.tolist(), np.split(paired, starts[1:]), strict=True)) if len(owners) else {}

    def videos(self, clips: npt.NDArray[np.intp]) -> npt.NDArray[np.str_]:
        """The video (picture) that each of the clips belongs to; a clip without a picture stands for itself."""
        labels = self.labels
        own = labels.clip_picture[clips]
        videos: npt.NDArray[np.str_] = np.where(own == UNPAIRED, labels.clip_id[clips], labels.picture_id[own])
        return videos

    def clip_batch(self, clips: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """The clips as float32 `[B, samples]` in [-1, 1]."""
        return self.clips[clips].astype(np.float32) / np.float32(32767.0)

    def summary(self) -> str:
        """Pictures and clips per split, and clips per material, in a few lines."""
        lines = []
        for split in SPLITS:
            pictures, clips = len(self.pictures_of(split)), len(self.clips_of(split))
            lines.append(f"{split:<5} {pictures:>6,} pictures {clips:>7,} clips")
        counts = np.bincount(self.labels.clip_material, minlength=len(MATERIALS))
        lines.append("clips per material: " + ", ".join(f"{m.name} {counts[m.id]:,}" for m in MATERIALS))
        lines += [f"skipped or short, {count:,}: {reason}" for reason, count in self.info.skipped.items()]
        return "\n".join(lines)


def load_dataset(folder: Path) -> Dataset:
    """Open a prepared dataset. Raises TrainingError if it is missing, incomplete or of another version."""
    try:
        raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainingError(f"{folder} is not a prepared dataset: it has no {INFO_FILE}") from error
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / INFO_FILE} cannot be read: {error}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise TrainingError(
            f"{folder} has dataset format {version!r}; this version of Thud reads format {FORMAT_VERSION}"
        )
    try:
        info = DatasetInfo.model_validate(raw)
    except ValidationError as error:
        raise TrainingError(f"{folder / INFO_FILE} is not valid: {error.errors()[0]['msg']}") from error
    size = info.picture.size
    try:
        pictures = _map(folder / PICTURES_FILE, np.dtype(np.uint8), (info.pictures, size, size, 3))
        clips = _map(folder / CLIPS_FILE, np.dtype("<i2"), (info.clips, info.clip.samples))
        labels = _read_labels(folder / LABELS_FILE, info)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} is damaged: {error}") from error
    return Dataset(folder, info, pictures, clips, labels)


def _read_labels(path: Path, info: DatasetInfo) -> Labels:
    try:
        columns = read_arrays(path, Labels.__dataclass_fields__)
        for name, column in columns.items():
            rows = info.pictures if name.startswith("picture_") else info.clips
            shape = (rows, len(MATERIALS)) if name in ("picture_materials", "picture_all_materials") else (rows,)
            if column.shape != shape:
                raise ValueError(f"{name} is {list(column.shape)}, not {list(shape)}")
        for name, least, end in (
            ("picture_split", 0, len(SPLITS)),
            ("clip_split", 0, len(SPLITS)),
            ("clip_material", 0, len(MATERIALS)),
            ("clip_picture", UNPAIRED, info.pictures),
        ):
            if not ((columns[name] >= least) & (columns[name] < end)).all():
                raise ValueError(f"{name} has values outside {least} to {end - 1}")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return Labels(**columns)


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    expected = int(np.prod(shape)) * dtype.itemsize
    found = path.stat().st_size
    if found != expected:
        raise ValueError(f"{path.name} has {found:,} bytes, expected {expected:,}")
    if expected == 0:  # an empty file cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)
