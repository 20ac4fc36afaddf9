"""The library over HTTP: a sound's audio and record, the catalogue page by page, the materials."""

import re
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from index.catalogue import SoundRecord
from index.filters import UNLABELLED, SoundFilter
from index.recommender import Recommender
from model.errors import DamagedIndexError, LibraryError, SoundsAwayError
from model.materials import MATERIALS, material_named
from service.problems import ProblemError, problem_responses
from service.routes.audio import audio_response, unreadable
from service.routes.parameters import WholeNumber
from service.routes.strict import StrictRoute
from service.schemas import MaterialCount, Materials, Sound, SoundPage
from service.state import LeasedRecommender, state_of

router = APIRouter(tags=["library"], route_class=StrictRoute)

SoundId = Annotated[str, Path(description="The sound's id: 20 hex digits.", examples=["00112233445566778899"])]

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The sound's file, in the format it has in the library.",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {"description": "The part of the file that the Range header asks for."},
    304: {"description": "The client has it already."},
}

# These routes read the catalogue and the disk, which may wait: FastAPI runs plain functions on its threads.


@router.get(
    "/sounds/{sound_id}",
    summary="The audio of a sound",
    description="Takes Range, If-Range, If-Match and If-None-Match. An id stands for the content of a sound, so "
    "the answer may be cached for ever.",
    response_class=Response,
    responses=_AUDIO | problem_responses(404, 410, 412, 416, 500, 503),
)
async def audio(sound_id: SoundId, recommender: LeasedRecommender, request: Request) -> Response:
    """Send the file of a sound."""
    sounds = state_of(request.app).sounds
    record = await run_in_threadpool(_record, recommender, sound_id)
    await sounds.check()
    try:
        return await audio_response(recommender.index, record, request)
    except SoundsAwayError as error:
        raise sounds.gone(str(error)) from error
    except LibraryError as error:
        # The reason names the folder, which is nobody's business but the server's.
        reason = str(error).replace(str(recommender.index.root), "the library")
        raise ProblemError(410, reason) from error
    except OSError as error:
        raise unreadable(error, sound_id) from error


@router.get(
    "/sounds/{sound_id}/info",
    summary="What is known about a sound",
    response_description="The sound's record.",
    responses=problem_responses(404, 500, 503),
)
def info(sound_id: SoundId, recommender: LeasedRecommender, request: Request) -> Sound:
    """The record of a sound."""
    return Sound.of(_record(recommender, sound_id), request.scope.get("root_path", ""))


@router.get(
    "/sounds",
    summary="The catalogue, page by page",
    description=f"All sounds, or those of one material; `material={UNLABELLED}` gives those without one. "
    "Follow `next` until it is null.",
    response_description="A page of records.",
    responses=problem_responses(422, 500, 503),
)
def catalogue(
    recommender: LeasedRecommender,
    request: Request,
    material: Annotated[str | None, Query(description="Name of a material.", examples=["metal"])] = None,
    after: Annotated[str | None, Query(description="Where the page before ended: from its `next`.")] = None,
    limit: Annotated[WholeNumber, Query(ge=1, le=200, description="Most sounds on the page.")] = 50,
) -> SoundPage:
    """A page of the catalogue."""
    if material not in (None, UNLABELLED) and material_named(material) is None:
        raise ProblemError(422, f"there is no material {material!r}", "query.material")
    try:
        page = recommender.index.page(SoundFilter(material=(material,) if material else ()), after, limit)
    except DamagedIndexError:
        raise
    except LibraryError as error:
        raise ProblemError(422, str(error), "query.after") from error
    root_path = request.scope.get("root_path", "")
    following = None
    if page.next is not None:
        query = {"material": material, "after": page.next, "limit": limit}
        wanted = {name: value for name, value in query.items() if value is not None}
        following = f"{root_path}/sounds?{urlencode(wanted)}"
    return SoundPage(
        total=page.total, sounds=[Sound.of(record, root_path) for record in page.sounds], next=following
    )


@router.get(
    "/materials",
    summary="The materials and how many sounds each has",
    response_description="The 17 materials in the order of their ids.",
    responses=problem_responses(500, 503),
)
def materials(recommender: LeasedRecommender) -> Materials:
    """Count the library's sounds by material."""
    counts = recommender.index.materials()
    return Materials(
        materials=[
            MaterialCount(id=material.id, name=material.name, sounds=counts.get(material.name, 0))
            for material in MATERIALS
        ],
        unlabelled=counts.get(None, 0),
        total=len(recommender.index),
    )


def _record(recommender: Recommender, sound_id: str) -> SoundRecord:
    record = recommender.index.sound(sound_id) if re.fullmatch(r"[0-9a-f]{20}", sound_id) else None
    if record is None:
        raise ProblemError(404, "the library has no sound of this id")
    return record
