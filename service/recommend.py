"""POST /recommend: a picture in, the sounds that fit it out."""

import asyncio
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from model.part import Part
from service.current import Current
from service.direct import DirectRoute
from service.limits import FormLimits
from service.metrics import Metrics
from service.numbers import WholeNumber
from service.part import AskedPart
from service.problems import ProblemError, problem_responses
from service.queue import PictureQueue
from service.recommender import Recommender, Stages
from service.schemas import Recommendation
from service.settings import Settings
from service.upload import REQUEST_BODY, Upload, UploadMemory, client_gone, receive_upload

PATH = "/recommend"

_ROOM_SHARE = 0.9
"""Of the deadline: for so long a large picture may wait for room, so that its client hears that there was none."""


@dataclass(frozen=True)
class _Computed:
    """The body of an answer, and the seconds that each of its stages took."""

    body: bytes
    seconds: dict[str, float]

    @property
    def timing(self) -> str:
        """The header Server-Timing: milliseconds by stage."""
        return ", ".join(f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in self.seconds.items())


def add_recommend(app: FastAPI, settings: Settings, queue: PictureQueue) -> None:
    """Give `app` the route, with the limits that `settings` give; its pictures wait in `queue`."""
    memory = UploadMemory(settings.upload_memory_bytes)

    class AskedCount(BaseModel):
        k: WholeNumber = Field(
            settings.default_k,
            ge=1,
            le=settings.max_k,
            description="How many sounds; all there are where the library has fewer.",
        )

    class Asked(AskedPart, AskedCount):
        """The query parameters, `k` first."""

    async def recommend(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        part = asked.part()
        received, until = False, monotonic() + _ROOM_SHARE * settings.deadline_seconds
        try:
            async with asyncio.timeout(settings.deadline_seconds):
                with memory.share(request.client.host if request.client else "") as share:
                    upload = await receive_upload(request, share)
                    received = True
                    computed = await _computed(request, upload, asked.k, part, until, queue, settings.form_limits)
        except TimeoutError:
            limit = f"{settings.deadline_seconds:g} s"
            if not received:
                raise ProblemError(408, f"the picture did not arrive within {limit}") from None
            raise ProblemError(
                503,
                f"the picture could not be answered within {limit}",
                headers={"Retry-After": str(queue.retry_after)},
                reason="deadline",
            ) from None
        return Response(computed.body, media_type="application/json", headers={"Server-Timing": computed.timing})

    app.router.add_api_route(
        PATH,
        recommend,
        methods=["POST"],
        route_class_override=DirectRoute,
        tags=["recommending"],
        summary="Recommend sounds for a picture",
        description="Returns the `k` sounds that are nearest to the picture, best first. The picture is a "
        "JPEG, PNG or WebP; of an animation the first frame is taken. It is not kept. Where the bundle can tell, "
        "the answer also says how likely each material is in the picture. Sounds are returned also where no "
        "material is recognised. Where too many pictures wait already, the answer is 503, and where one client "
        "asks too often, 429, both with Retry-After.",
        response_description="The sounds, best first, and what is in the picture.",
        response_model=Recommendation,
        responses=problem_responses(400, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra={"requestBody": REQUEST_BODY},
    )


async def _computed(
    request: Request,
    upload: Upload,
    k: int,
    part: Part | None,
    until: float,
    queue: PictureQueue,
    limits: FormLimits,
) -> _Computed:
    """The answer, computed when it is its turn. Raises ClientDisconnect where the client goes first."""
    current: Current = request.app.state.current
    metrics: Metrics = request.app.state.metrics
    root_path = request.scope.get("root_path", "")

    submitted = perf_counter()

    def compute() -> _Computed:
        waited = perf_counter() - submitted
        picture = upload.picture(limits)
        with current.lease() as recommender:
            body, stages = _answer(recommender, picture, k, part, until, root_path)
        return _Computed(body, {"queue": waited} | vars(stages))

    answer = asyncio.wrap_future(queue.submit(compute))
    gone = asyncio.ensure_future(client_gone(request))
    gone.add_done_callback(lambda _: answer.cancel())
    try:
        computed = await answer
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled() and gone.exception() is None:
            raise ClientDisconnect from None
        raise  # the deadline, or the end of the service
    finally:
        gone.cancel()
    for stage, seconds in computed.seconds.items():
        metrics.stage(stage, seconds)
    return computed


def _answer(
    recommender: Recommender, picture: bytes, k: int, part: Part | None, until: float, root_path: str
) -> tuple[bytes, Stages]:
    answer, stages = recommender.recommend(picture, k, part, until)
    index = recommender.index
    recommendation = Recommendation.of(recommender.model_id, index.id, len(index), k, answer, root_path)
    # Serialised here, on the computing thread, rather than by FastAPI on the event loop.
    return recommendation.json(), stages
