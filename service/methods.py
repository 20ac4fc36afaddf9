"""The methods that every address has besides its own: HEAD where it has GET, and OPTIONS."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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


class Options:
    """Middleware that answers OPTIONS with the methods of an address, and for `*` with those of all: 204.

    Balancers ask so whether a server is up. It is the application that knows which methods there are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request or pass it on."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self.app(scope, receive, send)
            return
        if scope.get("raw_path") == b"*":
            await _options("GET, HEAD, POST")(scope, receive, send)
            return
        allowed: list[str] = []

        async def taken(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                allowed.append(Headers(raw=message["headers"]).get("allow", "GET, HEAD"))
            if not allowed:
                await send(message)

        await self.app(scope, receive, taken)
        if allowed:
            await _options(allowed[0])(scope, receive, send)


def _options(allowed: str) -> Response:
    return Response(status_code=204, headers={"Allow": f"{allowed}, OPTIONS"})
