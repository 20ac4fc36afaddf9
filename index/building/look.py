"""Looking at an index: its records, what is wrong with it, and what is in it."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from index.address import IndexAt, MilvusAddress, sounds_at
from index.building.cache import CACHE_FILE, DamagedCacheError, IndexCache, quiet_state
from index.building.content import sound_id
from index.building.engines import catalogue_of, records_of_current, spec_of_current, work_folder_of
from index.building.options import read_options
from index.catalogue import SoundRecord
from index.generation import current_generation
from index.library.sources import Source, source_of
from index.private import checked
from model.addresses import BucketAddress
from model.errors import LibraryError
from model.file_state import ChangedError
from model.sound import SoundLimits
from model.threads import available_cpus

_AT_ONCE = 500
_TRIES = 5
_AGAIN_SECONDS = 1.0


def records_of(index: IndexAt) -> Iterator[SoundRecord]:
    """All records of the current generation by row. Raises LibraryError where it cannot be read."""
    with records_of_current(index) as records:
        yield from records


def indexed_paths(index: IndexAt) -> set[str]:
    """The paths of all files that the current generation has, copies among them. Raises LibraryError."""
    with records_of_current(index) as records:
        return records.paths()


def has_sounds_of(index: IndexAt, source: Source, paths: set[str]) -> bool:
    """Whether one of the files at `paths` of a source is a sound of the current generation: by its path, or else by
    its content. Raises LibraryError."""
    if not paths.isdisjoint(indexed_paths(index)):
        return True
    sizes: dict[int, set[str]] = defaultdict(set)
    for record in records_of(index):
        sizes[record.bytes].add(record.id)
    for path in sorted(paths):
        try:
            state = source.state(path)
            if known := sizes.get(state.bytes):
                with source.reading(path, state) as file:
                    if sound_id(file) in known:
                        return True
        except OSError:  # The run says why it cannot be read.
            continue
    return False


def problems_of(index: IndexAt, *, quick: bool = False) -> Iterator[str]:
    """A line for each thing that is wrong: with the generation's files, with the cache, with a sound's file.

    Every file is read and its content compared; with `quick` only its size. Nothing is written, and another process
    may be at work on the index: its cache is read again a few times then, and nothing is said of a cache that was
    being written each time. Raises LibraryError where there is no index.
    """
    problems = list(_of_engine(index))
    yield from problems
    if problems:
        return
    yield from _of_cache(index)
    try:
        source = source_of(sounds_at(spec_of_current(index).library_root))
        if isinstance(source.root, BucketAddress):
            source.walk()  # one list in place of a question for each object
    except LibraryError as error:
        yield str(error)
        return
    with closing(source), ThreadPoolExecutor(available_cpus()) as pool:
        found: list[Any] = []
        for record in records_of(index):
            found += [pool.submit(_of_file, source, path, record, quick) for path in (record.path, *record.copies)]
            if len(found) >= _AT_ONCE:
                yield from filter(None, (one.result() for one in found))
                found = []
        yield from filter(None, (one.result() for one in found))


def stats_of(index: IndexAt) -> dict[str, Any]:
    """Counts and sizes of the current generation, for a person or a script. Raises LibraryError."""
    spec, index_folder = spec_of_current(index), work_folder_of(index)
    seconds, size, hits = 0.0, 0, 0
    formats: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    rates: Counter[str] = Counter()
    for record in records_of(index):
        seconds, size, hits = seconds + record.seconds, size + record.bytes, hits + len(record.hits)
        formats[record.format] += 1
        rates[f"{record.sample_rate} Hz"] += 1
        labels[record.label_from or "none"] += 1
    files = [Path(folder, name) for folder, _, names in os.walk(index_folder) for name in names]
    cache = index_folder / CACHE_FILE
    return {
        "index": spec.id,
        "bundle": spec.bundle_id,
        "folder": spec.library_root,
        "sounds": spec.sounds,
        "hits": hits,
        "duplicates": spec.duplicates,
        "skipped": spec.skipped,
        "removed": len(read_options(index_folder).removed),
        "hours": round(seconds / 3600, 2),
        "bytes of sounds": size,
        "bytes of index": sum(file.lstat().st_size for file in files if file != cache),
        "bytes of cache": cache.stat().st_size if cache.exists() else 0,
        "materials": {**spec.materials, "unlabelled": spec.unlabelled},
        "labels from": dict(labels.most_common()),
        "formats": dict(formats.most_common()),
        "sample rates": dict(rates.most_common(10)),
    }


def _of_engine(index: IndexAt) -> Iterator[str]:
    if isinstance(index, MilvusAddress):
        from index.milvus.connection import MilvusConnection
        from index.milvus.pointers import check_whole, current_of

        with closing(MilvusConnection(index)) as connection:
            try:
                check_whole(connection, current_of(connection))
            except LibraryError as error:
                yield str(error)
        return
    generation, whole = current_generation(index), True
    for name, record in generation.spec.files.items():
        try:
            for _ in checked(generation.folder / name, record):
                pass
        except LibraryError as error:
            whole = False
            yield str(error)
    if whole:
        try:
            with catalogue_of(generation):
                pass
        except LibraryError as error:  # a hash says only that a file is as it was written
            yield str(error)


def _of_cache(index: IndexAt) -> Iterator[str]:
    index_folder = work_folder_of(index)
    if isinstance(index, MilvusAddress) and not index_folder.exists():
        return  # another machine indexes
    if not (index_folder / CACHE_FILE).exists():
        yield f"{index_folder / CACHE_FILE} is not there: the next run embeds all sounds again"
        return
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_AGAIN_SECONDS)
        try:
            before = quiet_state(index_folder)
            found = list(_read_cache(index))
            # What is read while a run writes may look like damage, and is not.
            if not found or (before is not None and before == quiet_state(index_folder)):
                yield from found
                return
        except OSError:  # It was removed a moment ago, by a run that makes it anew.
            continue


def _read_cache(index: IndexAt) -> Iterator[str]:
    index_folder = work_folder_of(index)
    limits = SoundLimits(max_seconds=read_options(index_folder).max_seconds)
    try:
        with IndexCache(index_folder, spec_of_current(index).bundle_id, limits, read_only=True) as cache:
            cache.check()
            missing = sum(cache.seconds(record.id) is None for record in records_of(index))
    except DamagedCacheError as error:
        yield f"{error}: the next run makes it anew"
        return
    if missing:
        yield f"{index_folder / CACHE_FILE} lacks {missing:,} sounds of the index: the next run embeds them again"


def _of_file(source: Source, path: str, record: SoundRecord, quick: bool) -> str | None:
    try:
        state = source.state(path)
        same = state.bytes == record.bytes
        if same and not quick:
            with source.reading(path, state) as file:
                same = sound_id(file) == record.id
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: it is not there"
    except ChangedError:
        same = False
    except OSError as error:
        return f"{path}: it cannot be read: {error.strerror or error}"
    return None if same else f"{path}: it has changed since it was indexed"
