"""What stands around the application, so that it holds for every answer: its headers, the id, other origins."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from service.every_answer import EveryAnswer
from service.host import OneHost
from service.logged import Logged
from service.metrics import Metrics
from service.observed import Observed
from service.problems import problem_response
from service.request_id import RequestId
from service.settings import Settings
from service.tracing import traced

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
