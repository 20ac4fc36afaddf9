"""Finding out the content of each sound of a library, and embedding in parallel what no run has embedded before."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.cache import LARGE, Content, IndexCache, KnownFile
from index.content import ID_DIGITS, FileState, sound_id
from index.library import Skipped
from index.tags import read_tags
from model.errors import SoundError
from model.progress import progress
from model.runtime import TowerRuntime
from model.sound import SoundLimits
from model.sound_format.silent_decoders import silent_decoders

Ids = npt.NDArray[np.bytes_]

_AT_ONCE = 64
"""So many files are looked at together."""
_AHEAD = 128
"""So many sounds are on their way through the threads."""
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
    root: Path,
    paths: Sequence[str],
    *,
    cache: IndexCache,
    limits: SoundLimits,
    workers: int,
) -> Embedded:
    """Find the content of the sounds at `paths` under `root`; what is not in the `cache` is embedded and added.

    A file is hashed only if its state is not known, and embedded only if its content is not; of files with the same
    content one is embedded. The cache is written every 256 sounds and when the run is interrupted. A sound that
    cannot be used becomes a `Skipped`. `runtime` is called when the first sound is to be embedded.
    """
    with (
        silent_decoders(),
        ThreadPoolExecutor(workers) as pool,
        progress("embedding", len(paths), "sound") as bar,
    ):
        run = _Run(pool, runtime, root, paths, cache, limits, bar.update)
        try:
            run.all()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            cache.commit()
    run.result.skipped.sort(key=lambda one: one.path)
    return run.result


@dataclass(frozen=True)
class _Found:
    """What reading a file gave: its content's `id`, the content if it was embedded, or why it cannot be used.

    A reason that would be the same next time `lasts`.
    """

    id: str | None = None
    content: Content | None = None
    reason: str | None = None
    lasts: bool = False


@dataclass
class _Work:
    """A file on its way. `settled`: its state was old enough to stand for one content when it was looked up."""

    place: int
    path: str
    state: FileState
    settled: bool
    id: str | None = None
    future: "Future[_Found] | None" = None
    first: bool = False  # of those with its content


class _Run:
    """The pipeline: states of files, then their hashes, then their embeddings, each a little ahead of the next."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        runtime: Callable[[], TowerRuntime],
        root: Path,
        paths: Sequence[str],
        cache: IndexCache,
        limits: SoundLimits,
        done: Callable[[], object],
    ) -> None:
        self._pool, self._runtime, self._cache, self._limits, self._done = pool, runtime, cache, limits, done
        self._root, self._paths = str(root), paths
        self.result = Embedded(np.zeros(len(paths), f"S{ID_DIGITS}"))
        self._hashing: deque[list[_Work]] = deque()
        self._embedding: deque[_Work] = deque()
        self._on_the_way: dict[str, Future[_Found]] = {}  # by content
        self._refused: dict[str, str] = {}  # reasons by content
        self._trying: set[int] = set()  # sizes of large files of unknown content that are being decoded
        self._waiting: dict[int, deque[_Work]] = {}  # other files of these sizes
        self._uncommitted = 0

    def all(self) -> None:
        """Take every path to its end."""
        for start in range(0, len(self._paths), _AT_ONCE):
            self._hash(self._changed(range(start, min(start + _AT_ONCE, len(self._paths)))))
            if len(self._hashing) > 1:
                self._embed(self._hashing.popleft())
            self._collect(_AHEAD)
        self._finish()
        while self._waiting:
            some: list[_Work] = []
            for size, works in list(self._waiting.items()):
                some += works if size in self._cache.sizes else [works.popleft()]
                if size in self._cache.sizes or not works:
                    del self._waiting[size]
            self._hash(some)
            self._finish()

    def _changed(self, places: Iterable[int]) -> list[_Work]:
        """The files that have to be read; what the cache knows of the others is taken at once."""
        changed = []
        for place in places:
            path = self._paths[place]
            try:
                state = FileState.of(os.path.join(self._root, path))  # noqa: PTH118 -- for each file of each run
            except OSError as error:
                self._skip(path, _unreadable(error))
                continue
            known = self._cache.file(path, state)
            work = _Work(place, path, state, settled=True)
            if known is None:
                work.settled = state.settled()
                changed.append(work)
            elif known.reason is not None:
                self._skip(path, known.reason)
            elif known.id is not None and self._embedded(known.id):
                self._take(work, known.id)
            else:
                work.id = known.id
                changed.append(work)
        return changed

    def _embedded(self, identity: str) -> bool:
        """Whether the content is known, and no longer than is accepted now."""
        seconds = self._cache.seconds(identity)
        return seconds is not None and seconds <= self._limits.max_seconds

    def _hash(self, works: list[_Work]) -> None:
        for work in works:
            # A large file may be a sound of hours, which its header tells: such a one is decoded first.
            if work.id is None and (work.state.bytes <= LARGE or work.state.bytes in self._cache.sizes):
                work.future = self._pool.submit(_hash, self._root, work.path, work.state)
        self._hashing.append(works)

    def _embed(self, works: list[_Work]) -> None:
        for work in works:
            if work.future is not None:
                hashed = work.future.result()
                work.id, work.future = hashed.id, None
                if hashed.id is None:
                    self._end(work, hashed)
                    continue
            if work.id is None:
                if work.state.bytes in self._trying:
                    self._waiting.setdefault(work.state.bytes, deque()).append(work)
                    continue
                self._trying.add(work.state.bytes)
            elif work.id in self._refused:
                self._end(work, _Found(work.id, reason=self._refused[work.id], lasts=True))
                continue
            elif work.id in self._on_the_way:
                work.future = self._on_the_way[work.id]
            elif self._embedded(work.id):
                self._end(work, _Found(work.id))
                continue
            if work.future is None:
                work.first = True
                work.future = self._pool.submit(_embed, self._runtime(), self._root, work, self._limits)
                if work.id is not None:
                    self._on_the_way[work.id] = work.future
            self._embedding.append(work)

    def _collect(self, left: int) -> None:
        """Take results until only `left` sounds are on their way."""
        while len(self._embedding) > left:
            work = self._embedding.popleft()
            assert work.future is not None
            found = work.future.result()
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

    def _end(self, work: _Work, found: _Found) -> None:
        if work.settled and (found.reason is None or found.lasts):
            self._cache.remember(work.path, work.state, KnownFile(found.id, found.reason))
        if found.reason is not None:
            self._skip(work.path, found.reason)
        elif found.id is not None:
            self._take(work, found.id)

    def _take(self, work: _Work, identity: str) -> None:
        self.result.ids[work.place] = identity
        self._done()

    def _skip(self, path: str, reason: str) -> None:
        self.result.skipped.append(Skipped(path, reason))
        self._done()


def _hash(root: str, path: str, state: FileState) -> _Found:
    """Called in a thread."""
    full = Path(root, path)
    try:
        identity = sound_id(full)
        return _Found(identity) if FileState.of(full) == state else _CHANGED
    except OSError as error:
        return _Found(reason=_unreadable(error))


def _embed(runtime: TowerRuntime, root: str, work: _Work, limits: SoundLimits) -> _Found:
    """Called in a thread."""
    path = Path(root, work.path)
    try:
        sound = runtime.embed_sound(path, limits)
        # A file that was written a moment ago may have changed since it was hashed without a trace in its state.
        identity = work.id if work.id is not None and work.settled else sound_id(path)
        tags = read_tags(path)
        if FileState.of(path) != work.state or work.id not in (None, identity):
            return _CHANGED
    except SoundError as error:
        return _Found(work.id, reason=str(error), lasts=not isinstance(error.__cause__, OSError))
    except OSError as error:
        return _Found(reason=_unreadable(error))
    except MemoryError:
        return _Found(reason="there is not enough memory to read it")
    if sound.embeddings.dtype != np.float32 or not _are_unit(sound.embeddings):
        return _Found(reason="the bundle's sound tower gave it an embedding that is not of length 1")
    return _Found(identity, Content(identity, work.state.bytes, sound, tags))


def _are_unit(embeddings: npt.NDArray[np.float32]) -> bool:
    """Whether all `[h, d]` are finite and of length 1."""
    return bool((np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) <= 1e-3).all())  # false for NaN


_CHANGED = _Found(reason="changed while it was being read; run thud index again")


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
