"""HEAD wherever GET is possible, as RFC 9110 (9.1) wants it."""

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
