"""What a page plays and draws of a sound: `/sounds/{sound_id}/clip`, `/sounds/{sound_id}/peaks`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from model.excerpt import LONGEST
from service.excerpts import clip_name, peaks_name
from service.problems import ProblemError, problem_responses
from service.routes.audio import CACHED_FOR_A_DAY, has_it, opened_sound
from service.routes.library import SoundId, record_of
from service.routes.parameters import DecimalNumber, WholeNumber
from service.routes.strict import StrictRoute
from service.schemas import Peaks
from service.state import LeasedRecommender, state_of

router = APIRouter(tags=["library"], route_class=StrictRoute)

_CLIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The excerpt as FLAC.",
        "content": {"audio/flac": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The client has it already."},
}
_PEAKS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The peaks, and where the hits are.", "model": Peaks},
    304: {"description": "The client has them already."},
}


class AskedClip(BaseModel):
    """The query parameters."""

    hit: DecimalNumber | None = Field(
        None,
        ge=0,
        description="The second at which it is struck, such as the `hit` of an answer. By default that of its "
        "main hit.",
    )


class AskedPeaks(BaseModel):
    """The query parameters."""

    count: WholeNumber = Field(200, ge=16, le=1000, description="How many peaks.")


@router.get(
    "/sounds/{sound_id}/clip",
    summary="A short excerpt of a sound, to play at once",
    description=f"At most {LONGEST:g} s from 10 ms before the hit on, until it has decayed or the next one comes, "
    "with a fade at the end. At most 200 kB of FLAC, which every browser plays.",
    response_class=Response,
    responses=_CLIP | problem_responses(404, 410, 412, 422, 500, 503),
)
async def clip(
    sound_id: SoundId, recommender: LeasedRecommender, request: Request, asked: Annotated[AskedClip, Query()]
) -> Response:
    """Send an excerpt."""
    record = await run_in_threadpool(record_of, recommender, sound_id)
    hit = record.hit if asked.hit is None else asked.hit
    if hit >= record.seconds:
        raise ProblemError(
            422, f"there can be no hit at {hit:g} s: the sound lasts {record.seconds:g} s", "query.hit"
        )
    # Of all the numbers that mean one moment one is made, and kept.
    hit = round(hit, 3)
    headers = _headers(clip_name(record, hit))
    async with opened_sound(request.app, recommender.index, record) as sound:
        if has_it(request.headers, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        made = await state_of(request.app).excerpts.clip(record, sound, hit)
    return Response(made, headers=headers, media_type="audio/flac")


@router.get(
    "/sounds/{sound_id}/peaks",
    summary="The peaks of a sound, to draw its waveform",
    description="The largest sample of each of `count` equal parts. Of a sound longer than a minute, a stretch of "
    "each part is looked at, from a hit on where there is one.",
    response_class=Response,
    responses=_PEAKS | problem_responses(404, 410, 412, 422, 500, 503),
)
async def peaks(
    sound_id: SoundId, recommender: LeasedRecommender, request: Request, asked: Annotated[AskedPeaks, Query()]
) -> Response:
    """Send the peaks."""
    record = await run_in_threadpool(record_of, recommender, sound_id)
    headers = _headers(peaks_name(record, asked.count))
    async with opened_sound(request.app, recommender.index, record) as sound:
        if has_it(request.headers, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        made = await state_of(request.app).excerpts.peaks(record, sound, asked.count)
    return Response(made, headers=headers, media_type="application/json")


def _headers(name: str) -> dict[str, str]:
    return {"Cache-Control": CACHED_FOR_A_DAY, "ETag": f'"{name}"', "X-Content-Type-Options": "nosniff"}
