"""Taking over a new bundle or index while requests are answered by the one before.

In reading order: what is served and may be replaced, the watcher that replaces it, how a change on disk is seen.
"""

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from index.address import MilvusAddress
from index.answers.pixel_room import PixelBound
from index.answers.recommender import Recommender
from index.generation import GENERATIONS, POINTER, pointed_to
from model.errors import EngineAwayError, LibraryError, SoundsAwayError
from model.threads import available_cpus, give_memory_back, run_aside, share_threads
from service.metrics import Metrics
from service.schemas import RefusedSwap
from service.settings import Settings


@dataclass
class _Counted:
    recommender: Recommender
    users: int = 0
    retired: bool = False


class ServedRecommender:
    """The recommender that answers, which another may replace at any time. Safe to use from several threads."""

    def __init__(self, first: Recommender) -> None:
        self._lock = threading.Lock()
        self._counted = _Counted(first)
        self.since = datetime.now(UTC)
        """When the one in use was taken."""

    @property
    def recommender(self) -> Recommender:
        """The one in use, for a short look: it may be closed at any time after another has taken its place."""
        return self._counted.recommender

    @contextmanager
    def lease(self) -> Iterator[Recommender]:
        """The one in use, kept open until the lease ends."""
        with self._lock:
            counted = self._counted
            counted.users += 1
        try:
            yield counted.recommender
        finally:
            with self._lock:
                counted.users -= 1
                done = counted.retired and not counted.users
            if done:
                _close_aside(counted.recommender)

    def replace(self, following: Recommender) -> None:
        """Let `following` answer from now on; the one before is closed when nobody uses it any more."""
        with self._lock:
            before, self._counted = self._counted, _Counted(following)
            self.since = datetime.now(UTC)
        self._retire(before)

    def close(self) -> None:
        """Close the one in use when nobody uses it any more."""
        self._retire(self._counted)

    def _retire(self, counted: _Counted) -> None:
        with self._lock:
            counted.retired = True
            done = not counted.users
        if done:
            _close_aside(counted.recommender)


def _close_aside(recommender: Recommender) -> None:
    """Close it, and give back what it and opening another have left.

    Not here: no request should wait until the copies of a large index are off the disk (docs/decisions/index.md).
    """

    def close() -> None:
        recommender.close()
        give_memory_back()

    run_aside(close)


_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_log = logging.getLogger("thud")

Fingerprint = tuple[object, ...]


class Watcher:
    """Looks every `settings.watch_seconds`, and when woken, whether the bundle or the index has changed on disk.

    `seen` is the fingerprint of what is in use; `taken` is called when something else is.

    What has changed is opened and proved with the probe picture beside the one in use, which answers meanwhile.
    What cannot be opened, or does not fit together, is refused and looked at again when it changes once more, and
    ever more seldom where it does not: the sounds may not be mounted yet, or memory be short for a moment.
    """

    def __init__(
        self,
        settings: Settings,
        seen: Fingerprint,
        served: ServedRecommender,
        metrics: Metrics,
        taken: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._served = served
        self._metrics = metrics
        self._taken = taken
        self._woken = asyncio.Event()
        self._seen = seen
        self._pause = 0.0
        self._again_at = math.inf
        self.busy = False
        """Whether a thread is looking, or opening what it has found."""
        self.refused: RefusedSwap | None = None
        """The last one that was refused, also when a later one was taken over."""

    def wake(self) -> None:
        """Look now, also at what was refused before."""
        self._seen = ()
        self._woken.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._until_next())
            self._woken.clear()
            self.busy = True
            try:
                await self._look()
            except Exception:  # one look that failed must not be the last
                self._put_off(longer=True)
                _log.exception("could not look for another bundle or index")
            self.busy = False  # not where it is cancelled: its thread goes on

    def _put_off(self, *, longer: bool) -> None:
        """Plan another look at what could not be taken; a `longer` pause is twice the one before."""
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause)) if longer else _FIRST_PAUSE
        self._again_at = monotonic() + self._pause

    def _until_next(self) -> float | None:
        """Seconds until the next look; None where there is none to come unless it is asked for."""
        if self._settings.watch_seconds:
            return self._settings.watch_seconds
        return None if math.isinf(self._again_at) else max(0.0, self._again_at - monotonic())

    async def _look(self) -> None:
        try:
            seen = await asyncio.to_thread(fingerprint, self._settings)
        except EngineAwayError:  # requests and `/readyz` say so
            self._put_off(longer=True)
            return
        again = seen == self._seen
        if again and monotonic() < self._again_at:
            return
        self._seen = seen
        try:
            before = self._served.recommender
            following = await asyncio.to_thread(open_proved, self._settings, before.pixel_bound, before)
        except Exception as error:  # in any case the one in use goes on serving
            self._put_off(longer=again)
            reason = str(error) or type(error).__name__
            if again and self.refused is not None and self.refused.reason == reason:
                return  # it is known
            self.refused = RefusedSwap(when=datetime.now(UTC), reason=reason)
            self._metrics.swap("refused")
            _log.warning("not taken over, the one before serves on: %s", reason)
            return
        self._again_at = math.inf
        self._served.replace(following)
        self._metrics.loaded(following.bundle.id, following.index.id, len(following.index))
        self._metrics.swap("taken")
        self._taken()
        _log.info(
            "taken over: bundle %s and index %s, after bundle %s and index %s",
            following.bundle.id,
            following.index.id,
            before.bundle.id,
            before.index.id,
        )


def open_proved(settings: Settings, pixels: PixelBound, before: Recommender | None = None) -> Recommender:
    """The bundle and the index of `settings`, opened and proved with the probe picture.

    `before` is the one in use, if there is one, whose towers are kept where the bundle is the same. `pixels` bounds
    what its pictures take while they are decoded. With as many threads as CPUs each computes its picture alone:
    that serves the most requests per second, and one picture cannot hold up all the others.
    Raises BundleError or LibraryError where they cannot be used, or where the sounds are not there.
    """
    shares = share_threads(available_cpus(), settings.threads * settings.workers)
    opened = Recommender.open(
        settings.bundle,
        settings.index_at,
        sounds=settings.sounds,
        limits=settings.picture_limits,
        threads=shares.intra_op,
        pixel_bound=pixels,
        object_weight=settings.object_weight,
        diversity=settings.diversity,
        before=before,
    )
    try:
        try:
            opened.index.check_sounds()
        except SoundsAwayError as error:
            raise LibraryError(f"{error}; say where the sounds are with --sounds (THUD_SOUNDS)") from error
        opened.probe()  # also loads the tower, so that no request waits for it
        give_memory_back()  # opening a million sounds leaves 16 MB that was freed
    except BaseException:
        opened.close()
        raise
    return opened


def fingerprint(settings: Settings) -> Fingerprint:
    """Changes with every file of the bundle, with the pointer, and with every file of the generation it names.

    Raises EngineAwayError where an engine does not say which generation is current.
    """
    bundle, index = settings.bundle, settings.index_at
    if isinstance(index, MilvusAddress):
        from index.milvus.pointers import current_pointer

        return (_states(bundle), current_pointer(index))
    try:
        generation = pointed_to(index)
    except OSError:
        generation = None
    if generation is None:
        return (_states(bundle), _state(index / POINTER))
    return (_states(bundle), generation, _states(index / GENERATIONS / generation))


def _states(folder: Path) -> Fingerprint:
    try:
        return tuple(sorted((file.name, _state(file)) for file in folder.iterdir()))
    except OSError:
        return ()


def _state(file: Path) -> tuple[int, ...]:
    """Changes with every change of a file, even if its size and time are put back afterwards."""
    try:
        state = file.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
