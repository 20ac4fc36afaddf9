"""Answers that are computed: a body is received and waits for its turn in the queue, all within the deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Protocol

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from index.answers.recommendation import Stages
from index.answers.recommender import Recommender
from service.load.queue import PictureQueue, RefusalPace
from service.load.uploads import UploadMemory
from service.problems import ProblemError
from service.request import searches
from service.routes.strict import StrictRoute
from service.settings import Settings
from service.state import state_of
from service.upload import UploadKind, client_gone, receive_upload

_WAIT_SHARE = 0.9
"""Share of the deadline that a large picture may wait for others, so that its client still gets an answer."""


class Answer(Protocol):
    """What is computed."""

    stages: Stages

    def json(self, root_path: str) -> bytes:
        """The body of the answer, with addresses under `root_path`."""
        ...


@dataclass(frozen=True)
class _Computed:
    """The body of an answer, and the seconds that each of its stages took."""

    body: bytes
    seconds: dict[str, float]

    @property
    def timing(self) -> str:
        """The header Server-Timing: milliseconds by stage."""
        return ", ".join(f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in self.seconds.items())


class Computing:
    """Computes answers on the threads of `queue`, within the limits of `settings`; it refuses at its `pace`."""

    def __init__(self, settings: Settings, queue: PictureQueue, pace: RefusalPace) -> None:
        self._settings, self._queue, self._pace = settings, queue, pace
        self._memory = UploadMemory(settings.upload_memory_bytes)

    async def of_upload(
        self,
        request: Request,
        kind: UploadKind,
        compute: Callable[[Recommender, bytes, float], Answer],
    ) -> Response:
        """The answer that `compute` makes of the picture or sound in the request's body.

        It is called with the recommender, the bytes, and the time, of `monotonic`, until which a picture may wait
        for others. Raises ProblemError, 408 where the body does not come within the deadline and 503 where the
        answer does not, and whatever `compute` raises.
        """
        until = monotonic() + _WAIT_SHARE * self._settings.deadline_seconds
        client = request.client.host if request.client else ""
        async with self._deadline(kind.noun) as received:
            with self._memory.share(client) as share:
                route = request.scope["route"]
                assert isinstance(route, StrictRoute)
                upload = await receive_upload(request, kind, share, route.parameters)
                received()
                return await self._answer(
                    request,
                    kind.noun,
                    lambda recommender: compute(recommender, upload.content(self._settings), until),
                )

    async def of_query(self, request: Request, compute: Callable[[Recommender], Answer]) -> Response:
        """The answer that `compute` makes of the recommender, for a request without a body. Raises the same."""
        async with self._deadline("request") as received:
            received()
            return await self._answer(request, "sound of the library", compute)

    @asynccontextmanager
    async def _deadline(self, noun: str) -> AsyncIterator[Callable[[], None]]:
        """Bounds the time of a request; what it yields is called when all of the body has come."""
        has_come = False

        def received() -> None:
            nonlocal has_come
            has_come = True

        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                yield received
        except TimeoutError:
            limit = f"{self._settings.deadline_seconds:g} s"
            if not has_come:
                raise ProblemError(408, f"the {noun} did not arrive within {limit}") from None
            raise ProblemError(
                503,
                f"the {noun} could not be answered within {limit}",
                headers={"Retry-After": str(self._queue.retry_after)},
                reason="deadline",
            ) from None

    async def _answer(self, request: Request, kind: str, compute: Callable[[Recommender], Answer]) -> Response:
        state = state_of(request.app)
        root_path = request.scope.get("root_path", "")
        submitted = perf_counter()

        def work() -> _Computed:
            waited = perf_counter() - submitted
            with state.served.lease() as recommender:
                answer = compute(recommender)
            # Serialised here, on the computing thread, rather than by FastAPI on the event loop.
            return _Computed(answer.json(root_path), {"queue": waited} | vars(answer.stages))

        try:
            submitted_work = self._queue.submit(work, searches(request.scope), kind)
        except ProblemError:
            await self._pace.hold(request.scope.get("client"))
            raise
        late = False

        def give_up() -> None:
            nonlocal late
            late = submitted_work.cancel()  # False where a thread is at it

        timer = asyncio.get_running_loop().call_later(self._queue.longest, give_up)
        try:
            computed = await _unless_gone(request, asyncio.wrap_future(submitted_work))
        except asyncio.CancelledError:
            if late:
                raise self._queue.refusal() from None
            raise
        finally:
            timer.cancel()
        for stage, seconds in computed.seconds.items():
            state.metrics.stage(stage, seconds)
        return Response(computed.body, media_type="application/json", headers={"Server-Timing": computed.timing})


async def _unless_gone(request: Request, answer: "asyncio.Future[_Computed]") -> _Computed:
    """The answer. Where the client goes first, it is taken out of the queue; raises ClientDisconnect."""
    gone = asyncio.ensure_future(client_gone(request))
    gone.add_done_callback(lambda _: answer.cancel())
    try:
        return await answer
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled() and gone.exception() is None:
            raise ClientDisconnect from None
        raise  # the deadline, or the end of the service
    finally:
        gone.cancel()
