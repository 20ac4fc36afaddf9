"""Finding out the content of each sound of a library, and embedding in parallel what no run has embedded before."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from index.building.cache import LARGE, IndexCache
from index.building.content import ID_DIGITS, KnownFile
from index.building.reading import Found, Work, embed_files, hash_file, tags_of, unreadable
from index.library.finding import Skipped
from index.library.sources import Source
from model.file_state import FileState
from model.progress import progress
from model.runtime import TowerRuntime
from model.sound import SoundLimits
from model.sound_format.silent_decoders import silent_decoders

Ids = npt.NDArray[np.bytes_]

_AT_ONCE = 64
"""So many files are looked at together."""
_AHEAD = 128
"""So many sounds are on their way through the threads, more where there are many threads."""
_GROUP = 8
"""So many sounds are decoded by a thread before it embeds them: in turns, each would find cold caches."""
_COMMIT_EVERY = 256


@dataclass
class Embedded:
    """What `embed_sounds` found: the content's id of each path, empty where it is `skipped`.

    `embedded` counts the sounds that this run embedded.
    """

    ids: Ids
    skipped: list[Skipped] = field(default_factory=list)
    embedded: int = 0


def embed_sounds(
    runtime: Callable[[], TowerRuntime],
    source: Source,
    paths: Sequence[str],
    *,
    cache: IndexCache,
    limits: SoundLimits,
    workers: int,
) -> Embedded:
    """Find the content of the sounds at `paths` of `source`; what is not in the `cache` is embedded and added.

    A file is hashed only if its state is not known, and embedded only if its content is not; of files with the same
    content one is embedded. Of known contents, tags that another version of the code has read are read again. The
    cache is written every 256 sounds and when the run is interrupted. A sound that cannot be used becomes a
    `Skipped`. `runtime` is called when the first sound is to be embedded.
    """
    with (
        silent_decoders(),
        ThreadPoolExecutor(workers) as pool,
        progress("embedding", len(paths), "sound") as bar,
    ):
        run = _Run(pool, runtime, source, paths, cache, limits, bar.update, workers)
        try:
            run.all()
            run.read_tags_again()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            cache.commit()
    run.result.skipped.sort(key=lambda one: one.path)
    return run.result


class _Group:
    """Works that one thread does."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.future: Future[list[Found]] | None = None

    def add(self, work: Work) -> Callable[[], Found]:
        """Gives the work's result, once the group has its future."""
        place = len(self.works)
        self.works.append(work)

        def result() -> Found:
            assert self.future is not None
            return self.future.result()[place]

        return result


class _Run:
    """The pipeline: states of files, then their hashes, then their embeddings, each a little ahead of the next."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        runtime: Callable[[], TowerRuntime],
        source: Source,
        paths: Sequence[str],
        cache: IndexCache,
        limits: SoundLimits,
        done: Callable[[], object],
        workers: int,
    ) -> None:
        self._workers = workers
        self._pool, self._runtime, self._cache, self._limits, self._done = pool, runtime, cache, limits, done
        self._source, self._paths = source, paths
        self.result = Embedded(np.zeros(len(paths), f"S{ID_DIGITS}"))
        self._hashing: deque[list[Work]] = deque()
        self._embedding: deque[Work] = deque()
        self._on_the_way: dict[str, Callable[[], Found]] = {}  # by content
        self._refused: dict[str, str] = {}  # reasons by content
        self._trying: set[int] = set()  # sizes of large files of unknown content that are being decoded
        self._waiting: dict[int, deque[Work]] = {}  # other files of these sizes
        self._uncommitted = 0

    def all(self) -> None:
        """Take every path to its end."""
        for start in range(0, len(self._paths), _AT_ONCE):
            self._hash(self._changed(range(start, min(start + _AT_ONCE, len(self._paths)))))
            if len(self._hashing) > 1:
                self._embed(self._hashing.popleft())
            self._collect(max(_AHEAD, 3 * _GROUP * self._workers))
        self._finish()
        while self._waiting:
            some: list[Work] = []
            for size, works in list(self._waiting.items()):
                some += works if size in self._cache.sizes else [works.popleft()]
                if size in self._cache.sizes or not works:
                    del self._waiting[size]
            self._hash(some)
            self._finish()

    def read_tags_again(self) -> None:
        """Those of known contents that another version of the code has read; they stay as they are at an error."""
        old = self._cache.with_old_tags()
        reading: deque[tuple[str, Future[dict[str, str] | None]]] = deque()
        for place in range(len(self._paths) if old else 0):
            identity = self.result.ids[place].decode()
            if identity not in old:
                continue
            path = self._paths[place]
            try:
                state = self._source.state(path)
            except OSError:
                continue
            old.discard(identity)
            known = self._cache.files({path: state}).get(path)
            settled = known is not None and known.id == identity
            job = self._pool.submit(tags_of, self._source, path, state, identity, settled=settled)
            reading.append((identity, job))
            self._replace_tags(reading, _AHEAD)
        self._replace_tags(reading, 0)

    def _replace_tags(self, reading: "deque[tuple[str, Future[dict[str, str] | None]]]", left: int) -> None:
        while len(reading) > left:
            identity, job = reading.popleft()
            tags = job.result()
            if tags is not None:
                self._cache.replace_tags(identity, tags)

    def _changed(self, places: Sequence[int]) -> list[Work]:
        """The files that have to be read; what the cache knows of the others is taken at once."""
        states: dict[str, FileState] = {}
        for place in places:
            path = self._paths[place]
            try:
                states[path] = self._source.state(path)
            except OSError as error:
                self._skip(path, unreadable(error))
        found = self._cache.files(states)
        changed = []
        for place in places:
            path = self._paths[place]
            state, known = states.get(path), found.get(path)
            if state is None:
                continue
            if known is None:
                changed.append(Work(place, path, state, settled=state.settled()))
            elif known.reason is not None:
                self._skip(path, known.reason)
            elif known.id is not None and self._accepted(known.seconds):
                self._take(place, known.id)
            else:
                changed.append(Work(place, path, state, settled=True, id=known.id))
        return changed

    def _embedded(self, identity: str) -> bool:
        """Whether the content is known, and no longer than is accepted now."""
        return self._accepted(self._cache.seconds(identity))

    def _accepted(self, seconds: float | None) -> bool:
        return seconds is not None and seconds <= self._limits.max_seconds

    def _hash(self, works: list[Work]) -> None:
        for work in works:
            # A large file may be a sound of hours, which its header tells: such a one is decoded first.
            if work.id is None and (work.state.bytes <= LARGE or work.state.bytes in self._cache.sizes):
                work.result = self._pool.submit(hash_file, self._source, work.path, work.state).result
        self._hashing.append(works)

    def _embed(self, works: list[Work]) -> None:
        group = _Group()
        for work in works:
            if work.result is not None:
                hashed = work.result()
                work.id, work.result = hashed.id, None
                if hashed.id is None:
                    self._end(work, hashed)
                    continue
            if work.id is None:
                if work.state.bytes in self._trying:
                    self._waiting.setdefault(work.state.bytes, deque()).append(work)
                    continue
                self._trying.add(work.state.bytes)
            elif work.id in self._refused:
                self._end(work, Found(work.id, reason=self._refused[work.id], lasts=True))
                continue
            elif work.id in self._on_the_way:
                work.result = self._on_the_way[work.id]
            elif self._embedded(work.id):
                self._end(work, Found(work.id))
                continue
            if work.result is None:
                work.first = True
                work.result = group.add(work)
                if work.id is not None:
                    self._on_the_way[work.id] = work.result
                if len(group.works) == _GROUP:
                    self._begin(group)
                    group = _Group()
            self._embedding.append(work)
        self._begin(group)

    def _begin(self, group: "_Group") -> None:
        if group.works:
            group.future = self._pool.submit(embed_files, self._runtime(), self._source, group.works, self._limits)

    def _collect(self, left: int) -> None:
        """Take results until only `left` sounds are on their way."""
        while len(self._embedding) > left:
            work = self._embedding.popleft()
            assert work.result is not None
            found = work.result()
            if work.id is None:
                self._trying.discard(work.state.bytes)
            elif work.first:
                del self._on_the_way[work.id]
                if found.reason is not None and found.lasts:
                    self._refused[work.id] = found.reason
            if work.first and found.content is not None:
                self._cache.add(found.content)
                self.result.embedded += 1
                self._uncommitted += 1
            self._end(work, found)
            if self._uncommitted >= _COMMIT_EVERY:
                self._uncommitted = 0
                self._cache.commit()

    def _finish(self) -> None:
        while self._hashing:
            self._embed(self._hashing.popleft())
        self._collect(0)

    def _end(self, work: Work, found: Found) -> None:
        if work.settled and (found.reason is None or found.lasts):
            self._cache.remember(work.path, work.state, KnownFile(found.id, found.reason))
        if found.reason is not None:
            self._skip(work.path, found.reason)
        elif found.id is not None:
            self._take(work.place, found.id)

    def _take(self, place: int, identity: str) -> None:
        self.result.ids[place] = identity
        self._done()

    def _skip(self, path: str, reason: str) -> None:
        self.result.skipped.append(Skipped(path, reason))
        self._done()
