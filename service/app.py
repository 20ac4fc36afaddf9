"""The web application: routes, limits, errors and the page, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi_offline import FastAPIOffline

from service import probes, sounds
from service.api_keys import ApiKeys
from service.backpressure import Backpressure
from service.body_limit import BodyLimit
from service.current import Current
from service.head import Head
from service.metrics import Metrics
from service.pixels import PixelRoom
from service.prefix import Prefix
from service.probes import Prober
from service.problems import add_problems, document_problems
from service.queue import PictureQueue
from service.rate import RateLimit
from service.recommend import PATH, add_recommend
from service.settings import Settings
from service.share import Share
from service.static import PageFiles, WholeFiles
from service.watch import Watcher, fingerprint, open_proved

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
        room = PixelRoom(settings.max_pixels_at_once)
        # No name here for what is opened: it would keep the first index in memory when another has taken its place.
        with (
            closing(Current(open_proved(settings, room))) as current,
            closing(Prober(current)) as prober,
            closing(Share(current)) as share,
            closing(queue),
        ):
            metrics.loaded(
                current.recommender.model_id, current.recommender.index.id, len(current.recommender.index)
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
