"""Looking at an index: its records, what is wrong with it, and what is in it."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from index.building.cache import CACHE_FILE, DamagedCacheError, IndexCache, quiet_state
from index.building.content import sound_id
from index.building.options import read_options
from index.catalogue import Catalogue, SoundRecord
from index.generation import CATALOGUE, Generation, current_generation
from index.private import checked, private_file
from model.errors import LibraryError
from model.sound import SoundLimits
from model.threads import available_cpus

_AT_ONCE = 500
_TRIES = 5
_AGAIN_SECONDS = 1.0


def records_of(index_folder: Path) -> Iterator[SoundRecord]:
    """All records of the current generation by row. Raises LibraryError where it cannot be read."""
    with _catalogue_of(current_generation(index_folder)) as catalogue:
        for start in range(0, len(catalogue), _AT_ONCE):
            yield from catalogue.rows(range(start, min(start + _AT_ONCE, len(catalogue))))


def indexed_paths(index_folder: Path) -> set[str]:
    """The paths of all files that the current generation has, copies among them. Raises LibraryError."""
    with _catalogue_of(current_generation(index_folder)) as catalogue:
        return catalogue.paths()


def has_sounds_of(index_folder: Path, root: Path, paths: set[str]) -> bool:
    """Whether one of the files at `paths` under `root` is a sound of the current generation: by its path, or else
    by its content. Raises LibraryError."""
    if not paths.isdisjoint(indexed_paths(index_folder)):
        return True
    sizes: dict[int, set[str]] = defaultdict(set)
    for record in records_of(index_folder):
        sizes[record.bytes].add(record.id)
    for path in sorted(paths):
        file = root / path
        try:
            if (known := sizes.get(file.stat().st_size)) and sound_id(file) in known:
                return True
        except OSError:  # The run says why it cannot be read.
            continue
    return False


@contextmanager
def _catalogue_of(generation: Generation) -> Iterator[Catalogue]:
    """The catalogue of a generation, of which every row was checked."""
    with private_file(generation.folder / CATALOGUE, generation.spec.files[CATALOGUE]) as source:
        catalogue = Catalogue(source, every_row=True)
    with closing(catalogue):
        yield catalogue


def problems_of(index_folder: Path, *, quick: bool = False) -> Iterator[str]:
    """A line for each thing that is wrong: with the generation's files, with the cache, with a sound's file.

    Every file is read and its content compared; with `quick` only its size. Nothing is written, and another process
    may be at work on the index: its cache is read again a few times then, and nothing is said of a cache that was
    being written each time. Raises LibraryError where there is no index.
    """
    generation = current_generation(index_folder)
    problems = list(_of_generation(generation))
    yield from problems
    if problems:
        return
    yield from _of_cache(index_folder, generation)
    root = Path(generation.spec.library_root)
    if not root.is_dir():
        yield f"the sound folder {root} is not there"
        return
    with ThreadPoolExecutor(available_cpus()) as pool:
        found: list[Any] = []
        for record in records_of(index_folder):
            found += [pool.submit(_of_file, root, path, record, quick) for path in (record.path, *record.copies)]
            if len(found) >= _AT_ONCE:
                yield from filter(None, (one.result() for one in found))
                found = []
        yield from filter(None, (one.result() for one in found))


def stats_of(index_folder: Path) -> dict[str, Any]:
    """Counts and sizes of the current generation, for a person or a script. Raises LibraryError."""
    spec = current_generation(index_folder).spec
    seconds, size, hits = 0.0, 0, 0
    formats: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    rates: Counter[str] = Counter()
    for record in records_of(index_folder):
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


def _of_generation(generation: Generation) -> Iterator[str]:
    whole = True
    for name, record in generation.spec.files.items():
        try:
            for _ in checked(generation.folder / name, record):
                pass
        except LibraryError as error:
            whole = False
            yield str(error)
    if whole:
        try:
            with _catalogue_of(generation):
                pass
        except LibraryError as error:  # a hash says only that a file is as it was written
            yield str(error)


def _of_cache(index_folder: Path, generation: Generation) -> Iterator[str]:
    if not (index_folder / CACHE_FILE).exists():
        yield f"{index_folder / CACHE_FILE} is not there: the next run embeds all sounds again"
        return
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_AGAIN_SECONDS)
        try:
            before = quiet_state(index_folder)
            found = list(_read_cache(index_folder, generation))
            # What is read while a run writes may look like damage, and is not.
            if not found or (before is not None and before == quiet_state(index_folder)):
                yield from found
                return
        except OSError:  # It was removed a moment ago, by a run that makes it anew.
            continue


def _read_cache(index_folder: Path, generation: Generation) -> Iterator[str]:
    limits = SoundLimits(max_seconds=read_options(index_folder).max_seconds)
    try:
        with IndexCache(index_folder, generation.spec.bundle_id, limits, read_only=True) as cache:
            cache.check()
            missing = sum(cache.seconds(record.id) is None for record in records_of(index_folder))
    except DamagedCacheError as error:
        yield f"{error}: the next run makes it anew"
        return
    if missing:
        yield f"{index_folder / CACHE_FILE} lacks {missing:,} sounds of the index: the next run embeds them again"


def _of_file(root: Path, path: str, record: SoundRecord, quick: bool) -> str | None:
    file = root / path
    try:
        if not file.is_file():
            return f"{path}: it is not there"
        if file.stat().st_size != record.bytes or not (quick or sound_id(file) == record.id):
            return f"{path}: it has changed since it was indexed"
    except OSError as error:
        return f"{path}: it cannot be read: {error.strerror or error}"
    return None
