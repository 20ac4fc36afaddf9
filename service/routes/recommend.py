"""What is near: sounds for a picture, for a sound that is sent, for a sound of the library."""

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from index.answers.picture_map import MAP_K, PictureMap
from index.answers.recommendation import Recommendation
from index.answers.recommender import Recommender
from model.region import MOST_SQUARES
from model.sound import SoundLimits
from service.problems import problem_responses
from service.routes.computed import Computing
from service.routes.library import SoundId, record_of
from service.routes.parameters import (
    AskedFeedback,
    AskedFilter,
    AskedShown,
    CursorText,
    DecimalNumber,
    WholeNumber,
)
from service.routes.part import AskedPart
from service.routes.strict import DirectRoute, StrictRoute
from service.settings import Settings
from service.upload import PICTURE, SOUND, UploadKind, request_body

_BUSY = (
    "Where too many requests wait already, the answer is 503, and where one client asks too often, 429, both with "
    "Retry-After."
)
_MOST_AT_A_PLACE = 10
_NEXT = "With `next` of an answer as `cursor`, the same request gets the sounds after it, also from another index."


def search_routes(settings: Settings, computing: Computing) -> list[StrictRoute]:
    """The routes, with the limits that `settings` give."""

    class AskedCount(BaseModel):
        k: WholeNumber = Field(
            settings.default_k,
            ge=1,
            le=settings.max_k,
            description="How many sounds; all there are where fewer are asked about.",
        )

    class AskedVariety(BaseModel):
        diversity: DecimalNumber = Field(
            settings.diversity,
            ge=0,
            le=1,
            description="How much the sounds of an answer differ from one another: 0 ranks by the score alone; the "
            "more, the fewer takes of one recording and sounds of one material stand together.",
            examples=[0.5],
        )

    class AskedOrder(AskedVariety):
        cursor: CursorText | None = Field(
            None,
            description="`next` of the answer before: goes on after its last sound. All else as in that request.",
        )

    class AskedWeight(BaseModel):
        object_weight: DecimalNumber = Field(
            settings.object_weight,
            ge=0,
            le=1,
            description="How much more a sound counts that names an object in the picture: what is added to its "
            "score where object and material are certain. 0 ranks by the score alone.",
        )

    class AskedByPicture(AskedOrder, AskedFeedback, AskedShown, AskedFilter, AskedPart, AskedWeight, AskedCount):
        """The query parameters, `k` first."""

    class AskedBySound(AskedOrder, AskedFeedback, AskedFilter, AskedCount):
        """The query parameters, `k` first."""

    class AskedMap(AskedVariety, AskedFilter, AskedWeight):
        """The query parameters."""

        k: WholeNumber = Field(
            MAP_K,
            ge=1,
            le=_MOST_AT_A_PLACE,
            description="How many sounds each place has; fewer where there are fewer.",
        )

    async def recommend(request: Request, asked: Annotated[AskedByPicture, Query()]) -> Response:
        part, only = asked.part(), asked.only()

        def compute(recommender: Recommender, picture: bytes, until: float) -> Recommendation:
            return recommender.recommend(
                picture,
                asked.k,
                region=part,
                until=until,
                object_weight=asked.object_weight,
                only=only,
                diversity=asked.diversity,
                cursor=asked.cursor,
                shows=asked.shows,
                more=asked.more,
                less=asked.less,
            )

        return await computing.of_upload(request, PICTURE, compute)

    async def recommend_map(request: Request, asked: Annotated[AskedMap, Query()]) -> Response:
        only = asked.only()

        def compute(recommender: Recommender, picture: bytes, until: float) -> PictureMap:
            return recommender.map(
                picture,
                asked.k,
                until=until,
                object_weight=asked.object_weight,
                only=only,
                diversity=asked.diversity,
            )

        return await computing.of_upload(request, PICTURE, compute)

    limits = SoundLimits(max_seconds=settings.max_sound_seconds)

    async def similar_to_upload(request: Request, asked: Annotated[AskedBySound, Query()]) -> Response:
        only = asked.only()

        def compute(recommender: Recommender, sound: bytes, until: float) -> Recommendation:
            return recommender.recommend_by_sound(
                sound,
                asked.k,
                limits=limits,
                only=only,
                diversity=asked.diversity,
                cursor=asked.cursor,
                more=asked.more,
                less=asked.less,
            )

        return await computing.of_upload(request, SOUND, compute)

    async def similar(request: Request, sound_id: SoundId, asked: Annotated[AskedBySound, Query()]) -> Response:
        only = asked.only()

        def compute(recommender: Recommender) -> Recommendation:
            record = record_of(recommender, sound_id)
            return recommender.recommend_like(
                record.id,
                asked.k,
                only=only,
                diversity=asked.diversity,
                cursor=asked.cursor,
                more=asked.more,
                less=asked.less,
            )

        return await computing.of_query(request, compute)

    return [
        DirectRoute(
            "/recommend",
            recommend,
            summary="Recommend sounds for a picture",
            description="Returns the `k` sounds that are nearest to the picture, best first. The picture is a "
            "JPEG, PNG, WebP or AVIF; of an animation the first frame is taken. It is not kept. Where the bundle "
            "can tell, the answer also says how likely each material is in the picture, and which everyday objects "
            "are. Sounds that name one of these come nearer to the top. Sounds are returned also where no material "
            f"is recognised. {_NEXT} {_BUSY}",
            response_description="The sounds, best first, and what is in the picture.",
            **_of_upload(PICTURE),
        ),
        DirectRoute(
            "/recommend/map",
            recommend_map,
            summary="Recommend sounds for each place of a picture",
            description="For touching a picture: divides it into places, and returns for each of them what it may "
            "be of and the `k` sounds that are nearest, best first. Places beside each other that show the same "
            f"share their sounds. It takes as long as {MOST_SQUARES} pictures, and counts as so many in the queue "
            f"and the rate. The picture may be as there. {_BUSY}",
            response_description="What is at each place, and the sounds.",
            **_of_upload(PICTURE, PictureMap),
        ),
        DirectRoute(
            "/similar",
            similar_to_upload,
            summary="Find sounds like one that is sent",
            description="Returns the `k` sounds that are nearest to the sound in the body, best first. Of several "
            f"hits in it the main one counts. It may last {settings.max_sound_seconds:g} s. It is not kept. Where "
            f"the bundle can tell, `materials` says what it may be of. {_NEXT} {_BUSY}",
            response_description="The sounds, best first, and what the one that was sent may be of.",
            **_of_upload(SOUND),
        ),
        StrictRoute(
            "/sounds/{sound_id}/similar",
            similar,
            methods=["GET"],
            summary="Find sounds like one of the library",
            description="Returns the `k` sounds that are nearest to the sound, best first; it is not among them. "
            f"{_NEXT} {_BUSY}",
            response_description="The sounds, best first.",
            **_answering(404, 422, 429, 500, 503),
        ),
    ]


def _answering(*statuses: int, model: type[Recommendation | PictureMap] = Recommendation) -> dict[str, Any]:
    """What all of these routes have in common, with the errors that one has."""
    return {
        "tags": ["recommending"],
        "response_model": model,
        "responses": problem_responses(*statuses),
    }


def _of_upload(upload: UploadKind, model: type[Recommendation | PictureMap] = Recommendation) -> dict[str, Any]:
    """What the routes have in common that are sent something."""
    statuses = (400, 408, 413, 415, 422, 429, 500, 503)
    common = _answering(*statuses, model=model)
    return common | {"methods": ["POST"], "openapi_extra": {"requestBody": request_body(upload)}}
