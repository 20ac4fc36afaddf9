"""One synthetic video of Greatest Hits: its sound track and its pictures, made from its labels."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile

from model.atomic import atomic_file
from training.data.greatest_hits import TIMES_SUFFIX, Event, read_events, recording_of
from training.synthesis.recording import OUTDOORS, draw_acoustics, record
from training.synthesis.scenes import Scene, draw_scene
from training.synthesis.sounds import Samples, SoundObject, draw_object, scratch, strike
from training.synthesis.textures import Picture


@dataclass(frozen=True)
class Occurrence:
    """Which materials occur together in a video of Greatest Hits.

    `sets`: combinations of materials; `videos`: the number of videos with each; `scratch_share`: of each material,
    the share of its events that are scratches, 0 to 1.
    """

    sets: tuple[tuple[str, ...], ...]
    videos: tuple[int, ...]
    scratch_share: dict[str, float]


@cache
def occurrence() -> Occurrence:
    """The counts in `data/cooccurrence.json` (Greatest Hits, CC BY 4.0; 975 videos with a material)."""
    text = (resources.files("training.synthesis") / "data/cooccurrence.json").read_text("utf-8")
    counts = json.loads(text)
    sets = tuple(tuple(names) for _, names in counts["video_sets"])
    return Occurrence(sets, tuple(videos for videos, _ in counts["video_sets"]), counts["scratch_share"])


def draw_material_sets(rng: np.random.Generator, n: int) -> list[tuple[str, ...]]:
    """Draw `n` sets of one to five materials, each as often as it occurs in a video of Greatest Hits."""
    counted = occurrence()
    chance = np.array(counted.videos, np.float64)
    drawn = rng.choice(len(chance), size=n, p=chance / chance.sum())
    return [counted.sets[int(i)] for i in drawn]


WAV_SUFFIX = "_denoised.wav"
MP4_SUFFIX = "_denoised.mp4"

_TAIL = 1.5
_HIT_SECONDS = 1.0
_LONGEST_SCRATCH = 1.2
_SHORTEST_SCRATCH = 0.35
_HANDLING_CHANCE = 0.5
_HANDLING_LEVEL = 0.12
_TOUCHING = 0.12


@dataclass(frozen=True)
class VideoOptions:
    """Options of all videos of one dataset: seed, sample rate in Hz, size in pixels, frames a second."""

    seed: int = 0
    sample_rate: int = 44_100
    width: int = 256
    height: int = 144
    fps: int = 2


def seeded(*parts: object) -> np.random.Generator:
    """A generator seeded by `parts` alone, so that it does not depend on what was drawn before."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def video_files(folder: Path, video_id: str) -> tuple[Path, Path, Path]:
    """The sound, picture and label file of a video; the label file is written last."""
    suffixes = (WAV_SUFFIX, MP4_SUFFIX, TIMES_SUFFIX)
    wav, mp4, times = (folder / f"{video_id}{suffix}" for suffix in suffixes)
    return wav, mp4, times


def write_video(annotations: Path, target: Path, video_id: str, options: VideoOptions) -> str:
    """Write sound, pictures and labels of one video into `target`; returns its id.

    The files depend on the annotations, the id and the options only. Videos cut from one recording have the same
    objects, acoustics, textures and camera. Each file appears whole or not at all.
    """
    events = sorted(read_events(annotations / f"{video_id}{TIMES_SUFFIX}"), key=lambda event: event.time)
    seconds = (events[-1].time if events else 0.0) + _TAIL
    wav, mp4, times = video_files(target, video_id)
    with atomic_file(wav) as aside:
        outdoors = recorded_outdoors(annotations, recording_of(video_id))
        samples = sound_track(video_id, events, seconds, outdoors, options)
        soundfile.write(aside, samples, options.sample_rate, "PCM_16")
    with atomic_file(mp4) as aside:
        aside.write_bytes(encode_video(pictures(video_id, events, seconds, options), options))
    with atomic_file(times) as aside:
        shutil.copyfile(annotations / times.name, aside)
    return video_id


def recorded_outdoors(annotations: Path, recording: str) -> bool:
    """Whether any of the videos cut from a recording has an event on a material that is outdoors."""
    cuts = [
        path
        for path in sorted(annotations.glob(f"{recording}*{TIMES_SUFFIX}"))
        if recording_of(path.name.removesuffix(TIMES_SUFFIX)) == recording
    ]
    return any(event.material in OUTDOORS for path in cuts for event in read_events(path))


def sound_track(
    video_id: str, events: Sequence[Event], seconds: float, outdoors: bool, options: VideoOptions
) -> Samples:
    """The sound of all events at their times, mono float32 `[round(seconds * sample_rate)]`.

    Events without a material are silent or have a faint handling noise.
    """
    place, rate = f"{options.seed}/{recording_of(video_id)}", options.sample_rate
    mixed = np.zeros(round(seconds * rate), np.float32)
    things: dict[str | None, SoundObject] = {}
    for number, event in enumerate(events):
        rng = seeded(options.seed, video_id, "event", number)
        if event.material is None and rng.random() > _HANDLING_CHANCE:
            continue
        if event.material not in things:
            things[event.material] = draw_object(event.material or "cloth", seeded(place, "object", event.material))
        thing = things[event.material]
        if event.action == "scratch":
            until = events[number + 1].time if number + 1 < len(events) else seconds
            lasting = float(np.clip(until - event.time, _SHORTEST_SCRATCH, _LONGEST_SCRATCH))
            samples = scratch(thing, rng, rate, lasting)
        else:
            samples = strike(thing, rng, rate, _HIT_SECONDS)
        if event.material is None:
            samples *= np.float32(_HANDLING_LEVEL)
        start = round(event.time * rate)
        mixed[start : start + len(samples)] += samples[: len(mixed) - start]
    # The word "room" is a part of the seed: another word would give other sounds.
    acoustics = draw_acoustics(seeded(place, "room"), outdoors)
    return record(mixed, acoustics, seeded(options.seed, video_id, "background"), rate)


def pictures(video_id: str, events: Sequence[Event], seconds: float, options: VideoOptions) -> Iterator[Picture]:
    """Frames uint8 `[height, width, 3]`: the materials of the video and a drumstick that moves to each event."""
    look = int(seeded(options.seed, recording_of(video_id), "look").integers(2**31))
    rng = seeded(options.seed, video_id, "pictures")
    materials = list(dict.fromkeys(event.material for event in events if event.material is not None))
    if not materials:  # no event has a material: show any
        materials = list(draw_material_sets(rng, 1)[0])
    scene = draw_scene(materials, rng, options.height, options.width, look)
    path = _StickPath(scene, events, rng)
    for number in range(max(1, round(seconds * options.fps))):
        yield scene.frame(rng, path.tip(number / options.fps))


def encode_video(frames: Iterator[Picture], options: VideoOptions) -> bytes:
    """An MP4 file of `frames`: H.264 where PyAV has libx264, else MPEG-4 Part 2."""
    import av
    from av.video.stream import VideoStream

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    # With its AVX-512 assembly x264 gave different bytes for the same frames from run to run; its C code never did.
    h264 = {"preset": "veryfast", "crf": "26", "x264-params": "threads=1:asm=0"}
    quality = h264 if codec == "libx264" else {"b": "400000", "threads": "1"}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=options.fps, options=quality)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{codec} is not a codec for pictures")
        stream.width, stream.height, stream.pix_fmt = options.width, options.height, "yuv420p"
        stream.time_base = Fraction(1, options.fps)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


class _StickPath:
    """The way of the drumstick's tip: on the material of each event when it sounds, lifted in between."""

    def __init__(self, scene: Scene, events: Sequence[Event], rng: np.random.Generator) -> None:
        self._lift = 0.12 * scene.height
        self._times = np.array([event.time for event in events])
        points = [
            scene.point_on(event.material, rng)
            if event.material is not None
            else (scene.height * rng.uniform(0.3, 0.9), scene.width * rng.uniform(0.1, 0.9))
            for event in events
        ]
        self._points = np.array(points).reshape(-1, 2)

    def tip(self, time: float) -> tuple[float, float] | None:
        """Row and column at `time` seconds; None where there are no events."""
        if len(self._times) == 0:
            return None
        row, column = (float(np.interp(time, self._times, self._points[:, axis])) for axis in (0, 1))
        away = float(np.abs(self._times - time).min())
        return row - self._lift * min(1.0, max(0.0, away - _TOUCHING) / _TOUCHING), column
