"""One line in the log and one count in the metrics for each request that is answered."""

import asyncio
import logging
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logged import Logged
from service.metrics import Metrics
from service.problems import problem_response
from service.refusal import Told
from service.request_id import request_id

_log = logging.getLogger("thud.access")

_REASONS = {
    400: "malformed",
    401: "no_key",
    408: "slow_body",
    413: "too_large",
    415: "format",
    422: "invalid",
    429: "rate",
    503: "unavailable",
}


class Observed:
    """Middleware that logs and counts each request when its answer is sent, also where that failed.

    Whoever refuses a request may say why in `scope["state"]["refused"]`; otherwise the status says it. An
    answer that was begun and not finished has a reason too.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, logged: Logged) -> None:
        self.app = app
        self.metrics = metrics
        self.logged = logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        began = perf_counter()
        status = 500
        sent = 0
        started = complete = False

        async def watched(message: Message) -> None:
            nonlocal status, sent, started, complete
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
            else:
                complete = not message.get("more_body", False)
            sent += len(message.get("body", b""))
            await send(message)

        address = self.logged.address(scope)
        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            # uvicorn cancels what is not done when the time to stop is over.
            state["refused"] = "stopping"
            if not started:
                problem = problem_response(503, "the service has stopped", headers={"Retry-After": "1"})
                await problem(scope, receive, watched)
        finally:
            seconds = perf_counter() - began
            route = _route(scope)
            self.metrics.request(route, scope["method"], status, seconds)
            broken = started and not complete
            reason = state.get("refused") or ("client_gone" if broken else _REASONS.get(status))
            if reason is not None:
                self.metrics.rejected(reason)
            client = self.logged.client((scope.get("client") or ("-", 0))[0])
            _write(client, scope["method"], address, status, sent, seconds, reason, broken=broken)


def refusals(metrics: Metrics) -> Told:
    """Counts and logs what was refused before it was a request; of such, neither method nor address is known.

    Its client is the other end of the connection, whoever that asks for.
    """

    def told(status: int, reason: str, client: str, sent: int) -> None:
        metrics.rejected(reason)
        _write(client, "-", "-", status, sent, 0.0, reason)

    return told


def _write(
    client: str,
    method: str,
    path: str,
    status: int,
    sent: int,
    seconds: float,
    reason: str | None,
    *,
    broken: bool = False,
) -> None:
    fields: dict[str, Any] = {
        "client": client,
        "method": method,
        "path": path,
        "status": status,
        "bytes": sent,
        "seconds": round(seconds, 6),
        "request_id": request_id(),
    }
    if reason is not None:
        fields["reason"] = reason
    _log.info(
        '%s "%s %s" %d %d %.1f ms %s%s',
        *(fields[name] for name in ("client", "method", "path", "status", "bytes")),
        1000 * seconds,
        fields["request_id"],
        f" broken off: {reason}" if broken else "",
        extra={"fields": fields},
    )


def _route(scope: Scope) -> str:
    """The template of the route that was taken, the folder where files are served, or `none`."""
    # Starlette keeps the application's own prefix aside where it descends into a folder.
    prefix = scope.get("app_root_path")
    folder = "" if prefix is None else scope["root_path"].removeprefix(prefix)
    path: str | None = getattr(scope.get("route"), "path", None)
    return path or folder or "none"
