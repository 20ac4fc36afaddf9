"""The library over HTTP: a sound's audio and record, the catalogue page by page, the materials."""

import asyncio
import re
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from index.answers.recommender import Recommender
from index.catalogue import Page, SoundRecord
from model.materials import MATERIALS
from service.problems import ProblemError, problem_responses
from service.routes.audio import audio_response, link_response, sound_problems
from service.routes.parameters import AskedFilter, CursorText, WholeNumber
from service.routes.strict import StrictRoute
from service.schemas import MaterialCount, Materials, Sound, SoundPage
from service.state import LeasedRecommender, state_of

router = APIRouter(tags=["library"], route_class=StrictRoute)

SoundId = Annotated[str, Path(description="The sound's id: 20 hex digits.", examples=["00112233445566778899"])]

_LONGEST_TEXT = 200

looking = anyio.CapacityLimiter(2)
"""The threads that look for words, which takes long among a million sounds: one for each of two indexes in use."""
_places = threading.BoundedSemaphore(18)
"""For those that look and 16 that wait; `looking` does not count those that are about to wait."""
_TEXT_SECONDS = 5.0
_TEXT_RETRY = 5

Original = Annotated[
    Literal["", "1", "true", "0", "false"] | None,
    Query(description="Send the file as it is in the library, also where browsers do not play it."),
]

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The sound's file, or a copy in FLAC where browsers do not play that.",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {"description": "The part of the file that the Range header asks for."},
    304: {"description": "The client has it already."},
    307: {"description": "The store has it, at the address in `Location` (a service with --sounds-link-seconds)."},
}

# These routes read the catalogue and the disk, which may wait: FastAPI runs plain functions on its threads.


@router.get(
    "/sounds/{sound_id}",
    summary="The audio of a sound",
    description="Takes Range, If-Range, If-Match and If-None-Match. An id stands for the content of a sound, so "
    "the answer may be cached for ever.",
    response_class=Response,
    responses=_AUDIO | problem_responses(404, 410, 412, 416, 422, 500, 503),
)
async def audio(
    sound_id: SoundId, recommender: LeasedRecommender, request: Request, original: Original = None
) -> Response:
    """Send a sound."""
    record = await run_in_threadpool(record_of, recommender, sound_id)
    async with sound_problems(request.app, recommender.index, sound_id):
        state = state_of(request.app)
        copies = state.played if original in (None, "0", "false") else None
        # The page may load from nowhere but the service (Content-Security-Policy). A link is for GET
        # alone, and what a client has already need not be sent again.
        here = request.headers.get("sec-fetch-site") == "same-origin" or request.scope.get("state", {}).get("head")
        asked = {"if-match", "if-none-match"} & set(request.headers)
        if state.link_seconds and not (here or asked) and (copies is None or record.playable):
            linked = await link_response(recommender.index, record, state.link_seconds)
            if linked is not None:
                return linked
        return await audio_response(recommender.index, record, request, copies)


@router.get(
    "/sounds/{sound_id}/info",
    summary="What is known about a sound",
    response_description="The sound's record.",
    responses=problem_responses(404, 422, 500, 503),
)
def info(sound_id: SoundId, recommender: LeasedRecommender, request: Request) -> Sound:
    """The record of a sound."""
    return Sound.of(record_of(recommender, sound_id), request.scope.get("root_path", ""))


class AskedPage(AskedFilter):
    """The query parameters."""

    q: str | None = Field(
        None,
        max_length=_LONGEST_TEXT,
        description="Only sounds that have all of these words, or words that begin with them, in title, tags, "
        "path, material or description; those that fit best first. Capitals and accents make no difference.",
        examples=["glass bottle"],
    )
    cursor: CursorText | None = Field(None, description="Where the page before ended; it stands in `next`.")
    limit: WholeNumber = Field(50, ge=1, le=200, description="Most sounds on the page.")


@router.get(
    "/sounds",
    summary="The catalogue, page by page",
    description="All sounds, or those that meet the filters and have the words of `q`. Follow `next` until it is "
    "null, also where another index has been taken over meanwhile: what both have is sent once.",
    response_description="A page of records.",
    responses=problem_responses(422, 429, 500, 503),
)
async def catalogue(
    recommender: LeasedRecommender, request: Request, asked: Annotated[AskedPage, Query()]
) -> SoundPage:
    """A page of the catalogue."""
    index, only = recommender.index, asked.only()
    if asked.q is None or not asked.q.strip():
        page = await run_in_threadpool(index.page, only, asked.cursor, asked.limit)
    else:
        page = await _in_turn(partial(index.find, asked.q, only, asked.cursor, asked.limit))
    root_path = request.scope.get("root_path", "")
    following = None
    if page.next is not None:
        asked_before = [(name, text) for name, text in request.query_params.multi_items() if name != "cursor"]
        following = f"{root_path}/sounds?{urlencode([*asked_before, ('cursor', page.next)])}"
    return SoundPage(
        total=page.total, sounds=[Sound.of(record, root_path) for record in page.sounds], next=following
    )


async def _in_turn(find: Callable[..., Page]) -> Page:
    """What a text search finds. Raises ProblemError (503) where too many wait already, or it takes too long."""
    if not _places.acquire(blocking=False):
        raise _text_busy("too many searches for words wait already", "queue_full")
    until = monotonic() + _TEXT_SECONDS
    try:
        async with asyncio.timeout(_TEXT_SECONDS):
            return await anyio.to_thread.run_sync(partial(find, until=until), limiter=looking)
    except TimeoutError:
        raise _text_busy(f"the words could not be found within {_TEXT_SECONDS:g} s", "deadline") from None
    finally:
        _places.release()


def _text_busy(detail: str, reason: str) -> ProblemError:
    return ProblemError(503, detail, headers={"Retry-After": str(_TEXT_RETRY)}, reason=reason)


@router.get(
    "/materials",
    summary="The materials and how many sounds each has",
    response_description="The 17 materials in the order of their ids.",
    responses=problem_responses(422, 500, 503),
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


def record_of(recommender: Recommender, sound_id: str) -> SoundRecord:
    """The record of the sound. Raises ProblemError (404) where there is none."""
    record = recommender.index.sound(sound_id) if re.fullmatch(r"[0-9a-f]{20}", sound_id) else None
    if record is None:
        raise ProblemError(404, "the library has no sound of this id")
    return record
