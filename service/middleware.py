"""The header Host, of which RFC 9112 (3.2) wants exactly one, with a host in it."""

import re

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.load import PictureQueue
from service.problems import ProblemError, problem_response

# The letters of a host and a port (RFC 3986, 3.2.2); it may be empty where the address has no host.
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")


class OneHost:
    """Middleware that answers 400 to a request with several Hosts, or without one, which HTTP/1.0 allows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        detail = None
        if len(hosts) > 1:
            detail = "the request has more than one Host header"
        elif not hosts and scope["http_version"] == "1.1":
            detail = "the request has no Host header"
        elif hosts and not _HOST.fullmatch(hosts[0]):
            detail = "the Host header of the request is no host"
        if detail is not None:
            await problem_response(400, detail)(scope, receive, send)
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
        declared = Headers(scope=scope).get("content-length", "")
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


class Head:
    """Middleware that lets the application answer HEAD as it would answer GET, and sends the headers alone.

    An answer that would be long can look into `scope["state"]["head"]` and spare itself the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        scope["method"] = "GET"
        scope.setdefault("state", {})["head"] = True

        async def bodiless(message: Message) -> None:
            scope["method"] = "HEAD"  # the server and the log look at what was asked
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app(scope, receive, bodiless)


class Prefix:
    """Middleware that gives every request's path the prefix, whether the proxy took it away or left it.

    ASGI wants the path with its `root_path`; mounted applications are only found that way.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the prefix; the prefix alone is redirected to its slash."""
        if scope["type"] == "http" and self.root_path:
            path = scope["path"]
            if path == self.root_path:
                # The page's own addresses are relative to the slash.
                await RedirectResponse(f"{self.root_path}/")(scope, receive, send)
                return
            if not path.startswith(f"{self.root_path}/"):
                path = self.root_path + path
            # In place: what stands around this learns from the same scope which route was taken.
            scope.update(root_path=self.root_path, path=path)
        await self.app(scope, receive, send)


class Backpressure:
    """Middleware that answers 503 with Retry-After at once to `POST path` while `queue` is full.

    It stands before routing and parsing, so that a refusal costs next to nothing. The body that may follow is
    read and thrown away by the server.
    """

    def __init__(self, app: ASGIApp, queue: PictureQueue, path: str) -> None:
        self.app = app
        self.queue = queue
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if (
            scope["type"] == "http"
            and self.queue.full
            and scope["method"] == "POST"
            and scope["path"] == scope.get("root_path", "") + self.path
        ):
            refusal = self.queue.refusal()
            scope.setdefault("state", {})["refused"] = refusal.reason
            await problem_response(503, refusal.detail, headers=refusal.headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)


_ALONE = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

_DATA_POLICY = f"default-src 'none'; media-src 'self'; {_ALONE}"
"""For what is no page. A browser shows a sound that is opened by itself as a page that plays it."""

_PAGE_POLICY = f"default-src 'self'; img-src 'self' blob:; media-src 'self'; {_ALONE}"

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


def completed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
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

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                policy = _POLICIES.get(application_path(scope))
                if policy is not None:
                    headers.append((b"content-security-policy", policy.encode()))
                message["headers"] = completed(headers)
            await send(message)

        await self.app(scope, receive, sent)


def application_path(scope: Scope) -> str:
    """The path of a request without the prefix under which the service is published."""
    # Starlette keeps the application's own prefix aside where it descends into a folder.
    prefix: str = scope.get("app_root_path", scope.get("root_path", ""))
    path: str = scope["path"]
    return path.removeprefix(prefix)
