"""Refusing a request body that is too large while it arrives, before anything parses or stores it."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ProblemError, problem_response


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
