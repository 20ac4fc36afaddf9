"""The id of a request: in its answer, in its problem, in every line that is logged about it."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from random import getrandbits

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,128}")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def new_request_id() -> str:
    """32 hex digits that no other request has."""
    # An id is no secret. The system's random numbers, and uuid4 with them, are waited for without the GIL.
    return f"{getrandbits(128):032x}"


def set_request_id(identity: str) -> None:
    """Say whose answer is worked at from here on, in this task or context."""
    _current.set(identity)


def request_id() -> str | None:
    """The id of the request that is being answered, None outside of one."""
    return _current.get()


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
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        safe = _ACCEPTED.fullmatch(given) and self.without_keys(given) == given
        identity = given.decode() if safe else new_request_id()
        # Not reset at the end: what uvicorn logs of a crash belongs to the request too, and its task ends there.
        set_request_id(identity)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (HEADER, identity.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)
