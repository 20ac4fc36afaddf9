"""Synthetic media for the real labels of Greatest Hits, in the layout of that dataset.

For every video id of an annotations folder: `<id>_denoised.wav`, `<id>_denoised.mp4` and `<id>_times.txt`, and the
lists `train.txt` and `test.txt`. `synthesis.json` says how the folder was made, so that an interrupted run can be
continued. `videos` makes one video.
"""

import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from model.atomic import atomic_file
from model.errors import TrainingError
from model.materials import MATERIALS
from model.progress import progress
from training.data.greatest_hits import SYNTHESIS_FILE, TIMES_SUFFIX, read_events, read_split
from training.synthesis.videos import VideoOptions, video_files, write_video

SPLITS = ("train.txt", "test.txt")

# Increased whenever the same options give other sounds or pictures than before.
_GENERATOR = 3
_PACKAGES = ("thud", "numpy", "scipy", "soundfile", "av")


@dataclass(frozen=True)
class Synthesis:
    """The result of a run: ids `written` now, ids `skipped` because an earlier run had finished them."""

    written: tuple[str, ...]
    skipped: tuple[str, ...]


def synthesize_greatest_hits(
    annotations: Path, target: Path, options: VideoOptions, workers: int, limit: int | None = None
) -> Synthesis:
    """Write the dataset to `target` and return what was written and skipped.

    Videos that an earlier run finished are skipped. With `limit`, only that many videos are made, chosen so that
    each material is in one as early as possible. The result does not depend on `workers`, the number of processes
    (1: this process alone). Raises TrainingError for broken annotations, impossible options, and for a `target`
    that is not empty and not from a run with the same options and annotations.
    """
    _check(options, workers, limit)
    materials, splits = _read_annotations(annotations)
    ids = sorted(materials) if limit is None else _choose(materials, splits, limit)
    _claim(target, _identity(annotations, options, limit))
    for name, members in splits.items():
        chosen = set(ids)
        with atomic_file(target / name) as aside:
            aside.write_text("".join(f"{i}\n" for i in members if i in chosen), encoding="utf-8")
    skipped = tuple(i for i in ids if all(path.exists() for path in video_files(target, i)))
    todo = [i for i in ids if i not in set(skipped)]
    with progress("greatest-hits", len(ids), "video", len(skipped)) as bar:
        for _ in _write_all(annotations, target, options, todo, workers):
            bar.update()
    return Synthesis(tuple(todo), skipped)


def _write_all(
    annotations: Path, target: Path, options: VideoOptions, ids: Sequence[str], workers: int
) -> Iterator[str]:
    """Write the videos and yield each id when its files are written."""
    if workers == 1 or len(ids) < 2:
        for video_id in ids:
            yield write_video(annotations, target, video_id, options)
        return
    # Spawned, not forked: a fork copies locks that other threads hold.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        with _interrupts_held_back():
            jobs = [pool.submit(write_video, annotations, target, video_id, options) for video_id in ids]
        for job in as_completed(jobs):
            yield job.result()
    except BrokenProcessPool as error:
        raise TrainingError("a worker process died; run the same command again to go on") from error
    finally:
        # Ctrl-C stops this process only: the workers finish their current video.
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C in this thread inside the block, and for ever in the processes that are started there."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check(options: VideoOptions, workers: int, limit: int | None) -> None:
    if options.width % 2 or options.height % 2 or min(options.width, options.height) < 32:
        raise TrainingError(f"{options.width}x{options.height}: width and height must be even and at least 32")
    if not 8_000 <= options.sample_rate <= 192_000:
        raise TrainingError(f"a sample rate of {options.sample_rate} Hz is not between 8,000 and 192,000")
    if not 1 <= options.fps <= 60:
        raise TrainingError(f"{options.fps} frames a second is not between 1 and 60")
    if workers < 1 or (limit is not None and limit < 1):
        raise TrainingError("the number of workers and the limit must be at least 1")


def _read_annotations(folder: Path) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """The materials of every video by id, and the ids of each split. All is read before anything is written."""
    files = sorted(folder.glob(f"*{TIMES_SUFFIX}"))
    if not files:
        raise TrainingError(f"{folder} holds no annotations (no file *{TIMES_SUFFIX})")
    materials = {
        path.name.removesuffix(TIMES_SUFFIX): {event.material for event in read_events(path) if event.material}
        for path in files
    }
    splits = {name: read_split(folder / name) for name in SPLITS}
    for name, members in splits.items():
        for video_id in members:
            if video_id not in materials:
                raise TrainingError(f"{folder / name} lists {video_id}, which has no {video_id}{TIMES_SUFFIX}")
    return materials, splits


def _choose(materials: dict[str, set[str]], splits: dict[str, list[str]], limit: int) -> list[str]:
    """`limit` ids: one video of each material in turn, the rarest first, alternately from train and test."""
    counts = {m.name: sum(m.name in held for held in materials.values()) for m in MATERIALS}
    turns = sorted((name for name, count in counts.items() if count), key=lambda name: (counts[name], name))
    test = set(splits["test.txt"])
    chosen: list[str] = []
    left = sorted(materials)
    while left and len(chosen) < limit:
        before = len(chosen)
        for position, name in enumerate(turns):
            wanted = (position + before) % 2 == 1
            of_material = [i for i in left if name in materials[i]]
            if of_material and len(chosen) < limit:
                pick = next((i for i in of_material if (i in test) == wanted), of_material[0])
                chosen.append(pick)
                left.remove(pick)
        if len(chosen) == before:  # only videos without any material are left
            chosen += left[: limit - before]
            break
    return sorted(chosen)


def _identity(annotations: Path, options: VideoOptions, limit: int | None) -> dict[str, Any]:
    """Everything that decides the content of the folder."""
    digest = hashlib.sha256()
    for path in sorted([*annotations.glob(f"*{TIMES_SUFFIX}"), *(annotations / name for name in SPLITS)]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return {"generator": _GENERATOR, **asdict(options), "limit": limit, "annotations": digest.hexdigest()[:16]}


def _claim(target: Path, identity: dict[str, Any]) -> None:
    """Make `target` the folder of this run, or check that it is: other files are never overwritten."""
    record = target / SYNTHESIS_FILE
    if not record.exists():
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise TrainingError(f"{target} is there already and has no {SYNTHESIS_FILE}; choose another folder")
        content = {
            "what": "synthetic sounds and pictures on the labels of Greatest Hits (Owens et al., CC BY 4.0)",
            "made_by": "thud synthesize greatest-hits",
            "options": identity,
            "versions": {name: metadata.version(name) for name in _PACKAGES},
        }
        with atomic_file(record) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return
    try:
        earlier = json.loads(record.read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{record} cannot be read; choose another folder") from error
    names = [name for name in {**identity, **earlier} if identity.get(name) != earlier.get(name)]
    if names:
        differences = ", ".join(f"{name} {earlier.get(name)} (now {identity.get(name)})" for name in names)
        raise TrainingError(f"{target} was made with {differences}; choose the same or another folder")
