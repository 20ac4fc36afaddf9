"""POST /recommend: a picture in, the sounds that fit it out."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Annotated, Any, get_type_hints

from fastapi import Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from index.recommendation import Recommendation, Stages
from index.recommender import Recommender
from model.errors import PictureFormatError
from model.picture import REGION_SIDE, Region
from service.load import PictureQueue, UploadMemory
from service.problems import ProblemError, problem_responses
from service.schemas import DecimalNumber, WholeNumber, decimal
from service.settings import Settings
from service.state import state_of
from service.upload import REQUEST_BODY, Upload, client_gone, receive_upload


class DirectRoute(APIRoute):
    """FastAPI's route without its dependency injection, which takes a quarter of the event loop's time.

    It is documented like any other. Its endpoint takes the `request` and, as `asked`, a model of all query
    parameters, each of one value, and returns the response. It may have no other parameters, and neither it nor its
    application may have dependencies, because nothing would run them. Only for an application's own router, not for
    one that is included.
    """

    def __init__(self, path: str, endpoint: Callable[..., Coroutine[Any, Any, Response]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._asked: type[BaseModel] = get_type_hints(endpoint)["asked"]
        found = self.dependant
        others = (
            found.dependencies,
            found.path_params,
            found.header_params,
            found.cookie_params,
            found.body_params,
        )
        if any(others) or len(found.query_params) != 1:
            raise TypeError(f"{path} has parameters or dependencies that a direct route would ignore")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RequestValidationError for parameters that are wrong."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            asked = self._asked.model_validate(dict(request.query_params))
        except ValidationError as error:
            wrong = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(wrong) from error
        response: Response = await self.endpoint(request=request, asked=asked)
        await response(scope, receive, send)


_LONGEST = 200


class AskedPart(BaseModel):
    """The query parameters."""

    box: str | None = Field(
        None,
        description="Asks about a part of the picture: left, top, width and height as fractions of it. "
        "The picture is upright. Not together with `at`.",
        examples=["0.5,0,0.5,0.5"],
        max_length=_LONGEST,
    )
    at: str | None = Field(
        None,
        description="Asks about what is around a point of the picture: x and y as fractions of it. The part is "
        f"{REGION_SIDE:g} of the picture wide and high.",
        examples=["0.25,0.8"],
        max_length=_LONGEST,
    )

    def part(self) -> Region | None:
        """The part that they name, None where that is the whole picture.

        Raises ProblemError (422) for what names no part.
        """
        if self.box is not None and self.at is not None:
            raise ProblemError(422, "box and at are two ways to ask about a part; send one of them", "query.at")
        if self.box is not None:
            x, y, width, height = _numbers(self.box, "box", ("x", "y", "width", "height"))
            try:
                return Region(x, y, width, height)
            except ValueError as error:
                raise ProblemError(422, str(error), "query.box") from error
        if self.at is not None:
            x, y = _numbers(self.at, "at", ("x", "y"))
            try:
                return Region.around(x, y)
            except ValueError as error:
                raise ProblemError(422, str(error), "query.at") from error
        return None


def _numbers(text: str, name: str, wanted: tuple[str, ...]) -> list[float]:
    try:
        numbers = [decimal(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(wanted):
        raise ProblemError(422, f"{name} is {len(wanted)} numbers, {','.join(wanted)}", f"query.{name}")
    return numbers


PATH = "/recommend"

_WAIT_SHARE = 0.9
"""Share of the deadline that a large picture may wait for others, so that its client still gets an answer."""


@dataclass(frozen=True)
class _Computed:
    """The body of an answer, and the seconds that each of its stages took."""

    body: bytes
    seconds: dict[str, float]

    @property
    def timing(self) -> str:
        """The header Server-Timing: milliseconds by stage."""
        return ", ".join(f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in self.seconds.items())


def recommend_route(settings: Settings, queue: PictureQueue) -> DirectRoute:
    """The route, with the limits that `settings` give; its pictures wait in `queue`."""
    memory = UploadMemory(settings.upload_memory_bytes)

    class AskedCount(BaseModel):
        k: WholeNumber = Field(
            settings.default_k,
            ge=1,
            le=settings.max_k,
            description="How many sounds; all there are where the library has fewer.",
        )
        object_weight: DecimalNumber = Field(
            settings.object_weight,
            ge=0,
            le=1,
            description="How much more a sound counts that names an object in the picture: what is added to its "
            "score where object and material are certain. 0 ranks by the score alone.",
        )

    class Asked(AskedPart, AskedCount):
        """The query parameters, `k` first."""

    async def recommend(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        part = asked.part()
        received, until = False, monotonic() + _WAIT_SHARE * settings.deadline_seconds
        try:
            async with asyncio.timeout(settings.deadline_seconds):
                with memory.share(request.client.host if request.client else "") as share:
                    upload = await receive_upload(request, share)
                    received = True
                    computed = await _computed(
                        request, upload, asked.k, part, asked.object_weight, until, queue, settings
                    )
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

    return DirectRoute(
        PATH,
        recommend,
        methods=["POST"],
        tags=["recommending"],
        summary="Recommend sounds for a picture",
        description="Returns the `k` sounds that are nearest to the picture, best first. The picture is a "
        "JPEG, PNG or WebP; of an animation the first frame is taken. It is not kept. Where the bundle can tell, "
        "the answer also says how likely each material is in the picture, and which everyday objects are. Sounds "
        "that name one of these come nearer to the top. Sounds are returned also where no material is recognised. "
        "Where too many pictures wait already, the answer is 503, and where one client "
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
    part: Region | None,
    object_weight: float,
    until: float,
    queue: PictureQueue,
    settings: Settings,
) -> _Computed:
    """The answer, computed when it is its turn. Raises ClientDisconnect where the client goes first."""
    state = state_of(request.app)
    root_path = request.scope.get("root_path", "")

    submitted = perf_counter()

    def compute() -> _Computed:
        waited = perf_counter() - submitted
        picture = upload.picture(settings)
        with state.served.lease() as recommender:
            body, stages = _answer(recommender, picture, k, part, object_weight, until, root_path)
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
        state.metrics.stage(stage, seconds)
    return computed


def _answer(
    recommender: Recommender,
    picture: bytes,
    k: int,
    part: Region | None,
    object_weight: float,
    until: float,
    root_path: str,
) -> tuple[bytes, Stages]:
    try:
        answer = recommender.recommend(picture, k, region=part, until=until, object_weight=object_weight)
    except PictureFormatError as error:
        raise PictureFormatError(f"{error}{_advice(picture)}") from error
    # Serialised here, on the computing thread, rather than by FastAPI on the event loop.
    return answer.json(root_path), answer.stages


_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def _advice(picture: bytes) -> str:
    """What to do about a picture of another format, for the person who has sent it."""
    if picture[4:8] == b"ftyp" and picture[8:12] in _HEIC_BRANDS:
        return "; this is HEIC, which iPhones save: share or export it as JPEG and send that"
    return "; convert it to one of these and send it again"
