"""POST /recommend: a picture in, the sounds that fit it out."""

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from index.recommendation import Recommendation
from index.recommender import Recommender
from model.errors import PictureFormatError
from model.picture import REGION_SIDE, Region
from service.problems import ProblemError, problem_responses
from service.routes.computed import Computing
from service.routes.parameters import AskedFilter, DecimalNumber, WholeNumber, decimal
from service.routes.strict import DirectRoute
from service.settings import Settings
from service.upload import PICTURE, request_body

PATH = "/recommend"

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


def recommend_route(settings: Settings, computing: Computing) -> DirectRoute:
    """The route, with the limits that `settings` give."""

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

    class Asked(AskedFilter, AskedPart, AskedCount):
        """The query parameters, `k` first."""

    async def recommend(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        part = asked.part()

        def compute(recommender: Recommender, picture: bytes, until: float) -> Recommendation:
            try:
                return recommender.recommend(
                    picture, asked.k, region=part, until=until, object_weight=asked.object_weight
                )
            except PictureFormatError as error:
                raise PictureFormatError(f"{error}{_advice(picture)}") from error

        return await computing.of_upload(request, PICTURE, compute)

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
        openapi_extra={"requestBody": request_body(PICTURE)},
    )


_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def _advice(picture: bytes) -> str:
    """What to do about a picture of another format, for the person who has sent it."""
    if picture[4:8] == b"ftyp" and picture[8:12] in _HEIC_BRANDS:
        return "; this is HEIC, which iPhones save: share or export it as JPEG and send that"
    return "; convert it to one of these and send it again"
