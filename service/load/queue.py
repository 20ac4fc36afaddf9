"""Pictures that wait for a thread, for a bounded time; and the pace at which others are refused."""

import asyncio
import math
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic, perf_counter
from typing import TypeVar

from service.problems import ProblemError

T = TypeVar("T")

_FIRST_GUESS = 0.05
_WEIGHT = 0.1
_MARGIN = 0.8
"""Work is taken while its turn should come within this share of the longest wait: the estimate may be wrong."""


class PictureQueue:
    """Work on `threads` threads of its own, first come, first served, as long as its turn should come in time.

    Bounded by time, not by places: how long a picture takes depends on the machine and on what people send. From
    what the last pieces of each kind took, it is known when the turn of another would come. Where they turn out to
    take longer, whoever waits gives up after `longest` seconds. A piece of cost n takes as long as n others.
    `changed` is called with how many wait and how many run. A piece counts until its thread is done with it, also
    where nobody waits for the result any more, as nobody does `deadline` seconds after it began.
    """

    def __init__(
        self,
        threads: int,
        seconds: float,
        changed: Callable[[int, int], None] = lambda waiting, running: None,
        deadline: float = math.inf,
    ) -> None:
        self._changed = changed
        self._deadline = deadline
        self._threads = threads
        self.longest = seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="picture")
        self._lock = threading.Lock()
        self._pieces = 0
        self._inside: Counter[str] = Counter()
        """By kind, the cost of all pieces that wait or run."""
        self._began: dict[int, float] = {}
        self._seconds: dict[str, float] = {}
        """By kind, what a piece of cost 1 takes."""
        self._start(threading.Barrier(threads))

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return max(0, self._pieces - self.running)

    @property
    def running(self) -> int:
        """Pieces of work that a thread is at."""
        return len(self._began)

    @property
    def stuck(self) -> bool:
        """Whether each thread is at work that nobody waits for any more, so that no other can be done."""
        with self._lock:
            latest = max(self._began.values(), default=math.inf)
            return self.running >= self._threads and perf_counter() - latest > self._deadline

    @property
    def wait(self) -> float:
        """Seconds after which the turn of a piece should come that is submitted now."""
        pieces = self._pieces  # read once: threads that end change it meanwhile
        if pieces < self._threads:
            return 0.0
        return self._ahead * (pieces - self._threads + 1) / (pieces * self._threads)

    @property
    def full(self) -> bool:
        """Whether `submit` would refuse any piece."""
        return self.wait > _MARGIN * self.longest

    @property
    def retry_after(self) -> int:
        """Whole seconds in which the work that is inside now should be done."""
        return max(1, math.ceil(self._ahead / self._threads))

    @property
    def _ahead(self) -> float:
        return sum(cost * self._seconds.get(kind, _FIRST_GUESS) for kind, cost in list(self._inside.items()))

    def refusal(self) -> ProblemError:
        """The problem for a piece of work that would wait for too long, or has."""
        return ProblemError(
            503,
            f"the service is busy: a request would wait for longer than {self.longest:g} s; "
            f"try again in {self.retry_after} s",
            reason="queue_full",
            headers={"Retry-After": str(self.retry_after)},
        )

    def submit(self, work: Callable[[], T], cost: int = 1, kind: str = "picture") -> "Future[T]":
        """Let a thread do `work`. Cancelling the future takes it out of the queue, if it still waits there.

        Raises ProblemError (503) where it would wait for too long.
        """
        with self._lock:
            if self.full:
                raise self.refusal()
            self._inside[kind] += cost
            self._pieces += 1
            self._changed(self.waiting, self.running)
        # The pool keeps cancelled work until a thread comes to it; what the work holds, a picture, must go at once.
        held = [work]
        try:
            future = self._pool.submit(self._run, held, cost, kind)
        except BaseException:
            self._leave(held, cost, kind)
            raise
        future.add_done_callback(lambda _: self._leave(held, cost, kind))
        return future

    def close(self) -> None:
        """Take no more work, drop what waits; a thread that is at work goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, barrier: threading.Barrier) -> None:
        """Start all threads: when a picture comes, there may be no memory to start one. Raises MemoryError."""
        try:
            for _ in range(self._threads):
                self._pool.submit(barrier.wait)
        except RuntimeError as error:
            barrier.abort()
            raise MemoryError(f"there is not enough memory for {self._threads} threads") from error

    def _run(self, held: list[Callable[[], T]], cost: int, kind: str) -> T:
        began = perf_counter()
        with self._lock:
            self._began[threading.get_ident()] = began
            self._changed(self.waiting, self.running)
        try:
            result = held.pop()()
        except BaseException:
            with self._lock:
                del self._began[threading.get_ident()]
            raise
        with self._lock:
            del self._began[threading.get_ident()]
            # What was refused says nothing of how long others take.
            before = self._seconds.get(kind, _FIRST_GUESS)
            self._seconds[kind] = before + _WEIGHT * ((perf_counter() - began) / cost - before)
        return result

    def _leave(self, held: list[Callable[[], T]], cost: int, kind: str) -> None:
        held.clear()
        with self._lock:
            self._inside[kind] -= cost
            self._pieces -= 1
            self._changed(self.waiting, self.running)


_HELD_SECONDS = (0.03, 0.25, 0.5)
"""The first refusal of a client, the second and all others. No longer: a connection may carry many clients."""
_AT_ONCE_SECONDS = 0.1
_HELD_BY_CROWD = 1 / 350_000
"""Times the square of how many are held: 30 ms for a hundred, 1.4 s for 700, which are 500 refusals a second."""
_LONGEST_HELD_SECONDS = 2.0
_MOST_REMEMBERED = 10_000


class RefusalPace:
    """Holds the refusals of a full queue back: for 30 ms, and for longer where the client asks again at once.

    Such clients would else be refused thousands of times a second, on the CPUs that compute the answers to others
    (docs/performance.md). One that asks within 0.1 s of its refusal is held for a quarter of a second, and from
    then on for half a second. In a crowd each is held for up to 2 s. A client is a connection, and behind a trusted
    proxy an address: of several requests that it has at once, one counts as asking again, because an address may be
    many people's.
    """

    def __init__(self) -> None:
        self._held = 0
        self._refused: dict[object, tuple[float, int]] = {}
        """When a client was refused, and how often in a row; the last ones."""

    async def hold(self, client: object) -> None:
        """Return when the refusal may be sent to this client."""
        before, times = self._refused.pop(client, (-math.inf, 0))
        if monotonic() - before >= _AT_ONCE_SECONDS:
            times = 0
        seconds = _HELD_SECONDS[min(times, len(_HELD_SECONDS) - 1)]
        self._held += 1
        try:
            await asyncio.sleep(max(seconds, min(self._held**2 * _HELD_BY_CROWD, _LONGEST_HELD_SECONDS)))
        finally:
            self._held -= 1
            self._refused.pop(client, None)  # so that the last ones stand last
            self._refused[client] = (monotonic(), times + 1)
            if len(self._refused) > _MOST_REMEMBERED:
                del self._refused[next(iter(self._refused))]
