"""Turning a source of items into a prepared dataset: in parallel, interruptible, and going on where it stopped.

While it runs, `DATASET.building/` holds the arrays as they grow and a journal with one line a finished item.
After an interruption the arrays are cut back to the items in the journal, and the work goes on from there.
"""

import hashlib
import json
import os
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from model.bundle import ClipSpec, PictureSpec
from model.errors import ThudError, TrainingError
from model.locks import exclusive
from model.progress import progress
from training.data.dataset import (
    CLIPS_FILE,
    FULL_SCALE,
    INFO_FILE,
    LABELS_FILE,
    PICTURES_FILE,
    SPLITS,
    Dataset,
    DatasetInfo,
    load_dataset,
)
from training.data.items import Item, Source, SourceAwayError
from training.data.labels import Row, build_labels

JOURNAL_FILE = "journal.jsonl"
PLAN_FILE = "plan.json"
SKIPPED_FILE = "skipped.tsv"


@dataclass(frozen=True)
class PrepareOptions:
    """How to prepare: the towers' inputs, the shares drawn for validation and test, the seed, the processes."""

    picture: PictureSpec = PictureSpec()
    clip: ClipSpec = ClipSpec()
    val_share: float = 0.2
    test_share: float = 0.0
    seed: int = 0
    workers: int = 1


def prepare(
    source: Source, target: Path, options: PrepareOptions, say: Callable[[str], None] = lambda line: None
) -> Dataset:
    """Prepare `source` as the dataset `target` and open it.

    Parts that cannot be used are skipped, counted in dataset.json and listed with their reason in skipped.tsv.
    `say` takes a line on what an earlier, interrupted run left, and on splits that could not be drawn. Raises
    TrainingError if `target` exists, if nothing is left to train on, and, as SourceAwayError, where the source
    cannot be reached any more: another run goes on from there.
    """
    if target.exists():
        raise TrainingError(f"{target} exists already; remove it or choose another name")
    with exclusive(target):
        return _prepare(source, target, options, say)


def _prepare(source: Source, target: Path, options: PrepareOptions, say: Callable[[str], None]) -> Dataset:
    building = target.with_name(target.name + ".building")
    done = _resume(building, source, options, say)
    with (
        (building / PICTURES_FILE).open("ab") as pictures,
        (building / CLIPS_FILE).open("ab") as clips,
        (building / JOURNAL_FILE).open("a", encoding="utf-8") as journal,
    ):
        tasks = source.tasks
        with progress(f"prepare {target.name}", len(tasks), "item", done) as bar:
            try:
                for item in _read_all(source, tasks[done:], options):
                    _append(pictures, [] if item.picture is None else [item.picture.pixels])
                    peaks = _append_clips(clips, item)
                    journal.write(json.dumps(_row(item, peaks), ensure_ascii=False) + "\n")
                    journal.flush()
                    bar.update()
            except SourceAwayError as error:
                raise SourceAwayError(f"{error}; what was read is kept, run it again") from error
    try:
        _finish(building, source, options, say)
    except TrainingError:
        # What was read is of no use; if it were kept, a run on corrected files would go on from it.
        shutil.rmtree(building)
        raise
    building.rename(target)
    return load_dataset(target)


def _resume(building: Path, source: Source, options: PrepareOptions, say: Callable[[str], None]) -> int:
    """Bring the building folder to its last whole item; returns how many items it holds."""
    described = {"source": source.description, "tasks": [repr(task) for task in source.tasks]}
    sizes = {"picture": options.picture.model_dump(), "clip": options.clip.model_dump()}
    plan = hashlib.sha256(json.dumps([described, sizes], sort_keys=True).encode()).hexdigest()
    plan_file = building / PLAN_FILE
    if not plan_file.exists() or plan_file.read_text(encoding="utf-8") != plan:
        if building.exists():
            say(f"{building} was begun with other data or options: starting anew")
            shutil.rmtree(building)
        building.mkdir(parents=True)
        plan_file.write_text(plan, encoding="utf-8")
        return 0
    rows, length = _journal_rows(building)
    pictures = sum(row["picture"] is not None for row in rows)
    clips = sum(len(row["clips"]) for row in rows)
    _cut(building / JOURNAL_FILE, length)
    _cut(building / PICTURES_FILE, pictures * options.picture.size**2 * 3)
    _cut(building / CLIPS_FILE, clips * options.clip.samples * 2)
    if rows:
        say(f"going on after {len(rows):,} items done before")
    return len(rows)


def _journal_rows(building: Path) -> tuple[list[Row], int]:
    """The whole rows of the journal, and the length in bytes that they take."""
    rows: list[Row] = []
    length = 0
    try:
        content = (building / JOURNAL_FILE).read_bytes()
    except FileNotFoundError:
        return rows, 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break  # cut off in the middle of a line
        rows.append(json.loads(line))
        length += len(line)
    return rows, length


def _cut(file: Path, length: int) -> None:
    with file.open("ab"):
        pass
    if file.stat().st_size < length:
        raise TrainingError(f"{file} is shorter than its journal says; remove {file.parent} and start anew")
    os.truncate(file, length)


def _read_all(source: Source, tasks: Any, options: PrepareOptions) -> Iterator[Item]:
    """Read the tasks in order; several processes read ahead by a bounded number of items."""
    if options.workers <= 1:
        for task in tasks:
            yield _read_one(source.read, task, options)
        return
    # spawn: a fork of a process that has threads (the progress bar's, say) can hang.
    pool = ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    waiting: deque[Future[Item]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_read_one, source.read, task, options))
            if len(waiting) >= 8 * options.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise TrainingError("a worker process was ended from outside (short of memory?); run it again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, also where that was killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read_one(read: Any, task: Any, options: PrepareOptions) -> Item:
    try:
        item: Item = read(task, options.picture, options.clip)
    except SourceAwayError:
        raise
    except ThudError as error:
        name = str(getattr(task, "id", task))
        return Item(name, name, "", "", skipped=(str(error),))
    return item


def _append(file: BinaryIO, arrays: list[Any]) -> None:
    for array in arrays:
        file.write(np.ascontiguousarray(array).tobytes())
    file.flush()


def _append_clips(file: BinaryIO, item: Item) -> list[float]:
    """Write the item's clips scaled to full range; returns each one's own peak."""
    peaks = [float(np.abs(clip.samples).max()) for clip in item.clips]
    scaled = [
        np.round(clip.samples * (FULL_SCALE / peak)).astype("<i2")
        for clip, peak in zip(item.clips, peaks, strict=True)
    ]
    _append(file, scaled)
    return peaks


def _row(item: Item, peaks: list[float]) -> Row:
    picture = item.picture
    return {
        "id": item.id,
        "group": item.group,
        "source": item.source,
        "split": item.split,
        "picture": None if picture is None else {"id": picture.id, "materials": sorted(picture.materials)},
        "clips": [
            {"id": clip.id, "material": clip.material, "action": clip.action, "peak": peak}
            for clip, peak in zip(item.clips, peaks, strict=True)
        ],
        "skipped": list(item.skipped),
    }


def _finish(building: Path, source: Source, options: PrepareOptions, say: Callable[[str], None]) -> None:
    rows, _ = _journal_rows(building)
    labels = build_labels(rows, options.val_share, options.test_share, options.seed)
    train = SPLITS.index("train")
    if not (labels.picture_split == train).any() or not (labels.clip_split == train).any():
        reasons = Counter(reason for row in rows for reason in row["skipped"]).most_common(3)
        why = "; ".join(f"{count}x {reason}" for reason, count in reasons)
        raise TrainingError(f"no picture or no clip is left to train on{' (' + why + ')' if why else ''}")
    for name, share in (("val", options.val_share), ("test", options.test_share)):
        for kind, column in (("picture", labels.picture_split), ("clip", labels.clip_split)):
            if share > 0 and not (column == SPLITS.index(name)).any():
                say(f"no {kind} could be drawn for {name}: too few groups; name smaller ones in a column `group`")
    np.savez(building / LABELS_FILE, **vars(labels))
    lines = [f"{row['id']}\t{reason}\n" for row in rows for reason in row["skipped"]]
    (building / SKIPPED_FILE).write_text("".join(lines), encoding="utf-8")
    digest = hashlib.sha256()
    for name in (PICTURES_FILE, CLIPS_FILE, LABELS_FILE):
        with (building / name).open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    split = {"val_share": options.val_share, "test_share": options.test_share, "seed": options.seed}
    info = DatasetInfo(
        id=digest.hexdigest()[:16],
        picture=options.picture,
        clip=options.clip,
        pictures=len(labels.picture_id),
        clips=len(labels.clip_id),
        source={**source.description, "split": split},
        skipped=dict(Counter(reason for row in rows for reason in row["skipped"]).most_common()),
    )
    (building / INFO_FILE).write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (building / JOURNAL_FILE).unlink()
    (building / PLAN_FILE).unlink()
