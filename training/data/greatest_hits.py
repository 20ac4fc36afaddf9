"""The Greatest Hits dataset (Owens et al. 2016, CC BY 4.0) as a source: its folder as it unzips.

  <id>_times.txt       the events of a video, one a line: time, material, action, reaction
  <id>_denoised.wav    its sound
  <id>_denoised.mp4    its pictures
  train.txt, test.txt  the ids of each split

In this file: the annotations, the middle frame of a video, and the source that `prepare` reads.
"""

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import numpy as np
from PIL import Image

from model.bundle import ClipSpec, PictureSpec
from model.errors import PictureError, SoundError, ThudError, TrainingError
from model.hit import cut_clip
from model.materials import material_named
from model.picture import fit_picture
from model.sound import SoundLimits, decode_sound
from training.data.items import ClipItem, Item, PictureItem, Stamp, stamps

Action = Literal["hit", "scratch"]

TIMES_SUFFIX, SOUND_SUFFIX, VIDEO_SUFFIX = "_times.txt", "_denoised.wav", "_denoised.mp4"
SYNTHESIS_FILE = "synthesis.json"
"""Stands in a folder whose media are synthetic, and says how they were made."""
TAKE_LIMITS = SoundLimits(max_seconds=3600.0)
"""Takes last up to half a minute; the bound only keeps a broken header from filling the memory."""

_ACTIONS: dict[str, Action | None] = {"hit": "hit", "scratch": "scratch", "None": None}
_ID_PARTS = 6  # year, month, day, hour, minute, second


class Event(NamedTuple):
    """One touch: `time` in seconds, `material` as in model.materials; None for what was not labelled."""

    time: float
    material: str | None
    action: Action | None
    reaction: str | None


def read_events(path: Path) -> list[Event]:
    """Events of one `<id>_times.txt`, in the order of the file. Any spelling of the reaction is taken.

    Raises TrainingError, with file and line, for a line with fewer than four columns, a time that is not a
    number of seconds, a material that is not one of the 17, or another action than hit and scratch.
    """
    return [_event(line, f"{path}, line {number}") for number, line in _lines(path)]


def read_split(path: Path) -> list[str]:
    """Video ids of `train.txt` or `test.txt`, in the order of the file.

    Raises TrainingError for a file that cannot be read and for an id named twice.
    """
    ids: dict[str, int] = {}
    for number, line in _lines(path):
        name = line.strip()
        if name in ids:
            raise TrainingError(f"{path}, line {number}: {name} stands in line {ids[name]} already")
        ids[name] = number
    return list(ids)


def recording_of(video_id: str) -> str:
    """The long recording that a video was cut from: its id without the last `-<n>`; most ids are whole recordings.

    >>> recording_of("2015-03-25-00-29-24-2"), recording_of("2015-03-25-00-29-24")
    ('2015-03-25-00-29-24', '2015-03-25-00-29-24')
    """
    parts = video_id.split("-")
    return "-".join(parts[:-1]) if len(parts) > _ID_PARTS else video_id


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _event(line: str, place: str) -> Event:
    columns = line.split()
    if len(columns) < 4:
        raise TrainingError(
            f"{place}: {len(columns)} columns where time, material, action and reaction are expected: {line!r}"
        )
    try:
        time = float(columns[0])
    except ValueError:
        time = math.nan
    if not (math.isfinite(time) and time >= 0.0):
        raise TrainingError(f"{place}: {columns[0]!r} is not a time in seconds")
    material = None
    if columns[1] != "None":
        known = material_named(columns[1])
        if known is None:
            raise TrainingError(f"{place}: {columns[1]!r} is not one of the 17 materials")
        material = known.name
    if columns[2] not in _ACTIONS:
        raise TrainingError(f"{place}: {columns[2]!r} is not an action (hit, scratch or None)")
    reaction = " ".join(columns[3:])
    return Event(time, material, _ACTIONS[columns[2]], None if reaction == "None" else reaction)


def middle_frame(path: Path) -> Image.Image:
    """The frame in the middle of the video, as RGB. Raises PictureError if the video cannot be read.

    The camera of Greatest Hits stands still (paper, 3.1), so that the middle is as good as any; it is found by
    seeking to the key frame before it, or by decoding all frames where the file does not know its length.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise PictureError(f"{path.name} has no video stream")
            stream = container.streams.video[0]
            if stream.duration is None:
                frames = list(container.decode(stream))
                if not frames:
                    raise PictureError(f"{path.name} has no frame")
                return _image(frames[len(frames) // 2])
            middle = (stream.start_time or 0) + stream.duration // 2
            container.seek(middle, stream=stream)
            last = None
            for frame in container.decode(stream):
                last = frame
                if frame.pts is not None and frame.pts >= middle:
                    break
            if last is None:
                raise PictureError(f"{path.name} has no frame")
            return _image(last)
    except FileNotFoundError as error:
        raise PictureError(f"{path.name} is missing") from error
    except av.FFmpegError as error:
        raise PictureError(f"{path.name} cannot be decoded: {error.strerror}") from error


def _image(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))


@dataclass(frozen=True)
class VideoTask:
    """One video: where it lies, which list names it, which of its events become clips, and its files' stamps."""

    id: str
    folder: str
    split: str
    clips: int
    seed: int
    stamps: tuple[Stamp, ...]


@dataclass(frozen=True)
class GreatestHits:
    """A Greatest Hits folder. Of each video `clips_per_video` labelled events are drawn (paper, 3.1: ten)."""

    folder: Path
    clips_per_video: int = 10
    seed: int = 0

    @property
    def description(self) -> dict[str, Any]:
        """Provenance: the kind, the number of videos, how events are drawn, and whether the media are synthetic."""
        description = {
            "kind": "greatest-hits",
            "videos": len(self.tasks),
            "clips_per_video": self.clips_per_video,
            "clips_seed": self.seed,
        }
        try:
            synthesis = json.loads((self.folder / SYNTHESIS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return description
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.folder / SYNTHESIS_FILE} cannot be read: {error}") from error
        return description | {"synthesis": synthesis}

    @cached_property
    def tasks(self) -> list[VideoTask]:
        """A task a video, in the order of the ids. Videos in neither list are reported when they are read."""
        if not self.folder.is_dir():
            raise TrainingError(f"{self.folder} is not a folder")
        ids = sorted(path.name.removesuffix(TIMES_SUFFIX) for path in self.folder.glob(f"*{TIMES_SUFFIX}"))
        if not ids:
            raise TrainingError(f"{self.folder} holds no <id>_times.txt: it is not a Greatest Hits folder")
        # "" is drawn into train or validation; "neither" is refused by `read_video`, where skips are counted.
        train, test = (read_split(self.folder / name) for name in ("train.txt", "test.txt"))
        if both := sorted(set(train) & set(test)):
            raise TrainingError(f"{len(both)} videos are in both train.txt and test.txt, {both[0]} first")
        lists = dict.fromkeys(train, "") | dict.fromkeys(test, "test")
        # Videos that a list names and the folder lacks are tasks too, so that they are counted as skipped.
        return [
            VideoTask(
                name,
                str(self.folder),
                lists.get(name, "neither"),
                self.clips_per_video,
                self.seed,
                stamps(*(self.folder / f"{name}{end}" for end in (TIMES_SUFFIX, SOUND_SUFFIX, VIDEO_SUFFIX))),
            )
            for name in sorted({*ids, *lists})
        ]

    @property
    def read(self) -> Callable[[VideoTask, PictureSpec, ClipSpec], Item]:
        """Reads one video; its group is its recording, from which several videos can be cut."""
        return read_video


def read_video(task: VideoTask, picture: PictureSpec, clip: ClipSpec) -> Item:
    """The video's middle frame and the clips around its drawn events. Raises ThudError if it is not usable."""
    if task.split == "neither":
        raise TrainingError("the video is in neither train.txt nor test.txt")
    folder = Path(task.folder)
    named = [event for event in read_events(folder / f"{task.id}{TIMES_SUFFIX}") if event.material]
    touches = [event for event in named if event.action]
    if not touches:
        raise TrainingError("the video has no event with a material and an action")
    sound = decode_sound(folder / f"{task.id}{SOUND_SUFFIX}", clip.sample_rate, TAKE_LIMITS)
    clips, skipped = [], []
    if len(touches) < task.clips:
        skipped.append(f"the video has fewer than the {task.clips} events asked for; all that it has are taken")
    for event in draw_touches(touches, task):
        samples = cut_clip(sound.samples, clip.sample_rate, event.time, clip.before, clip.after)
        try:
            _check_level(samples)
        except SoundError as error:
            skipped.append(str(error))
            continue
        name = f"{task.id}@{event.time:.3f}"
        clips.append(ClipItem(name, samples, _material_id(event), event.action or ""))
    if not clips:
        raise SoundError("every clip of the video is silent")
    frame = middle_frame(folder / f"{task.id}{VIDEO_SUFFIX}")
    pixels = fit_picture(frame, picture.size, picture.resize)
    materials = tuple(sorted({_material_id(event) for event in named}))
    return Item(
        id=task.id,
        group=recording_of(task.id),
        source="greatest-hits",
        split=task.split,
        picture=PictureItem(task.id, pixels, materials),
        clips=tuple(clips),
        skipped=tuple(skipped),
    )


def draw_touches(events: list[Event], task: VideoTask) -> list[Event]:
    """The task's number of events, drawn without repetition, in the order of time; all if there are fewer."""
    random = np.random.default_rng([task.seed, zlib.crc32(task.id.encode())])
    chosen = random.permutation(len(events))[: task.clips]
    return [events[index] for index in sorted(chosen)]


def _check_level(samples: np.ndarray) -> None:
    if float(np.abs(samples).max(initial=0.0)) < TAKE_LIMITS.silence:
        raise SoundError("the sound is silent around the event, or ends before it")


def _material_id(event: Event) -> int:
    material = material_named(event.material or "")
    if material is None:
        raise ThudError(f"no material named {event.material!r}")
    return material.id
