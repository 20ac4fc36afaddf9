"""Whether the process lives and whether it can do its work, for load balancers and supervisors."""

import logging
import os
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from model.errors import ThudError
from service.metrics import CONTENT_TYPE
from service.problems import ProblemError, problem_responses
from service.schemas import Alive, Ready, ReadyDetails
from service.state import state_of

router = APIRouter(tags=["probes"])

_log = logging.getLogger("thud")


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
    state = state_of(request.app)
    if state.draining:
        raise ProblemError(503, "the service is about to stop", reason="draining")
    queue, watcher = state.queue, state.watcher
    if queue.stuck:
        raise ProblemError(
            503,
            "every thread has been at one picture for longer than a request may take; it is ready again when one "
            "of them is done",
            reason="stuck",
        )
    try:
        await state.prober.probe()
    except Exception as error:  # whatever it is that fails, the service is not ready
        if not isinstance(error, ThudError):
            _log.exception("the readiness probe failed")
        why = "" if verbose is None else f": {str(error) or type(error).__name__}"
        raise ProblemError(503, f"the service cannot recommend sounds at the moment{why}") from error
    try:
        await state.sounds.check()
    except ProblemError as error:
        if verbose is not None:
            error.detail += f": {state.sounds.away}"
        raise
    recommender = state.served.recommender
    details = None
    if verbose is not None:
        details = ReadyDetails(
            process=os.getpid(),
            waiting=queue.waiting,
            computing=queue.running,
            wait=round(queue.wait, 3),
            loaded=state.served.since,
            precision=recommender.towers.precision,
            refused=watcher.refused,
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
    text = await anyio.to_thread.run_sync(state_of(request.app).metrics.text, limiter=_rendering)
    return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
