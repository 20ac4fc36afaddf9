"""The web application: its middlewares, its state and its routes, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware

from service.access import ApiKeys, RateLimit
from service.excerpts import Excerpts
from service.hot_swap import ServedRecommender, Watcher, fingerprint, open_proved
from service.load.pixels import PixelBudget
from service.load.queue import PictureQueue, RefusalPace
from service.methods import Head, Options
from service.metrics import Metrics
from service.middleware import (
    Backpressure,
    BodyLimit,
    Cors,
    EveryAnswer,
    OneHost,
    Prefix,
    RequestId,
    WholeFiles,
)
from service.observability import Logged, Observed, tracing
from service.played import PlayedCopies
from service.problems import add_problems, document_problems, internal_error
from service.readiness import Prober, SoundsFolder
from service.routes import excerpts, library, probes
from service.routes.computed import Computing
from service.routes.export import export_router
from service.routes.page import PageFiles, page_response
from service.routes.recommend import search_routes
from service.settings import Settings
from service.state import State, keep_state

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

_OTHER_LIMITS = ("rate", "burst")


def create_app(settings: Settings, metrics: Metrics) -> FastAPI:
    """The application. Its lifespan opens the bundle and the index, and proves them with the probe picture.

    Raises TracingError where tracing is asked for and not installed. Entering the lifespan raises BundleError or
    LibraryError where bundle and index cannot be used.
    """
    queue = PictureQueue(settings.threads, settings.queue_seconds, metrics.queue, settings.deadline_seconds)
    pace = RefusalPace()
    computing = Computing(settings, queue, pace)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Taken before: what changes while it is read must be seen as changed.
        seen = fingerprint(settings)
        pixels = PixelBudget(settings.max_pixels_at_once)
        # No name here for what is opened: it would keep the first index in memory when another has taken its place.
        with (
            closing(ServedRecommender(open_proved(settings, pixels))) as served,
            closing(Prober(served)) as prober,
            closing(SoundsFolder(served)) as sounds,
            closing(PlayedCopies()) as played,
            closing(queue),
        ):
            metrics.loaded(served.recommender.bundle.id, served.recommender.index.id, len(served.recommender.index))
            watcher = Watcher(settings, seen, served, metrics, prober.forget)
            links = settings.sounds_link_seconds
            keep_state(app, State(metrics, queue, served, prober, sounds, played, Excerpts(), watcher, links))
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
        middleware=_middlewares(settings, metrics, queue, pace),
        # Looked at first, before those of the documentation, because it is what is asked for most.
        routes=[*search_routes(settings, computing)],
        # Tracing and metrics are ours; FastAPI looks for both anew at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    add_problems(app)
    app.include_router(library.router)
    app.include_router(excerpts.router)
    app.include_router(export_router(settings))
    app.include_router(probes.router)
    app.mount("/page", PageFiles(directory=_PAGE), name="page")

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return page_response(_PAGE)

    document_problems(app, secured=bool(settings.keys))
    return app


def _middlewares(settings: Settings, metrics: Metrics, queue: PictureQueue, pace: RefusalPace) -> list[Middleware]:
    """All middlewares, in the order in which a request meets them; its answer meets them the other way round."""
    logged = Logged(settings.keys)
    return [
        # The edge: what holds for every answer, whoever gives it.
        # Around all others, so that a span has the whole time.
        *([tracing(logged)] if settings.tracing else []),
        # Around all that answer, so that none of their answers lacks a header.
        Middleware(EveryAnswer),
        # Before the log, which writes the id.
        Middleware(RequestId, without_keys=logged.without_keys),
        # Around whatever refuses or fails, so that each is logged and counted once.
        Middleware(Observed, metrics=metrics, logged=logged),
        # Before anything refuses: a page may read a refusal only with these headers. A preflight ends here.
        *([Middleware(Cors, origins=settings.origins)] if settings.origins else []),
        # Before anybody looks at the Host.
        Middleware(OneHost),
        # The application.
        # FastAPI's own stands around this list, where its answer would be neither logged nor complete.
        Middleware(ServerErrorMiddleware, handler=internal_error),
        # Before all that look at the path.
        Middleware(Prefix, root_path=settings.root_path),
        # Inside what makes an answer complete, around what says which methods there are.
        Middleware(Options),
        # Before all that look at the method; a key or a limit is no other for HEAD.
        Middleware(Head),
        # Around the files of the page and of the documentation, whose answers it changes.
        Middleware(WholeFiles),
        # Before anything is computed or counted for who has no key.
        Middleware(ApiKeys, keys=settings.keys),
        # Before the rate, so that what is refused here does not count as asked.
        Middleware(Backpressure, queue=queue, pace=pace),
        # After the keys, by which clients are counted; before the body is read.
        Middleware(RateLimit, rate=settings.rate, burst=settings.burst),
        # Next to the route that reads the body: what was refused before is not read.
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
    ]


def _limits(settings: Settings) -> str:
    """A table of the limits, for the documentation."""
    rows = [
        f"| `--{name.replace('_', '-')}` | {getattr(settings, name):,} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
        if name.startswith("max_") or name.endswith(("_seconds", "_bytes")) or name in _OTHER_LIMITS
    ]
    return _LIMITS + "".join(rows)
