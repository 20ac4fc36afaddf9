"""The Greatest Hits dataset (Owens et al., CC BY 4.0) as a source: its folder as it unzips.

<id>_denoised.mp4, <id>_denoised.wav, <id>_times.txt, and train.txt and test.txt with bare ids
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import ClipSpec, PictureSpec
from model.clip import cut_clip
from model.errors import SoundError, ThudError, TrainingError
from model.materials import material_named
from model.picture import fit_picture
from model.sound import SoundLimits, decode_sound
from training.annotations import Event, read_events, read_split, recording_of
from training.items import ClipItem, Item, PictureItem, stamps
from training.video import middle_frame

# Takes run to half a minute; the bound only keeps a broken header from filling the memory.
TAKE_LIMITS = SoundLimits(max_seconds=3600.0)


SYNTHESIS_FILE = "synthesis.json"
"""Stands in a folder whose media are synthetic, and says how they were made."""


@dataclass(frozen=True)
class VideoTask:
    """One video: where it lies, which list names it, which of its events become clips, and its files' stamps."""

    id: str
    folder: str
    split: str
    clips: int
    seed: int
    stamps: tuple[tuple[int, int], ...]


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
        ids = sorted(path.name.removesuffix("_times.txt") for path in self.folder.glob("*_times.txt"))
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
                stamps(*(self.folder / f"{name}{end}" for end in ("_times.txt", "_denoised.wav", "_denoised.mp4"))),
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
    named = [event for event in read_events(folder / f"{task.id}_times.txt") if event.material]
    touches = [event for event in named if event.action]
    if not touches:
        raise TrainingError("the video has no event with a material and an action")
    sound = decode_sound(folder / f"{task.id}_denoised.wav", clip.sample_rate, TAKE_LIMITS)
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
    frame = middle_frame(folder / f"{task.id}_denoised.mp4")
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
