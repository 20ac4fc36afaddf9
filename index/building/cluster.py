"""Embedding on a Ray cluster: what no run has embedded goes to its nodes, in batches, and comes back to the cache.

Ray Data hands the batches to actors that hold one tower each, and hands them out again when a node is lost.
Whatever is not in the cache afterwards is done by `embed_sounds` on this machine, as if there were no cluster: so
both ways end in the same index.
"""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from index.building.cache import LARGE, IndexCache
from index.building.content import KnownFile
from index.building.reading import Found, Work, embed_files, hash_file
from index.library.sources import Source
from model.bundle import Bundle
from model.errors import LibraryError
from model.progress import progress
from model.runtime import TowerRuntime
from model.sound import SoundLimits

_BATCH = 8
"""Sounds that an actor embeds before it hands them back: what a lost node costs."""
_AT_ONCE = 256
_COMMIT_EVERY = 256
_LISTENS_SECONDS = 5.0


def embed_on_cluster(
    address: str,
    bundle_folder: Path,
    source: Source,
    paths: Sequence[str],
    *,
    cache: IndexCache,
    limits: SoundLimits,
    workers: int,
) -> int:
    """Embed those sounds of a source that are not in the `cache`, and add them to it; how many they were.

    All nodes of the cluster must reach the bundle and the sounds under the same names. The cache is written every
    256 sounds and when the run is interrupted. Raises LibraryError where Ray is not installed, where there is no
    cluster at the address, and where its nodes cannot work.
    """
    works = list(_unknown(source, paths, cache, limits, workers))
    if not works:
        return 0
    embedded = 0
    try:
        with _cluster(address) as ray, progress("embedding on the cluster", len(works), "sound") as bar:
            for number, (work, found) in enumerate(_embedded(ray, bundle_folder, source, works, limits), 1):
                if found.content is not None:
                    cache.add(found.content)
                    embedded += 1
                if work.settled and (found.reason is None or found.lasts):
                    cache.remember(work.path, work.state, KnownFile(found.id, found.reason))
                if number % _COMMIT_EVERY == 0:
                    cache.commit()
                bar.update(1)
    finally:
        cache.commit()
    return embedded


def _unknown(
    source: Source, paths: Sequence[str], cache: IndexCache, limits: SoundLimits, workers: int
) -> Iterator[Work]:
    """The files whose contents the cache does not know, one of those with the same content."""
    taken: set[str] = set()
    with ThreadPoolExecutor(workers) as pool, progress("finding out contents", len(paths), "sound") as bar:
        for start in range(0, len(paths), _AT_ONCE):
            bar.update(min(_AT_ONCE, len(paths) - start))
            works = list(_to_read(source, range(start, min(start + _AT_ONCE, len(paths))), paths, cache))
            hashing = [
                # What is large may be a sound of hours, which its header tells.
                pool.submit(hash_file, source, work.path, work.state) if work.state.bytes <= LARGE else None
                for work in works
            ]
            for work, hashed in zip(works, hashing, strict=True):
                if hashed is not None:
                    work.id = hashed.result().id
                    if work.id is not None and _known(cache, work.id, limits) and work.settled:
                        cache.remember(work.path, work.state, KnownFile(work.id))
                    if work.id is None or work.id in taken or _known(cache, work.id, limits):
                        continue
                    taken.add(work.id)
                yield work


def _to_read(source: Source, places: Sequence[int], paths: Sequence[str], cache: IndexCache) -> Iterator[Work]:
    states = {}
    for place in places:
        try:
            states[paths[place]] = source.state(paths[place])
        except OSError:
            continue  # this machine says why
    found = cache.files(states)
    for place in places:
        path = paths[place]
        if path in states and path not in found:
            yield Work(place, path, states[path], settled=states[path].settled())


def _known(cache: IndexCache, identity: str, limits: SoundLimits) -> bool:
    seconds = cache.seconds(identity)
    return seconds is not None and seconds <= limits.max_seconds


class _Embedder:
    """An actor: it holds one tower."""

    def __init__(self, bundle_folder: Path, source: Source, limits: SoundLimits) -> None:
        self._runtime = TowerRuntime(Bundle.open(bundle_folder), threads=1)
        self._source, self._limits = source, limits

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        works: list[Work] = [pickle.loads(one) for one in batch["work"]]  # noqa: S301 -- what this run has sent
        found = embed_files(self._runtime, self._source, works, self._limits)
        return {"found": np.array([_packed(one) for one in zip(works, found, strict=True)], object)}


def _embedded(
    ray: Any, bundle_folder: Path, source: Source, works: list[Work], limits: SoundLimits
) -> Iterator[tuple[Work, Found]]:
    import ray.data as ray_data

    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        items = ray_data.from_items(
            [{"work": _packed(work)} for work in works], override_num_blocks=max(1, -(-len(works) // _BATCH))
        )
        done = items.map_batches(
            _Embedder,
            fn_constructor_args=(bundle_folder, source, limits),
            batch_size=_BATCH,
            num_cpus=1,
            compute=ray_data.ActorPoolStrategy(min_size=1, max_size=processors),
        )
        for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
            yield from (pickle.loads(one) for one in batch["found"])  # noqa: S301 -- what our actors have sent
    except ray.exceptions.RayError as error:
        raise LibraryError(f"the cluster could not embed: {_reason(error)}") from error


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise LibraryError("--ray needs Ray; install it with: pip install 'thud[ray]'") from error
    try:
        _somebody_listens(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, ignore_reinit_error=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise LibraryError(f"there is no Ray cluster at {address}: {_reason(error)}") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _somebody_listens(address: str) -> None:
    """Raise OSError at once where nobody does; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _LISTENS_SECONDS).close()


def _packed(value: object) -> bytes:
    return pickle.dumps(value)


def _reason(error: BaseException) -> str:
    """The last line of what Ray says, which begins with the tracebacks of other processes."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip()[:200]
