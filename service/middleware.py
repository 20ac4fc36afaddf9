"""Middlewares that look at one request or one answer and keep nothing, in the order of the list in service/app.py.

Those for keys and rates are in service/access.py, the one for the log and the metrics in service/observability.py.
"""

import re
from collections.abc import Callable

from starlette.datastructures import Headers as HeaderLookup
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.load.queue import PictureQueue, RefusalPace
from service.problems import ProblemError, problem_response
from service.request import Headers, application_path, new_request_id, searches, set_request_id, with_headers

# The headers of every answer

_ALONE = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

_DATA_POLICY = f"default-src 'none'; media-src 'self'; {_ALONE}"
"""For what is no page. A browser shows a sound that is opened by itself as a page that plays it."""

_PAGE_POLICY = f"default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; {_ALONE}"

# Swagger UI and ReDoc have scripts and styles in their pages, pictures in addresses, and a worker.
_DOCUMENTATION_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; worker-src blob:; {_ALONE}"
)

_POLICIES = {
    "/": _PAGE_POLICY,
    "/docs": _DOCUMENTATION_POLICY,
    "/docs/oauth2-redirect": _DOCUMENTATION_POLICY,
    "/redoc": _DOCUMENTATION_POLICY,
}

_HEADERS = [
    (b"content-security-policy", _DATA_POLICY.encode()),
    # Without it, browsers would use what they have of the page for a tenth of its age without asking.
    (b"cache-control", b"no-cache"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


def completed(headers: Headers) -> Headers:
    """The headers of an answer, whose names are in small letters, with those that it does not have itself."""
    has = {name for name, _ in headers}
    return headers + [header for header in _HEADERS if header[0] not in has]


class EveryAnswer:
    """Middleware that completes the headers of every answer; a page may do more than another answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its answer gets the headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        def change(headers: Headers) -> Headers:
            policy = _POLICIES.get(application_path(scope))
            if policy is not None:
                headers.append((b"content-security-policy", policy.encode()))
            return completed(headers)

        await self.app(scope, receive, with_headers(send, change))


# The request's id

_ID_HEADER = b"x-request-id"
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestId:
    """Middleware that takes the id from `X-Request-ID`, or makes one where that has none that is safe to log.

    Safe are 1 to 128 letters, digits, dots, dashes and underscores, of which `without_keys` takes nothing away.
    """

    def __init__(self, app: ASGIApp, without_keys: Callable[[bytes], bytes]) -> None:
        self.app = app
        self.without_keys = without_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its answer gets the id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _ID_HEADER), b"")
        safe = _ACCEPTED_ID.fullmatch(given) and self.without_keys(given) == given
        identity = given.decode() if safe else new_request_id()
        # Not reset at the end: what uvicorn logs of a crash belongs to the request too, and its task ends there.
        set_request_id(identity)
        header = (_ID_HEADER, identity.encode())
        await self.app(scope, receive, with_headers(send, lambda headers: [*headers, header]))


# What a request may be before it is routed

_EXPOSED_HEADERS = ["Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Retry-After", "Server-Timing"]
_EXPOSED_HEADERS += ["X-Request-ID"]


class Cors(CORSMiddleware):
    """Starlette's middleware for the `origins` whose pages may use the service; it refuses with problem details.

    Starlette's own refuses a preflight in plain text.
    """

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            # Any: those that mean nothing here are passed over, and pages and proxies add their own.
            allow_headers=["*"],
            expose_headers=_EXPOSED_HEADERS,
        )

    def preflight_response(self, request_headers: HeaderLookup) -> Response:
        """The answer to a preflight."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return problem_response(response.status_code, bytes(response.body).decode(), headers=kept)


# The letters of a host and a port (RFC 3986, 3.2.2); it may be empty where the address has no host.
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")


class OneHost:
    """Middleware that answers 400 to a request that has not one valid Host, as RFC 9112 (3.2) wants.

    HTTP/1.0 may leave it out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        wrong = _wrong_host(scope) if scope["type"] == "http" else None
        await (self.app if wrong is None else problem_response(400, wrong))(scope, receive, send)


def _wrong_host(scope: Scope) -> str | None:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1:
        return "the request has more than one Host header"
    if not hosts and scope["http_version"] == "1.1":
        return "the request has no Host header"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "the Host header of the request is no host"
    return None


class Prefix:
    """Middleware that gives every request's path the prefix under which the service is published.

    It is `root_path`, whether the proxy took it away or left it, and where that is empty what a trusted proxy says
    that it took away: a proxy that passes on what a client says of it must not be led past its own rules for paths.
    ASGI wants the path with its `root_path`; mounted applications are only found that way.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the prefix; the prefix alone is redirected to its slash."""
        root_path = self.root_path or scope.get("root_path", "")
        if scope["type"] == "http" and root_path:
            path = scope["path"]
            if not self.root_path:
                path = root_path + path
            elif path == root_path:
                # The page's own addresses are relative to the slash.
                await RedirectResponse(f"{root_path}/")(scope, receive, send)
                return
            elif not path.startswith(f"{root_path}/"):
                path = root_path + path
            # In place: what stands around this learns from the same scope which route was taken.
            scope.update(root_path=root_path, path=path)
        await self.app(scope, receive, send)


# How a request is answered


class WholeFiles:
    """Middleware that sends whatever is no sound as a whole, as a server may (RFC 9110, 14.2): it is small.

    Starlette's own answers to a Range that is odd or too far are no problem details.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, without its Range."""
        if scope["type"] == "http" and not application_path(scope).startswith("/sounds/"):
            scope["headers"] = _without(scope["headers"], b"range")
            send = with_headers(send, lambda headers: _without(headers, b"accept-ranges"))
        await self.app(scope, receive, send)


def _without(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0] != name]


# How much of it is taken


class Backpressure:
    """Middleware that answers 503 with Retry-After to a search for which `queue` has no room, at its `pace`.

    It stands before routing and parsing, so that a refusal costs next to nothing. The body that may follow is
    read and thrown away by the server.
    """

    def __init__(self, app: ASGIApp, queue: PictureQueue, pace: RefusalPace) -> None:
        self.app = app
        self.queue = queue
        self.pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        cost = searches(scope)
        if cost and self.queue.full:
            await self.pace.hold(scope.get("client"))
            refusal = self.queue.refusal()
            scope.setdefault("state", {})["refused"] = refusal.reason
            await problem_response(503, refusal.detail, headers=refusal.headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class BodyLimit:
    """Middleware that ends a request whose body has more than `max_bytes` bytes with problem 413.

    A body that declares its length is refused before its first byte is read, a chunked one with the first
    chunk over the limit. Starlette's own middleware for this answers in plain text where the route does not
    read the body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        detail = f"the request body is too large; at most {self.max_bytes:,} bytes are accepted"
        declared = HeaderLookup(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            await problem_response(413, detail)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise ProblemError(413, detail)
            return message

        await self.app(scope, counted, send)
