"""Chosen sounds to take away: their files and credits as a zip, their records as a table or as JSON."""

import logging
from collections.abc import AsyncIterator, Generator
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from index.answers.attribution import records_table
from index.answers.export import gone_of, zip_of
from index.answers.recommender import Recommender
from index.catalogue import SoundRecord
from model.errors import LibraryError, SoundsAwayError
from service.problems import ProblemError, problem_response, problem_responses
from service.routes.audio import on_disk
from service.routes.parameters import SoundIdText
from service.routes.strict import StrictRoute
from service.schemas import Sound, SoundList
from service.settings import Settings
from service.state import LeasedRecommender, state_of

_log = logging.getLogger("thud")

sent_at_once = anyio.CapacityLimiter(4)
"""The zips that each process sends at the same time: they may be large and their clients slow."""
_RETRY_AFTER = 10

_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The zip, sent while it is made.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_TABLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "CSV in UTF-8.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


def export_router(settings: Settings) -> APIRouter:
    """The routes, with the limits that `settings` give."""
    router = APIRouter(tags=["export"], route_class=StrictRoute)

    class Asked(BaseModel):
        """The query parameters."""

        id: list[SoundIdText] = Field(
            min_length=1,
            max_length=settings.max_export_sounds,
            description="The id of a sound; repeat it for several.",
            examples=[["00112233445566778899"]],
        )

        def records(self, recommender: Recommender) -> list[SoundRecord]:
            """The records, each once, in the order of the ids. Raises ProblemError (422) for an id of no sound."""
            found = {one: recommender.index.sound(one) for one in self.id}
            unknown = [one for one, record in found.items() if record is None]
            if unknown:
                raise ProblemError(422, f"the library has no sound of the id {unknown[0]}", "query.id")
            return [record for record in found.values() if record is not None]

    @router.get(
        "/sounds.zip",
        summary="Chosen sounds as a zip",
        description="The files of the sounds, ATTRIBUTION.txt with what their licences ask you to say, and "
        "sounds.csv with their records. Sounds whose files are gone or have changed are named in MISSING.txt; "
        "where some are missing when it begins, it is called `sounds, incomplete.zip`. Where none is there, the "
        "answer is 410.",
        response_class=Response,
        responses=_ZIP | problem_responses(410, 422, 500, 503),
    )
    async def as_zip(asked: Annotated[Asked, Query()], request: Request) -> Response:
        # Not until all is sent, as LeasedRecommender: a slow client would keep an index that was replaced.
        with state_of(request.app).served.lease() as recommender:
            records = await anyio.to_thread.run_sync(asked.records, recommender)
            files = recommender.index.files
        size = sum(record.bytes for record in records)
        if size > settings.max_export_bytes:
            raise ProblemError(
                422,
                f"these sounds have {size:,} bytes; at most {settings.max_export_bytes:,} are sent in one zip",
                "query.id",
            )
        sounds = state_of(request.app).sounds
        await sounds.check()
        try:
            gone = await anyio.to_thread.run_sync(gone_of, files, records, limiter=on_disk)
        except SoundsAwayError as error:
            raise sounds.gone(str(error)) from error
        if len(gone) == len(records):
            raise ProblemError(410, "none of these sounds is in the library any more")
        # A person sees it before the zip is opened. How many is known when all are sent: some may have changed.
        name = "sounds, incomplete.zip" if gone else "sounds.zip"
        if request.scope.get("state", {}).get("head"):
            answer = Response(headers=_as_file(name), media_type="application/zip")
            del answer.headers["content-length"]  # that of nothing; that of the zip is known when it is sent
            return answer
        return _ZipResponse(zip_of(files, records), name)

    @router.get(
        "/sounds.csv",
        summary="The records of chosen sounds as a table",
        description="One row for each sound, with what its licence asks you to say in the column attribution.",
        response_class=Response,
        responses=_TABLE | problem_responses(422, 500, 503),
    )
    def as_table(asked: Annotated[Asked, Query()], recommender: LeasedRecommender) -> Response:
        table = records_table(asked.records(recommender))
        return Response(table, headers=_as_file("sounds.csv"), media_type="text/csv")

    @router.get(
        "/sounds.json",
        summary="The records of chosen sounds",
        description="What is known about each, as `/sounds/{sound_id}/info` says it.",
        response_description="The records, in the order of the ids.",
        responses=problem_responses(422, 500, 503),
    )
    def as_json(asked: Annotated[Asked, Query()], recommender: LeasedRecommender, request: Request) -> SoundList:
        root_path = request.scope.get("root_path", "")
        return SoundList(sounds=[Sound.of(record, root_path) for record in asked.records(recommender)])

    return router


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


class _ZipResponse(StreamingResponse):
    """Sends the zip. Where a file changes while it is sent, the answer is broken off, which is logged.

    Where too many are sent already, sends a problem (503) in its place.
    """

    def __init__(self, pieces: Generator[bytes], name: str) -> None:
        super().__init__(_sent(pieces), headers=_as_file(name), media_type="application/zip")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        state = scope.setdefault("state", {})
        try:
            sent_at_once.acquire_on_behalf_of_nowait(self)
        except anyio.WouldBlock:
            state["refused"] = "zips"
            detail = f"{sent_at_once.total_tokens:g} zips are sent already; try again in {_RETRY_AFTER} s"
            busy = problem_response(503, detail, headers={"Retry-After": str(_RETRY_AFTER)})
            await busy(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        except (LibraryError, OSError) as error:
            state["refused"] = "damaged_sound"
            _log.error("a zip of sounds was broken off: %s", error)
        finally:
            sent_at_once.release_on_behalf_of(self)


async def _sent(pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    try:
        while piece := await anyio.to_thread.run_sync(next, pieces, b"", limiter=on_disk):
            yield piece
    finally:
        pieces.close()
