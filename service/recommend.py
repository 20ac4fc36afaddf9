"""POST /recommend: a picture in, the sounds that fit it out."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.current import CurrentRecommender
from service.problems import problem_responses
from service.schemas import PictureMaterial, Recommendation, Result
from service.settings import Settings
from service.upload import REQUEST_BODY, read_picture


def recommend_routes(settings: Settings) -> APIRouter:
    """The route, with the default and the bound of k that `settings` give."""
    router = APIRouter(tags=["recommending"])
    k_description = "How many sounds; all there are where the library has fewer."

    @router.post(
        "/recommend",
        summary="Recommend sounds for a picture",
        description="Returns the `k` sounds that are nearest to the picture, best first. The picture is a "
        "JPEG, PNG or WebP; of an animation the first frame is taken. It is not kept. Where the bundle can tell, "
        "the answer also says how likely each material is in the picture. Sounds are returned also where no "
        "material is recognised.",
        response_description="The sounds, best first, and what is in the picture.",
        responses=problem_responses(400, 413, 415, 422, 500),
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def recommend(
        request: Request,
        recommender: CurrentRecommender,
        k: Annotated[int, Query(ge=1, le=settings.max_k, description=k_description)] = settings.default_k,
    ) -> Recommendation:
        picture = await read_picture(request)
        answer = await recommender.recommend(picture, k)
        root_path = request.scope.get("root_path", "")
        return Recommendation(
            model=recommender.model_id,
            index=recommender.index.id,
            k=k,
            returned=len(answer.sounds),
            library=len(recommender.index),
            recognised=answer.recognised,
            materials=PictureMaterial.all_of(answer),
            results=[Result.of(rank, sound, root_path) for rank, sound in enumerate(answer.sounds, start=1)],
        )

    return router
