"""The web application: routes, limits, errors and the page, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from service.access import ApiKeys, RateLimit
from service.hot_swap import Current, Watcher, fingerprint, open_proved
from service.load import PictureQueue, PixelBudget
from service.metrics import Metrics
from service.middleware import Backpressure, BodyLimit, EveryAnswer, Head, OneHost, Prefix
from service.observed import Logged, Observed, traced
from service.problems import add_problems, document_problems, problem_response
from service.request_id import RequestId
from service.routes import library as sounds
from service.routes import probes
from service.routes.page import PageFiles, WholeFiles
from service.routes.probes import Prober, Share
from service.routes.recommend import PATH, add_recommend
from service.settings import Settings

_ASKED = ["Authorization", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Range"]
_ASKED += ["X-API-Key", "X-Request-ID"]
_TOLD = ["Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Retry-After", "Server-Timing"]
_TOLD += ["X-Request-ID"]


class _Origins(CORSMiddleware):
    """Starlette's middleware, which refuses a preflight in plain text, with problems."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return problem_response(response.status_code, bytes(response.body).decode(), headers=kept)


def with_edge(app: ASGIApp, settings: Settings, metrics: Metrics) -> ASGIApp:
    """`app` with its edge. Raises TracingError where tracing is asked for and not installed."""
    app = OneHost(app)
    if settings.origins:
        app = _Origins(
            app,
            allow_origins=settings.origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=_ASKED,
            expose_headers=_TOLD,
        )
    logged = Logged(settings.keys)
    app = EveryAnswer(RequestId(Observed(app, metrics, logged), logged.without_keys))
    return traced(app, logged) if settings.tracing else app


_PAGE = Path(__file__).parent / "page"

_DESCRIPTION = """
Show it a picture, hear what it would sound like to touch it.

`POST /recommend` takes a picture and answers with the sounds of the library that fit it best; `/sounds/{id}`
plays one. Errors are problem details after RFC 9457. A page for people is at `/`.
"""

_LIMITS = """
Limits of this service, all of them settings of `thud serve`:

| setting | value | |
|---|---|---|
"""

_OTHER_LIMITS = ("queue", "rate", "burst")


def create_app(settings: Settings) -> FastAPI:
    """The application. Its lifespan opens the bundle and the index, and proves them with the probe picture.

    Entering the lifespan raises BundleError or LibraryError where they cannot be used.
    """

    metrics = Metrics()
    queue = PictureQueue(settings.threads, settings.queue, metrics.queue, settings.deadline_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Taken before: what changes while it is read must be seen as changed.
        seen = fingerprint(settings)
        pixels = PixelBudget(settings.max_pixels_at_once)
        # No name here for what is opened: it would keep the first index in memory when another has taken its place.
        with (
            closing(Current(open_proved(settings, pixels))) as current,
            closing(Prober(current)) as prober,
            closing(Share(current)) as share,
            closing(queue),
        ):
            metrics.loaded(
                current.recommender.bundle.id, current.recommender.index.id, len(current.recommender.index)
            )
            watcher = Watcher(settings, seen, current, metrics, prober.forget)
            app.state.current, app.state.prober, app.state.watcher = current, prober, watcher
            app.state.share = share
            watching = asyncio.ensure_future(watcher.run())
            yield
            watching.cancel()

    app = FastAPIOffline(
        title="Thud",
        summary="Sounds for pictures",
        description=_DESCRIPTION + _limits(settings),
        version=metadata.version("thud"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redirect_slashes=False,
        lifespan=lifespan,
        # Tracing and metrics are the edge's; FastAPI looks for both anew at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.metrics, app.state.queue, app.state.draining = metrics, queue, False
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RateLimit, rate=settings.rate, burst=settings.burst, path=PATH)
    # Before the rate, so that what is refused here does not count as asked.
    app.add_middleware(Backpressure, queue=queue, path=PATH)
    app.add_middleware(ApiKeys, keys=settings.keys)
    app.add_middleware(WholeFiles)
    app.add_middleware(Head)
    app.add_middleware(Prefix, root_path=settings.root_path)
    add_problems(app)
    add_recommend(app, settings, queue)
    # Looked at before the documentation's routes, which stand first.
    app.router.routes.insert(0, app.router.routes.pop())
    app.include_router(sounds.router)
    app.include_router(probes.router)
    app.mount("/page", PageFiles(directory=_PAGE), name="page")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    document_problems(app, secured=bool(settings.keys))
    return app


def _limits(settings: Settings) -> str:
    """A table of the limits, for the documentation."""
    rows = [
        f"| `--{name.replace('_', '-')}` | {getattr(settings, name):,} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
        if name.startswith("max_") or name.endswith(("_seconds", "_bytes")) or name in _OTHER_LIMITS
    ]
    return _LIMITS + "".join(rows)
