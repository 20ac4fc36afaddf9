"""Whether the process lives and whether it can do its work, for load balancers and supervisors."""

import logging

from fastapi import APIRouter

from service.current import CurrentRecommender
from service.problems import ProblemError, problem_responses
from service.schemas import Alive, Ready

router = APIRouter(tags=["probes"])

_log = logging.getLogger("uvicorn.error")


@router.get("/livez", summary="Is the process alive?", response_description="It is.")
async def livez() -> Alive:
    """Answer without doing anything."""
    return Alive()


@router.get(
    "/readyz",
    summary="Can the service recommend sounds?",
    description="Embeds a small picture and searches for it, on a thread of its own: requests that wait do not "
    "hold it up, and a service that cannot compute is not ready.",
    response_description="It just did.",
    responses=problem_responses(503),
)
async def readyz(recommender: CurrentRecommender) -> Ready:
    """Answer once the probe picture was embedded and searched for."""
    try:
        await recommender.probe()
    except Exception as error:  # whatever it is that fails, the service is not ready
        _log.exception("the readiness probe failed")
        raise ProblemError(503, "the service cannot recommend sounds at the moment") from error
    return Ready(model=recommender.model_id, index=recommender.index.id, library=len(recommender.index))
