"""What is seen of each request: a line in the log, a count in the metrics and, where it is asked for, a span.

In reading order: what may be logged of a request, the middleware for log and metrics, refusals before there is a
request, tracing.
"""

import asyncio
import logging
import re
import string
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import ThudError
from service.access import as_sent
from service.metrics import Metrics
from service.problems import problem_response
from service.request import request_id
from service.settings import SHORTEST_KEY

_MOST_ADDRESS = 512
_MOST_CLIENT = 64

_AS_IT_IS = string.punctuation.translate({ord(sign): None for sign in '"\\'})
"""With letters and digits, all that is logged as it was sent; the rest could end a line or a field, and is %XX."""

_KNOWN = re.compile(rb"(box|at)=[\d.,%a-fA-F+-]{0,100}|id=[0-9a-f]{20}")
"""The parameters of the service that may be long."""

_SECRET = re.compile(rb"key|token|secret|pass|pwd|auth|sig|cred|session|jwt|bearer|code", re.IGNORECASE)
"""What a parameter has in its name whose value is not logged, however short it is."""

_HIDDEN = b"***"


class Logged:
    """What may be logged of a request to a service with these API `keys`: no key, wherever a client put it."""

    def __init__(self, keys: Sequence[str]) -> None:
        forms = {form for key in keys for sent in as_sent(key) for form in (sent, sent.replace(b" ", b"+"))}
        self._keys = sorted(forms, key=len, reverse=True)  # one may begin with another

    def address(self, scope: Scope) -> str:
        """The path and the query as they were sent, still encoded; without what may be a key, right or wrong."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        raw = b"?".join([path, *([_without_secrets(query)] if query else [])])
        return _escaped(self.without_keys(raw), _MOST_ADDRESS)

    def client(self, client: str) -> str:
        """The address of the client, which may be any text that a trusted proxy, or a client of it, sends."""
        return _escaped(self.without_keys(client.encode("latin-1", "replace")), _MOST_CLIENT)

    def text(self, text: str) -> str:
        """Any other text of the request, in any encoding; as it is but for keys."""
        raw = text.encode("latin-1" if all(sign <= "\xff" for sign in text) else "utf-8", "replace")
        shown = self.without_keys(raw)
        return text if shown == raw else shown.decode("utf-8", "replace")

    def without_keys(self, raw: bytes) -> bytes:
        """The same where it has no key in it, encoded or not."""
        forms = _decoded(raw)
        for key in self._keys:
            found = next((form for form in forms if key in form), None)
            if found is not None:
                forms = _decoded(found.replace(key, _HIDDEN))
        return forms[0]


def _decoded(raw: bytes) -> list[bytes]:
    """As it was sent, and decoded once and twice, because some clients encode twice."""
    once = unquote_to_bytes(raw)
    return [raw, once, unquote_to_bytes(once)]


def _without_secrets(query: bytes) -> bytes:
    return b"".join(map(_without_secret, re.split(rb"([&;])", query)))


def _without_secret(parameter: bytes) -> bytes:
    if _KNOWN.fullmatch(parameter):
        return parameter
    name, equals, value = parameter.partition(b"=")
    # What is as long as a key may be one: a value, or what stands in place of a name.
    short = len(value) < SHORTEST_KEY and not _SECRET.search(unquote_to_bytes(name))
    shown = name if len(name) < SHORTEST_KEY else _HIDDEN
    return shown + equals + (value if short or not equals else _HIDDEN)


def _escaped(raw: bytes, most: int) -> str:
    text = quote(raw, safe=_AS_IT_IS)
    return text if len(text) <= most else f"{text[:most]}..."


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


OnRefused = Callable[[int, str, str, int], None]
"""Called with the status, the reason for the metrics, the client, and the size of the body in bytes."""


def log_refusals(metrics: Metrics) -> OnRefused:
    """A callback that counts and logs a refusal before there was a request, of which method and path are not known.

    The client is the other end of the connection, which may be a proxy.
    """

    def on_refused(status: int, reason: str, client: str, sent: int) -> None:
        metrics.rejected(reason)
        _write(client, "-", "-", status, sent, 0.0, reason)

    return on_refused


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


class TracingError(ThudError):
    """Tracing was asked for and cannot be."""


def tracing(logged: Logged) -> Middleware:
    """OpenTelemetry's own middleware, which exports to OTEL_EXPORTER_OTLP_ENDPOINT.

    A span says of an address what the log says, as `logged` has it, and nowhere a key.

    Raises TracingError where the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise TracingError(f"tracing needs {error.name}; install Thud with it: pip install '.[otel]'") from error

    def describe(span: Any, scope: Scope) -> None:
        if not span.is_recording():
            return
        address = logged.address(scope)
        path, _, query = address.partition("?")
        texts = {name: value for name, value in span.attributes.items() if isinstance(value, str)}
        shown = {name: logged.text(value) for name, value in texts.items()}
        shown |= {"http.url": address, "http.target": path, "url.path": path, "url.query": query}
        span.set_attributes({name: shown[name] for name in shown.keys() & span.attributes.keys()})
        span.update_name(f"{scope['method']} {path}")

    # OTEL_SERVICE_NAME wins over this name, as OTEL_RESOURCE_ATTRIBUTES does.
    provider = TracerProvider(resource=Resource({"service.name": "thud"}).merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Middleware(
        OpenTelemetryMiddleware,
        server_request_hook=describe,
        excluded_urls="livez,readyz,metrics",
        tracer_provider=provider,
        exclude_spans=["send", "receive"],
    )
