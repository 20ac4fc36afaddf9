"""Headers that every answer has: what a browser may do with it, and that it asks before it uses a copy."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
