"""Whether the process lives and whether it can do its work, for load balancers and supervisors."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from index.recommender import Recommender
from model.errors import SoundsAwayError, ThudError
from service.hot_swap import Current, Watcher
from service.load import PictureQueue
from service.metrics import CONTENT_TYPE, Metrics
from service.problems import ProblemError, problem_responses
from service.schemas import Alive, Ready, ReadyDetails, RefusedSwap

PROBE_SECONDS = 5.0
"""How long the probe may take before the service counts as not ready."""

_FRESH_SECONDS = 1.0

router = APIRouter(tags=["probes"])

_log = logging.getLogger("thud")


class Prober:
    """Embeds and searches for a small picture, on a thread of its own: pictures that wait do not hold it up.

    Those who ask at the same time, or within a second, share one probe: asking costs nobody any computing.
    `ask` is what it asks of the recommender instead, which counts as failed after so many `seconds`.
    """

    def __init__(
        self,
        current: Current,
        ask: Callable[[Recommender], None] = Recommender.probe,
        seconds: float = PROBE_SECONDS,
    ) -> None:
        self._current, self._ask, self._seconds = current, ask, seconds
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._pool.submit(int)  # starts the thread now: later there may be no memory for one
        self._probe: asyncio.Future[None] | None = None
        self._stale_at = self._late_at = 0.0

    async def probe(self) -> None:
        """Raises what the probe raises, and TimeoutError once it takes too long."""
        now = monotonic()
        if self._probe is None or (self._probe.done() and now > self._stale_at):
            self._stale_at, self._late_at = now + _FRESH_SECONDS, now + self._seconds
            self._probe = asyncio.get_running_loop().run_in_executor(self._pool, self._compute)
        await asyncio.wait_for(asyncio.shield(self._probe), max(0.0, self._late_at - now))

    @property
    def busy(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None and not self._probe.done()

    def forget(self) -> None:
        """Let the next one who asks have a probe of the recommender as it is then."""
        self._stale_at = 0.0

    def close(self) -> None:
        """Take no more probes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compute(self) -> None:
        with self._current.lease() as recommender:
            self._ask(recommender)


@router.get("/livez", summary="Is the process alive?", response_description="It is.")
async def livez() -> Alive:
    """Answer without doing anything."""
    return Alive()


@router.get(
    "/readyz",
    summary="Can the service recommend sounds?",
    description="Embeds a small picture and searches for it, on a thread of its own: requests that wait do not "
    "hold it up. A service that cannot compute, whose threads are all stuck in a picture or that cannot reach its "
    "sounds is not ready.",
    response_description="It just did.",
    response_model_exclude_none=True,
    responses=problem_responses(503),
)
async def readyz(
    request: Request,
    verbose: Annotated[str | None, Query(description="Given at all, with or without a value: say more.")] = None,
) -> Ready:
    """Answer once the probe picture was embedded and searched for."""
    state = request.app.state
    if state.draining:
        raise ProblemError(503, "the service is about to stop", reason="draining")
    queue: PictureQueue = state.queue
    if queue.stuck:
        raise ProblemError(
            503,
            "every thread has been at one picture for longer than a request may take; it is ready again when one "
            "of them is done",
            reason="stuck",
        )
    prober: Prober = state.prober
    try:
        await prober.probe()
    except Exception as error:  # whatever it is that fails, the service is not ready
        if not isinstance(error, ThudError):
            _log.exception("the readiness probe failed")
        why = "" if verbose is None else f": {str(error) or type(error).__name__}"
        raise ProblemError(503, f"the service cannot recommend sounds at the moment{why}") from error
    share: Share = state.share
    try:
        await share.check()
    except ProblemError as error:
        if verbose is not None:
            error.detail += f": {share.away}"
        raise
    current: Current = state.current
    recommender = current.recommender
    details = None
    if verbose is not None:
        watcher: Watcher = state.watcher
        details = ReadyDetails(
            process=os.getpid(),
            waiting=queue.waiting,
            computing=queue.running,
            places=queue.places,
            loaded=current.since,
            precision=recommender.towers.precision,
            refused=RefusedSwap(when=watcher.refused.when, reason=watcher.refused.reason)
            if watcher.refused
            else None,
        )
    return Ready(
        model=recommender.bundle.id, index=recommender.index.id, library=len(recommender.index), details=details
    )


_rendering = anyio.CapacityLimiter(1)  # a thread of its own: metrics wait for nothing but metrics


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    description="Requests, refusals by reason, the queue, the time of each stage, and what is loaded; of all "
    "worker processes together.",
    response_class=Response,
    responses={200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Render them away from the event loop: those of several processes lie in files."""
    counted: Metrics = request.app.state.metrics
    text = await anyio.to_thread.run_sync(counted.text, limiter=_rendering)
    return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


SHARE_SECONDS = 2.0
"""How long a look at the folder may take: a share whose server is gone does not answer at all."""


class Share:
    """The folder of sounds of the index in use. That it goes and that it returns is logged, once each.

    Those who ask within a second share one look, on a thread of its own.
    """

    def __init__(self, current: Current) -> None:
        self._prober = Prober(current, lambda recommender: recommender.index.check_sounds(), SHARE_SECONDS)
        self.away: str | None = None
        """Why it is not there, None where it is."""

    @property
    def busy(self) -> bool:
        """Whether a look is under way."""
        return self._prober.busy

    async def check(self) -> None:
        """Raise ProblemError (503) where the folder is not there, or does not answer in time."""
        try:
            await self._prober.probe()
        except TimeoutError:
            raise self.gone(f"the folder of sounds does not answer within {SHARE_SECONDS:g} s") from None
        except SoundsAwayError as error:
            raise self.gone(str(error)) from error
        if self.away is not None:
            self.away = None
            _log.info("the sounds are there again")

    def gone(self, why: str) -> ProblemError:
        """The problem for who asks for what is not there."""
        if self.away is None:
            _log.warning("not ready, and no sound is sent: %s", why)
        self.away = why
        self._prober.forget()
        return ProblemError(
            503, "the sounds cannot be reached at the moment", headers={"Retry-After": "5"}, reason="sounds_away"
        )

    def close(self) -> None:
        """Look no more."""
        self._prober.close()
